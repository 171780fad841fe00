"""What PostgreSQL's errors mean for a run: final, or worth another try; and how a person reads them."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg2
from psycopg2 import errorcodes

from seeder.errors import DatabaseTrouble, QueryFailed, SchemaIncomplete, SeederError
from seeder.postgres import sqlstates
from seeder.postgres.sqlstates import is_passing

TOO_LONG = "The refresh took longer than {limit} allows. Make the query cheaper, or raise it."
CANCELLED = "Somebody ended the statement in the database. Refresh the table again when it may run."

#: 57014 is both, and only who knows how long it ran can tell them apart (`in_place`).
TOO_LONG_OR_CANCELLED = (
    "It took longer than SEEDER_STATEMENT_TIMEOUT or a limit of its own allows, or somebody ended the "
    "statement in the database."
)

#: What to do about a statement that was ended.
HINTS = {
    **sqlstates.HINTS,
    errorcodes.QUERY_CANCELED: TOO_LONG_OR_CANCELLED,
    errorcodes.LOCK_NOT_AVAILABLE: (
        "Another session holds a lock that the refresh needs, and didn't let go of it for "
        "SEEDER_LOCK_TIMEOUT: often an ALTER TABLE, or a long transaction that uses a table of the query's "
        "or the matview. While a try waits, pg_blocking_pids() of its pid in pg_stat_activity tells whose "
        "it is."
    ),
}

#: The last line of a report.
AT = "At line {line}, column {column} of the manifest's query"
_NUMBER = r"(\d{1,9})"
_PLACE = re.compile(
    rf"^{AT.format(line=_NUMBER, column=_NUMBER)}$|\(line {_NUMBER}, column {_NUMBER}\)[.:]", re.MULTILINE
)

#: A line, and one that holds nothing but the pointer at its place.
_POINTED_AT = re.compile(r"\n[^\n]*\n *\^(?=\n|$)")

CONNECTION = "The connection to the database"

#: Where a character of the statement stands in the manifest's own SQL, as (line, column), or None.
Locate = Callable[[int], tuple[int, int] | None]


#: `lock table` looks for the schema by itself, other statements for the relation.
ABSENT = (errorcodes.UNDEFINED_TABLE, errorcodes.UNDEFINED_COLUMN, errorcodes.INVALID_SCHEMA_NAME)


@contextmanager
def expecting_contract() -> Iterator[None]:
    """Around statements over the contract's tables: what is missing there, whoever runs seeder mends."""
    try:
        yield
    except psycopg2.Error as error:
        if error.pgcode not in ABSENT:
            raise
        missing = (error.diag.message_primary or "").removesuffix(" does not exist")
        raise SchemaIncomplete(missing=missing) from error


def judged(error: psycopg2.Error, locate: Locate | None = None) -> SeederError:
    """The error of our tree for one of psycopg2's."""
    kind = DatabaseTrouble if is_passing(error) else QueryFailed
    return kind(report=report(error, locate))


def in_place(
    error: SeederError,
    database: str | None,
    own_limit: str | None = None,
    *,
    ran: float | None = None,
    limit: float = 0,
) -> SeederError:
    """The error with what PostgreSQL doesn't know of it: which database it is from, where it isn't the
    reporting one, and whether the statement ran into its timeout, the manifest's own where it has one.

    ``ran``: for how many seconds it did, of ``limit`` (0 is none); None where nobody knows.
    """
    said = error.facts.get("report")
    if said is None:
        return error
    if ran is not None:
        too_long = TOO_LONG.format(limit=own_limit or "SEEDER_STATEMENT_TIMEOUT")
        said = said.replace(TOO_LONG_OR_CANCELLED, too_long if 0 < limit <= ran else CANCELLED)
    if database and said.startswith(CONNECTION):
        said = said.replace(CONNECTION, f"The connection to {database}", 1)
    elif database:
        said += f"\nIn {database}"
    return type(error)(report=said) if said != error.facts["report"] else error


def one_line(error: BaseException) -> str:
    """A driver's words as part of a sentence of ours, without the line of the statement that libpq points at:
    it is one of ours, and seldom what is wrong."""
    return " ".join(_POINTED_AT.sub("", str(error)).split()).rstrip(".?!")


def report(error: psycopg2.Error, locate: Locate | None = None) -> str:
    """SQLSTATE, message, detail, hint and place, as a person needs them; one fact a line."""
    said = error.diag
    if said.message_primary is None:
        return f"{CONNECTION} failed: {one_line(error)}."
    lines = [f"{error.pgcode}: {said.message_primary}"]
    if said.message_detail:
        lines.append(f"Detail: {said.message_detail}")
    if hint := said.message_hint or HINTS.get(error.pgcode or ""):
        lines.append(f"Hint: {hint}")
    if said.context:
        lines.append(f"Context: {said.context}")
    if said.statement_position and locate and (place := locate(int(said.statement_position))):
        lines.append(AT.format(line=place[0], column=place[1]))
    return "\n".join(lines)


def place_in(words: str) -> tuple[int, int] | None:
    """Line and column of the manifest's query that an error's words name, or None: what ``report`` puts at
    the end, and what our own errors about a query say (seeder.errors)."""
    found = _PLACE.search(words)
    return found and (int(found[1] or found[3]), int(found[2] or found[4]))
