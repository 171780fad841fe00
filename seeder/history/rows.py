"""What goes into the record and what comes out of it, as frozen values."""

from dataclasses import dataclass
from datetime import datetime

from seeder.history.standing import Standing, has_failed, is_about_cancel, is_not_run, standing_of


@dataclass(frozen=True)
class NewRun:
    """A run that is about to be queued."""

    run_id: str
    report_type: str
    manifest_id: int
    table_name: str
    report_name: str
    agency_id: int
    agency_slug: str


@dataclass(frozen=True)
class NotRecorded:
    """A run that the database doesn't hold, and why."""

    run: NewRun
    reason: str
    #: Somebody holds a row that the run's refers to: it can be recorded once they let go.
    passing: bool


@dataclass(frozen=True)
class Recorded:
    """What became of runs that were to be queued, beside those that are pending now."""

    refused: list[NotRecorded]
    #: Those for which another run waits already: table_name → that run's id.
    waiting: dict[str, str]
    #: Those that are recorded but don't show yet, since somebody holds their table's status row.
    held: tuple[NewRun, ...] = ()


@dataclass(frozen=True)
class Refusal:
    """A run that ends before it begins: its manifest can't be used.

    ``shown`` is False where the table's status row belongs to another manifest and is left alone.
    """

    run: NewRun
    errors: str
    shown: bool = True


@dataclass(frozen=True)
class Unchanged:
    """A pending run that needn't be done: its matview is what its query would give."""

    run_id: str
    #: As they are in the matview.
    records: int | None
    total_bytes: int | None
    #: What proves it, in words.
    note: str


@dataclass(frozen=True)
class Figures:
    """What one refresh did. None means that it could not be known, never a guess."""

    #: Rows in the matview after the run.
    records: int | None
    #: Total size of the relation with indexes and TOAST, in bytes.
    total_bytes: int | None
    #: Resident memory of the PostgreSQL backend that did the work, in MiB.
    memory_mb: int | None = None
    #: CPU time of that backend over wall time, in per cent of one processor.
    cpu_percentage: int | None = None
    #: False: the rows were left as they were, so the run took 0 s, as no other does.
    worked: bool = True


@dataclass(frozen=True)
class Seen:
    """A run as its mover knows it: the attempt that it makes itself, or the run as it has last read it.

    A move counts only while the record still says so. That keeps a worker that was given up for dead from its
    successor's run: each attempt has a ``start_time`` of its own.
    """

    run_id: str
    table_name: str
    status: str
    start_time: datetime


@dataclass(frozen=True)
class Run:
    """One row of the run history."""

    run_id: str
    table_name: str
    report_name: str
    report_type: str
    manifest_id: int
    agency_slug: str
    status: str
    start_time: datetime
    finish_time: datetime | None
    duration_seconds: int | None
    records_processed: int | None
    bytes_processed: int | None
    memory_usage_mb: int | None
    cpu_percentage: int | None
    consecutive_failures: int
    errors: str | None
    #: What a person should know of a success; None where the column isn't there (seeder.history.optional).
    note: str | None
    #: How many tries have ended or were lost so far; None is none, or that the column isn't there.
    attempts: int | None

    @property
    def standing(self) -> Standing:
        return standing_of(self.status, self.errors)

    @property
    def is_cancelled(self) -> bool:
        return self.standing is Standing.CANCELLED

    @property
    def is_not_run(self) -> bool:
        """It wasn't done, as what it reads has failed."""
        return self.standing is Standing.NOT_RUN

    @property
    def seen(self) -> Seen:
        return Seen(self.run_id, self.table_name, self.status, self.start_time)


@dataclass(frozen=True, slots=True)
class Job:
    """One manifest with its latest status, as the dashboard view has it; ``status`` None is never run."""

    report_type: str
    manifest_id: int
    table_name: str
    report_name: str
    agency_id: int | None
    agency_slug: str
    agency_name: str | None
    enabled: bool
    status: str | None
    duration_seconds: int | None
    start_time: datetime | None
    finish_time: datetime | None
    records_processed: int | None
    bytes_processed: int | None
    consecutive_failures: int
    last_run_id: str | None
    last_errors: str | None

    @property
    def standing(self) -> Standing | None:
        """Of its last run; None is never run."""
        return None if self.status is None else standing_of(self.status, self.last_errors)

    @property
    def tells_of_cancel(self) -> bool:
        """Whether the last errors begin with those of a run that was cancelled, be it the last run or not."""
        return is_about_cancel(self.last_errors)

    @property
    def tells_of_upstream(self) -> bool:
        """Whether the last errors begin with those of a run that wasn't begun."""
        return is_not_run(self.last_errors)

    @property
    def has_failed(self) -> bool:
        """Whether any of its failures in a row was one, and not a run that somebody cancelled."""
        return has_failed(self.consecutive_failures, self.last_errors)
