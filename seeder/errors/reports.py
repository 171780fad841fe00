"""An error of PostgreSQL's as facts, from which a message is made once."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple


class Position(NamedTuple):
    """Where in a text, as an editor counts: lines and characters, both from 1."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}"


@dataclass(frozen=True)
class Report:
    """An error of PostgreSQL's. As text it has one fact a line."""

    #: None where the connection was lost, or not to be had: then the message is libpq's.
    sqlstate: str | None
    message: str
    detail: str | None = None
    hint: str | None = None
    #: What we say in the hint's place, where PostgreSQL has none.
    advice: str | None = None
    context: str | None = None
    #: In the manifest's own SQL.
    position: Position | None = None
    #: Whose rights didn't suffice.
    reader: str | None = None
    #: Its name, where it isn't the reporting database.
    database: str | None = None

    def __str__(self) -> str:
        if self.sqlstate is None:
            return f"The connection to {self.database or 'the database'} failed: {self.message}."
        lines = [f"{self.sqlstate}: {self.message}"]
        if self.detail:
            lines.append(f"Detail: {self.detail}")
        if hint := self.hint or self.advice:
            lines.append(f"Hint: {hint}")
        if self.context:
            lines.append(f"Context: {self.context}")
        if self.position:
            lines.append(f"At {self.position} of the manifest's query")
        if self.reader:
            lines.append(f"The query is run with the rights of {self.reader}.")
        if self.database:
            lines.append(f"In {self.database}")
        return "\n".join(lines)

    def in_words(self, put: Callable[[str], str]) -> "Report":
        """The same with each of PostgreSQL's texts put otherwise, such as with other names."""
        return replace(
            self,
            message=put(self.message),
            detail=self.detail and put(self.detail),
            hint=self.hint and put(self.hint),
            context=self.context and put(self.context),
        )
