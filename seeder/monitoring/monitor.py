"""All jobs, kept in memory and brought up to date by looks.

The dashboard view over 10,000 manifests and 5 million runs takes 0.7 s and more, so it is read whole only at
the start, when a manifest has changed, and now and then for what no look can notice (an agency's name). In
between, a look reads the few rows that have changed.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Lock

from seeder.config.settings import Settings
from seeder.history.queries import USUAL_OF
from seeder.history.watching import (
    ChangedStatus,
    LastSuccesses,
    RecordWatch,
    State,
    Status,
    WatchedJob,
)
from seeder.models import RunStatus
from seeder.monitoring.jobs import STALE_TICKS, Clock, MonitoredJob, Size, Successes, monitored
from seeder.monitoring.snapshot import Look, Snapshot
from seeder.postgres.databases import Databases
from seeder.postgres.failures import expecting_contract
from seeder.postgres.session import Session
from seeder.run_ids import identity_of, manifest_identity
from seeder.schedule.ticks import latest_ticks, next_tick
from seeder.wording import lasted

#: How far behind the last look a look goes back: a transition is written and visible within this time.
MARGIN = timedelta(seconds=3)

#: A fan-out is visible only at its end, and carries the time of its beginning.
LONG_MARGIN = timedelta(minutes=2)
LONG_MARGIN_EVERY = timedelta(seconds=10)

#: How often the versions of all manifests are read.
MANIFESTS_EVERY = timedelta(seconds=5)

#: How often everything is read anew.
RELOAD_EVERY = timedelta(minutes=10)

#: The last successes of so many ticks, but at least of a day, say what is usual.
USUAL_TICKS = 10
USUAL_AT_LEAST = timedelta(days=1)


class Monitor:
    """Looks are made one at a time, in any thread; ``snapshot`` is the last one's."""

    def __init__(self, databases: Databases, settings: Settings) -> None:
        self._watch = RecordWatch(databases, settings.db_schema)
        self._schedule = (settings.schedule, settings.zone)
        self._long_running_seconds = settings.long_running_seconds
        self._lock = Lock()
        self._snapshot: Snapshot | None = None
        #: By table and manifest: a job shows the successes of the manifest whose run it shows.
        self._successes: dict[tuple[str, str], Successes] = {}
        self._last: State | None = None
        self._loaded: datetime | None = None
        self._manifests: str | None = None
        self._manifests_read: datetime | None = None
        self._long_look: datetime | None = None
        #: The newest history row of a while ago: rows with a lower id may have become visible since.
        self._settled_id: int | None = None

    @property
    def snapshot(self) -> Snapshot | None:
        return self._snapshot

    def look(self) -> Look:
        """Bring the jobs up to date. Raises psycopg2.Error, SchemaIncomplete."""
        with self._lock, expecting_contract(), self._watch.databases.session() as session:
            ask = self._manifests_read is None or _older(self._manifests_read, self._last, MANIFESTS_EVERY)
            state = self._watch.state(session, with_manifests=ask)
            look = self._loaded_anew(session, state) or self._updated(session, state)
            if state.manifests is not None:
                self._manifests, self._manifests_read = state.manifests, state.now
            self._last = state
            self._snapshot = look.snapshot
            return look

    # --- everything ---------------------------------------------------------------------------------

    def _loaded_anew(self, session: Session, state: State) -> Look | None:
        changed = state.manifests is not None and state.manifests != self._manifests
        if self._loaded is not None and not changed and state.now - self._loaded < RELOAD_EVERY:
            return None
        clock = self._clock(state.now)
        if self._loaded is None or state.now - self._loaded >= RELOAD_EVERY:
            self._successes = {
                (row.table_name, _identity(row)): _successes(row)
                for row in self._watch.successes(session, self._usual_since(state.now))
            }
            self._loaded = state.now
        jobs = [self._monitored(job, clock) for job in self._watch.every_job(session)]
        by_table: dict[str, list[int]] = defaultdict(list)
        for number, one in enumerate(jobs):
            by_table[one.job.table_name].append(number)
        self._long_look, self._settled_id = state.now, state.newest_id or 0
        before = self._snapshot
        if before is not None and before.jobs == jobs:
            return Look(before, (), state.now)
        return Look(Snapshot(self._next_version(), clock, jobs, dict(by_table)), None, state.now)

    def _usual_since(self, now: datetime) -> datetime:
        return min(now - USUAL_AT_LEAST, latest_ticks(*self._schedule, now, USUAL_TICKS)[-1])

    # --- what has changed ---------------------------------------------------------------------------

    def _updated(self, session: Session, state: State) -> Look:
        before = self._snapshot
        assert before is not None  # loaded before anything is updated
        tables, others = self._changed_tables(session, state, before)
        jobs = {
            number: before.jobs[number]
            for table in tables | others
            for number in before.by_table.get(table, ())
        }
        clock = self._clock(state.now)
        if clock.next_run != before.clock.next_run:
            # A tick has passed, which every job is measured by.
            jobs = dict(enumerate(before.jobs))
        fresh = self._fresh(session, state, before, tables, others)
        became_long = (
            number
            for number, one in enumerate(before.jobs)
            if one.long_after is not None and not one.is_long_running and state.now > one.long_after
        )
        jobs |= {number: before.jobs[number] for number in became_long}
        changed = {}
        for number, one in jobs.items():
            now_is = self._monitored(fresh.get(one.identity, one.job), clock)
            if now_is != one:
                changed[number] = now_is
        if not changed:
            return Look(before, (), state.now)
        updated = list(before.jobs)
        for number, one in changed.items():
            updated[number] = one
        snapshot = Snapshot(self._next_version(), clock, updated, before.by_table)
        return Look(snapshot, list(changed.values()), state.now)

    def _changed_tables(self, session: Session, state: State, before: Snapshot) -> tuple[set[str], set[str]]:
        """Tables whose status row is new, and tables with a new run that isn't their status row's."""
        last = self._last
        assert last is not None  # as above
        long = _older(self._long_look, state, LONG_MARGIN_EVERY)
        rows = self._watch.changed(session, last.now - (LONG_MARGIN if long else MARGIN))
        tables = {row.table_name for row in rows if not _known(before, row)}
        others = set()
        if (state.newest_id or 0) > (self._settled_id or 0):
            others = set(self._watch.others_since(session, self._settled_id or 0))
        if long:
            self._long_look, self._settled_id = state.now, last.newest_id or 0
        return tables, others

    def _fresh(
        self, session: Session, state: State, before: Snapshot, tables: set[str], others: set[str]
    ) -> dict[str, WatchedJob]:
        """The jobs of these tables as they are now, by identity."""
        fresh: dict[str, WatchedJob] = {}
        through_view = set(others)
        ended_unseen = set(others)
        alone = tables - others
        for row in self._watch.statuses(session, sorted(alone)) if alone else ():
            self._note_success(row)
            owners = before.of_table(row.table_name)
            if any(_may_hide_an_end(one.job, row) for one in owners):
                ended_unseen.add(row.table_name)
            if len(owners) == 1 and _is_of(owners[0].job, row):
                fresh[owners[0].identity] = _with_status(owners[0].job, row)
            else:
                # Whose run it is takes more than the status row to tell; the view knows.
                through_view.add(row.table_name)
        if ended_unseen:
            since = self._usual_since(state.now)
            for ended in self._watch.successes_of(session, sorted(ended_unseen), since):
                self._successes[ended.table_name, _identity(ended)] = _successes(ended)
        if through_view:
            for job in self._watch.jobs_of(session, sorted(through_view)):
                fresh[manifest_identity(job.report_type, job.manifest_id)] = job
        return fresh

    def _note_success(self, row: Status) -> None:
        if row.status != RunStatus.SUCCESS or row.finish_time is None:
            return
        known = self._successes.get((row.table_name, _identity(row)), Successes())
        if known.last is None or row.finish_time > known.last:
            took = lasted(row.duration_seconds, row.start_time, row.finish_time)
            # What wasn't done, as nothing had changed, says nothing of what is usual.
            seconds = ((took, *known.seconds) if took else known.seconds)[:USUAL_OF]
            sizes = (Size(row.records_processed, row.bytes_processed), *known.sizes[:1])
            self._successes[row.table_name, _identity(row)] = Successes(row.finish_time, seconds, sizes)

    # --- how ----------------------------------------------------------------------------------------

    def _clock(self, now: datetime) -> Clock:
        before = self._snapshot and self._snapshot.clock
        if before and before.now <= now < before.next_run:
            return replace(before, now=now)
        last, before_that = latest_ticks(*self._schedule, now, STALE_TICKS)
        return Clock(now, last, before_that, next_tick(*self._schedule, now), self._long_running_seconds)

    def _monitored(self, job: WatchedJob, clock: Clock) -> MonitoredJob:
        runner = identity_of(job.last_run_id or "")
        return monitored(job, self._successes.get((job.table_name, runner), Successes()), clock)

    def _next_version(self) -> int:
        return self._snapshot.version + 1 if self._snapshot else 1


def _identity(row: Status | LastSuccesses) -> str:
    return manifest_identity(row.report_type, row.manifest_id)


def _successes(row: LastSuccesses) -> Successes:
    return Successes(row.last, tuple(row.seconds), tuple(Size(*size) for size in row.sizes))


def _older(moment: datetime | None, state: State | None, than: timedelta) -> bool:
    return moment is None or state is None or state.now - moment >= than


def _known(before: Snapshot, row: ChangedStatus) -> bool:
    """Whether a job of the table carries that change already. A table without a job is nobody's."""
    jobs: Iterable[MonitoredJob] = before.of_table(row.table_name)
    return all(one.job.updated_at is not None and one.job.updated_at >= row.updated_at for one in jobs)


def _is_of(job: WatchedJob, row: Status) -> bool:
    return (job.report_type, job.manifest_id) == (row.report_type, row.manifest_id)


def _may_hide_an_end(job: WatchedJob, row: Status) -> bool:
    """Whether a run of the table may have ended without any status row that told of it: a newer run had its
    place already, or has taken it since the last look."""
    if row.last_run_id == job.last_run_id:
        return row.status == job.status
    return job.status in (RunStatus.PENDING, RunStatus.RUNNING)


def _with_status(job: WatchedJob, row: Status) -> WatchedJob:
    return replace(
        job,
        status=row.status,
        duration_seconds=row.duration_seconds,
        start_time=row.start_time,
        finish_time=row.finish_time,
        records_processed=row.records_processed,
        bytes_processed=row.bytes_processed,
        consecutive_failures=row.consecutive_failures or 0,
        last_run_id=row.last_run_id,
        last_errors=row.last_errors,
        updated_at=row.updated_at,
    )
