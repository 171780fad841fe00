"""What has changed in the record since the last look; asked once a second, so each question is small.

The status table has one row per table and is read whole (a few ms for 10,000), the history only through its
indexes. Transactions become visible some time after the moment they write down: a look therefore goes back a
little behind the last one, and what is known already is told by its ``updated_at``.
"""

from dataclasses import dataclass
from datetime import datetime

from seeder.history.rows import Job
from seeder.history.statements import Statements
from seeder.postgres.databases import Databases
from seeder.postgres.session import Session

EVERY_JOB = """
select {job_columns}, updated_at from {dashboard} order by report_type desc, manifest_id
"""

JOBS_OF_TABLES = """
select {job_columns}, updated_at from {dashboard} where table_name = any(%(tables)s)
order by report_type desc, manifest_id
"""

#: A row's version is its place and the transaction that wrote it. Those of all manifests show every change,
#: by whatever session, without reading what is in them.
STATE = """
select clock_timestamp() as now,
       (select max(id) from {history}) as newest_id,
       (select count(*)::text || coalesce(bit_xor(hashtextextended(ctid::text || xmin::text, 1)), 0)
        from {custom_manifest})
       || ' ' ||
       (select count(*)::text || coalesce(bit_xor(hashtextextended(ctid::text || xmin::text, 2)), 0)
        from {canned_manifest})
       || ' ' ||
       (select count(*)::text || coalesce(bit_xor(hashtextextended(ctid::text || xmin::text, 3)), 0)
        from {canned_report}) as manifests
"""

NOW = """
select clock_timestamp() as now, (select max(id) from {history}) as newest_id, null as manifests
"""

CHANGED = """
select table_name, updated_at from {status} where updated_at >= %(since)s
"""

STATUS_OF_TABLES = """
select s.table_name, s.report_type, s.manifest_id, s.status, s.duration_seconds, s.start_time,
       s.consecutive_failures, s.last_run_id, s.last_errors, s.updated_at,
       last.finish_time, last.records_processed, last.bytes_processed
from {status} s
left join lateral (
    select h.finish_time, h.records_processed, h.bytes_processed
    from {history} h where h.run_id = s.last_run_id limit 1
) last on true
where s.table_name = any(%(tables)s)
"""

#: Tables with a new run that isn't the one their status row tells of: another manifest's, or one that a newer
#: run has overtaken.
OTHERS_SINCE = """
select distinct h.table_name
from {history} h
left join {status} s on s.table_name = h.table_name
where h.id > %(newest_id)s
  and h.run_id is distinct from s.last_run_id
"""

#: What wasn't done, as nothing had changed, took 0 s and says nothing of what is usual. A short range of the
#: index on start_time. Of each manifest its own: what was refused because its table is
#: another's has nothing of that one's.
SUCCESSES = """
select table_name, report_type, manifest_id, max(finish_time) as last,
       coalesce((array_agg({lasted} order by id desc) filter (where duration_seconds > 0))[1:{usual_of}],
                '{{}}') as seconds,
       (array_agg(array[records_processed, bytes_processed]
                  order by finish_time desc, id desc))[1:2][1:2] as sizes
from {history}
where start_time >= %(since)s and status = 'success'
group by table_name, report_type, manifest_id
"""

#: The same of some tables, through their own index.
SUCCESSES_OF_TABLES = """
select table_name, report_type, manifest_id, max(finish_time) as last,
       coalesce((array_agg({lasted} order by id desc) filter (where duration_seconds > 0))[1:{usual_of}],
                '{{}}') as seconds,
       (array_agg(array[records_processed, bytes_processed]
                  order by finish_time desc, id desc))[1:2][1:2] as sizes
from {history}
where table_name = any(%(tables)s) and start_time >= %(since)s and status = 'success'
group by table_name, report_type, manifest_id
"""


@dataclass(frozen=True)
class State:
    """The database's clock, the newest history row, and the manifests' versions (None: not asked)."""

    now: datetime
    newest_id: int | None
    manifests: str | None


@dataclass(frozen=True, slots=True)
class WatchedJob(Job):
    """A job with the time of its last change, by which a look knows whether it has seen it."""

    updated_at: datetime | None


@dataclass(frozen=True, slots=True)
class ChangedStatus:
    """A status row that was written."""

    table_name: str
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Status:
    """A table's status row, with its run's figures."""

    table_name: str
    report_type: str
    manifest_id: int
    status: str | None
    duration_seconds: int | None
    start_time: datetime | None
    consecutive_failures: int | None
    last_run_id: str | None
    last_errors: str | None
    updated_at: datetime | None
    finish_time: datetime | None
    records_processed: int | None
    bytes_processed: int | None


@dataclass(frozen=True, slots=True)
class LastSuccesses:
    """Of one manifest of a table: the last finish and, newest first, durations, and rows and bytes of two."""

    table_name: str
    report_type: str
    manifest_id: int
    last: datetime | None
    seconds: list[float]
    sizes: list[tuple[int | None, int | None]]


class RecordWatch:
    """The questions; each takes the session of the look it belongs to."""

    def __init__(self, databases: Databases, schema: str) -> None:
        self.databases = databases
        self.sql = Statements(schema)

    def state(self, session: Session, *, with_manifests: bool) -> State:
        (state,) = session.rows_of(State, self.sql(STATE if with_manifests else NOW))
        return state

    def every_job(self, session: Session) -> list[WatchedJob]:
        return session.rows_of(WatchedJob, self.sql(EVERY_JOB))

    def jobs_of(self, session: Session, tables: list[str]) -> list[WatchedJob]:
        return session.rows_of(WatchedJob, self.sql(JOBS_OF_TABLES), tables=tables)

    def changed(self, session: Session, since: datetime) -> list[ChangedStatus]:
        """The status rows written since."""
        return session.rows_of(ChangedStatus, self.sql(CHANGED), since=since)

    def statuses(self, session: Session, tables: list[str]) -> list[Status]:
        return session.rows_of(Status, self.sql(STATUS_OF_TABLES), tables=tables)

    def others_since(self, session: Session, newest_id: int) -> list[str]:
        """Tables with a run recorded since that isn't the one in their status row."""
        return [row.table_name for row in session.rows(self.sql(OTHERS_SINCE), newest_id=newest_id)]

    def successes_of(self, session: Session, tables: list[str], since: datetime) -> list[LastSuccesses]:
        """``successes`` of these tables."""
        return session.rows_of(LastSuccesses, self.sql(SUCCESSES_OF_TABLES), tables=tables, since=since)

    def successes(self, session: Session, since: datetime) -> list[LastSuccesses]:
        """Of runs begun since."""
        return session.rows_of(LastSuccesses, self.sql(SUCCESSES), since=since)
