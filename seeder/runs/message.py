"""What a refresh message carries, and the run of a message that could not be claimed."""

from dataclasses import dataclass
from typing import Self

from seeder.history import Run
from seeder.matviews import RefreshResult


@dataclass(frozen=True)
class Message:
    """What a refresh message carries: ids, and where the matview's lock is to be found."""

    run_id: str
    attempt: int
    report_type: str
    manifest_id: int
    table_name: str
    database_id: int | None

    @classmethod
    def of(
        cls,
        run_id: str,
        attempt: int,
        report_type: str,
        manifest_id: int,
        table_name: str,
        database_id: int | None = None,
    ) -> Self:
        """From a task's id, its retries and its arguments."""
        return cls(run_id, attempt, report_type, manifest_id, table_name, database_id)

    def is_of(self, run: Run) -> bool:
        """Whether the run was recorded for what this asks for."""
        recorded = (run.table_name, run.report_type, run.manifest_id)
        return recorded == (self.table_name, self.report_type, self.manifest_id)


@dataclass(frozen=True)
class NotClaimed:
    """A run that could not be claimed, and why."""

    error: Exception
    #: Not known: that is in the record's row.
    tried: int = 0

    def refresh(self) -> RefreshResult:
        raise self.error
