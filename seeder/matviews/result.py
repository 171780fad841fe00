"""What came of a run on its matview."""

from dataclasses import dataclass, replace
from enum import StrEnum

from seeder.history import Figures


class Outcome(StrEnum):
    """What was done."""

    CREATED = "created"
    #: Its own definition, the rows anew: plain or concurrently, ...
    REFRESHED = "refreshed"
    #: ... or beside it.
    SWAPPED = "swapped"
    #: A new definition, beside it.
    REBUILT = "rebuilt"
    #: Nothing: its rows are provably what its query would give.
    UNCHANGED = "unchanged"


@dataclass(frozen=True)
class RefreshResult:
    outcome: Outcome
    figures: Figures
    #: What a person should know although it went well.
    note: str | None = None
    #: Rows that a concurrent refresh inserted and deleted, an update being both; None for all others.
    changed: int | None = None
    #: Dead rows that it leaves in the matview; None is none, or unknown.
    dead: int | None = None

    def with_note(self, note: str) -> "RefreshResult":
        return replace(self, note=" ".join(filter(None, (self.note, note))))

    def as_dict(self) -> dict[str, str | int | None]:
        return {
            "outcome": str(self.outcome),
            "records": self.figures.records,
            "changed": self.changed,
            "bytes": self.figures.total_bytes,
            "note": self.note,
        }
