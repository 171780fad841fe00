"""One job, and what is unusual about it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from statistics import median_low

from seeder.history import Standing
from seeder.history.watching import WatchedJob
from seeder.models import RunStatus
from seeder.run_ids import manifest_identity

#: The flags by the API's names, each with the attribute of MonitoredJob that it is.
FLAGS = {
    "isFailing": "is_failing",
    "isLongRunning": "is_long_running",
    "isStale": "is_stale",
    "neverRun": "never_run",
    "enabled": "enabled",
}

#: A run is long once it has taken so many times its usual duration.
LONG_FACTOR = 3

#: A job is stale when its last success is from before so many ticks of the schedule.
STALE_TICKS = 2


@dataclass(frozen=True, slots=True)
class Size:
    """What a matview held after a run; None where it could not be known."""

    rows: int | None
    total_bytes: int | None


@dataclass(frozen=True, slots=True)
class Successes:
    """A manifest's last successful runs: when the latest ended, how long each took, and what the last two of
    them left, newest first."""

    last: datetime | None = None
    seconds: tuple[float, ...] = ()
    sizes: tuple[Size, ...] = ()

    @property
    def usual(self) -> float | None:
        return median_low(self.seconds) if self.seconds else None


@dataclass(frozen=True, slots=True)
class Clock:
    """What flags depend on beside the job: the time, and the schedule around it."""

    now: datetime
    last_tick: datetime
    #: The tick before the last one: what is older is stale.
    stale_before: datetime
    next_run: datetime
    long_running_seconds: float


@dataclass(frozen=True, slots=True)
class MonitoredJob:
    """A job with its flags, as of a look."""

    job: WatchedJob
    #: How long its runs usually take, in seconds.
    usual: float | None
    last_success: datetime | None
    #: After the last success, and after the one before it.
    size: Size | None
    size_before: Size | None
    #: When its run, if one is at work, becomes long.
    long_after: datetime | None
    is_failing: bool
    is_long_running: bool
    is_stale: bool
    never_run: bool
    enabled: bool
    next_run: datetime | None
    #: What a text search looks through.
    text: str

    @property
    def identity(self) -> str:
        return manifest_identity(self.job.report_type, self.job.manifest_id)

    @property
    def is_cancelled(self) -> bool:
        """Its last run was ended by somebody."""
        return self.job.standing is Standing.CANCELLED

    @property
    def is_not_run(self) -> bool:
        """Its last run wasn't begun, as what it reads had failed."""
        return self.job.standing is Standing.NOT_RUN

    @property
    def usual_seconds(self) -> int | None:
        """Rounded up, as the record's durations are."""
        return None if self.usual is None else ceil(self.usual)

    @property
    def attention(self) -> int:
        """How much it wants to be looked at, 0 the most."""
        if not self.enabled:
            return 6
        if self.is_failing or self.is_long_running:
            return 0
        if self.is_stale or self.is_not_run:
            return 1
        return {"running": 2, "pending": 3, None: 4}.get(self.job.status, 5)


def monitored(job: WatchedJob, successes: Successes, clock: Clock) -> MonitoredJob:
    """The flags of a job. What is switched off is neither failing nor stale: nobody expects it to run."""
    usual = None if successes.usual is None else ceil(successes.usual)
    failing = job.has_failed
    succeeded = job.status == RunStatus.SUCCESS
    last_success = max(filter(None, (successes.last, job.finish_time if succeeded else None)), default=None)
    sizes = successes.sizes
    if succeeded and not sizes:
        # The success is older than the successes that are read.
        sizes = (Size(job.records_processed, job.bytes_processed),)
    never_run = job.status is None
    long_after = None
    if job.status == RunStatus.RUNNING and job.start_time is not None:
        limit = clock.long_running_seconds
        if usual:
            limit = min(limit, LONG_FACTOR * usual)
        long_after = job.start_time + timedelta(seconds=limit)
    return MonitoredJob(
        job=job,
        usual=successes.usual,
        last_success=last_success,
        size=sizes[0] if sizes else None,
        size_before=sizes[1] if len(sizes) > 1 else None,
        long_after=long_after,
        is_failing=job.enabled and failing,
        is_long_running=long_after is not None and clock.now > long_after,
        is_stale=job.enabled and _is_stale(last_success, clock, failing=failing),
        never_run=never_run,
        enabled=job.enabled,
        next_run=clock.next_run if job.enabled else None,
        text="\n".join((job.table_name, job.report_name, job.agency_slug, job.agency_name or "")).casefold(),
    )


def _is_stale(last_success: datetime | None, clock: Clock, *, failing: bool) -> bool:
    if last_success is not None:
        return last_success < clock.stale_before
    # What never succeeded is stale once it has failed; a first run that isn't over is still awaited.
    return failing
