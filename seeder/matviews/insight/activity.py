"""Sessions that hold or await a lock on a matview, and what the session of its run is doing or waiting for.

https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-ACTIVITY-VIEW
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from seeder.matviews.insight.facts import BRIEFLY
from seeder.matviews.locks.lock import HOLDS
from seeder.matviews.locks.lock_key import key_of
from seeder.postgres.session import Row, Session
from seeder.sql.names import MatviewName

#: The rows of other roles show neither query nor state to a role without pg_read_all_stats.
SESSION = """
a.pid, coalesce(a.application_name, '') as application_name, coalesce(a.usename::text, '') as username,
coalesce(a.state, '') as state, a.xact_start as since, coalesce(a.query, '') as query
"""

SESSIONS_AT = f"""
select {SESSION},
       array_agg(distinct l.mode::text order by l.mode::text) filter (where l.granted) as held,
       (array_agg(l.mode::text) filter (where not l.granted))[1] as awaited
from pg_locks l
join pg_stat_activity a on a.pid = l.pid
where l.locktype = 'relation' and l.relation = cast(%(oid)s as oid)
  and l.database = (select d.oid from pg_database d where d.datname = current_database())
  and a.pid <> pg_backend_pid() and a.leader_pid is null
group by a.pid, a.application_name, a.usename, a.state, a.xact_start, a.query
order by a.xact_start nulls last, a.pid
limit 50
"""

#: The session that holds the matview's advisory lock and what it does. Which sessions block it is asked only
#: while it waits: pg_blocking_pids() takes the lock manager's own locks.
WORKER = f"""
select {SESSION}, clock_timestamp() as now, a.query_start as statement_since,
       a.wait_event_type, a.wait_event,
       case when a.wait_event_type = 'Lock' then pg_blocking_pids(a.pid) else '{{}}' end as blockers,
       (select count(*) from pg_stat_activity helper where helper.leader_pid = a.pid) as helpers
{HOLDS}limit 1
"""

AWAITED = """
select l.mode::text as mode, l.locktype::text as what, n.nspname || '.' || c.relname as relation,
       l.waitstart as since
from pg_locks l
left join pg_class c on c.oid = l.relation
left join pg_namespace n on n.oid = c.relnamespace
where l.pid = %(pid)s and not l.granted
limit 1
"""

BLOCKERS = f"""
select {SESSION} from pg_stat_activity a where a.pid = any (%(pids)s) order by a.xact_start nulls last, a.pid
"""

#: How far a refresh is, by its locks (seen on 15 and 18): a plain one takes each index's lock when it comes
#: to make it anew; a concurrent one takes the lock of a writer once it knows what has changed.
HELD = """
select count(*) filter (where l.relation = c.oid and l.mode = 'AccessExclusiveLock') > 0 as replaces,
       count(*) filter (where l.relation = c.oid and l.mode = 'ExclusiveLock') > 0 as compares,
       count(*) filter (where l.relation = c.oid and l.mode = 'RowExclusiveLock') > 0 as applies,
       count(*) filter (where l.relation <> c.oid and l.mode = 'AccessExclusiveLock') as indexes_begun,
       (select count(*) from pg_index i where i.indrelid = c.oid) as indexes
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
join pg_locks l on l.pid = %(pid)s and l.granted and l.locktype = 'relation'
    and (l.relation = c.oid or l.relation in (select i.indexrelid from pg_index i where i.indrelid = c.oid))
where n.nspname = %(schema)s and c.relname = %(name)s and c.relkind = 'm'
group by c.oid
"""

#: A refresh shows itself in none of the progress views (18); what seeder does after it does.
PROGRESS = """
select 'making the index ' || coalesce(c.relname, '') as what, p.phase,
       case when p.blocks_total > 0 then p.blocks_done::float / p.blocks_total end as share
from pg_stat_progress_create_index p left join pg_class c on c.oid = p.index_relid
where p.pid = %(pid)s
union all
select 'gathering statistics', p.phase,
       case when p.sample_blks_total > 0 then p.sample_blks_scanned::float / p.sample_blks_total end
from pg_stat_progress_analyze p where p.pid = %(pid)s
union all
select 'vacuuming', p.phase,
       case when p.heap_blks_total > 0 then p.heap_blks_scanned::float / p.heap_blks_total end
from pg_stat_progress_vacuum p where p.pid = %(pid)s
limit 1
"""


_PASSWORD = re.compile(r"(\bpassword\s+)(?:[a-z]?'.*|\$.*)", re.IGNORECASE)


@dataclass(frozen=True)
class Person:
    """A session of a person or a program."""

    pid: int
    application_name: str
    username: str
    state: str
    #: When its transaction began.
    since: datetime | None
    #: Its statement, or the last one it ran.
    query: str

    @classmethod
    def of(cls, row: Row) -> Self:
        """From a row with SESSION's columns, and others."""
        return cls(row.pid, row.application_name, row.username, row.state, row.since, row.query)

    @property
    def first_line(self) -> str:
        """The first line of the query, without passwords, as in ALTER ROLE."""
        line = next((line.strip() for line in self.query.splitlines() if line.strip()), "")
        return _PASSWORD.sub(r"\1'***'", line)


@dataclass(frozen=True)
class AtMatview:
    """A session that holds a lock on the matview or waits for one."""

    person: Person
    held: tuple[str, ...]
    awaited: str | None


@dataclass(frozen=True)
class Awaited:
    """The lock that a session waits for."""

    mode: str
    #: pg_locks.locktype: relation, transactionid, advisory and so on.
    what: str
    relation: str | None
    since: datetime | None


@dataclass(frozen=True)
class Step:
    """What is known of a statement's progress; ``share`` is from 0 to 1."""

    what: str
    phase: str
    share: float | None = None


@dataclass(frozen=True)
class Worker:
    """The session that holds the matview's lock, as it was ``now``."""

    person: Person
    now: datetime
    statement_since: datetime | None
    wait_event_type: str | None
    wait_event: str | None
    #: Parallel workers beside it.
    helpers: int
    awaited: Awaited | None
    blockers: tuple[Person, ...]
    step: Step | None


def sessions_at(session: Session, oid: int) -> list[AtMatview]:
    """The sessions that use the matview, without our own, the longest transaction first; at most 50."""
    return [
        AtMatview(Person.of(row), tuple(row.held or ()), row.awaited)
        for row in session.rows(BRIEFLY + SESSIONS_AT, oid=oid)
    ]


def working_session(session: Session, matview: MatviewName) -> Worker | None:
    """The session that works on the matview, and what it waits for; None if there is none."""
    row = session.row(BRIEFLY + WORKER, key=key_of(matview))
    if row is None:
        return None
    awaited, blockers = None, []
    if row.blockers:
        awaited = session.row_of(Awaited, BRIEFLY + AWAITED, pid=row.pid)
        blockers = session.rows_of(Person, BRIEFLY + BLOCKERS, pids=list(row.blockers))
    step = session.row_of(Step, BRIEFLY + PROGRESS, pid=row.pid)
    held = (
        None if step else session.row(BRIEFLY + HELD, pid=row.pid, schema=matview.schema, name=matview.name)
    )
    return Worker(
        person=Person.of(row),
        now=row.now,
        statement_since=row.statement_since,
        wait_event_type=row.wait_event_type,
        wait_event=row.wait_event,
        helpers=row.helpers,
        awaited=awaited,
        blockers=tuple(blockers),
        step=_step_from_locks(held) if held else step,
    )


def _step_from_locks(held: Row) -> Step | None:
    if held.replaces and held.indexes_begun:
        return Step("refreshing plain", f"making index {held.indexes_begun} of {held.indexes}")
    if held.replaces:
        return Step("refreshing plain", "executing the query")
    if held.applies:
        return Step("refreshing concurrently", "writing what has changed")
    if held.compares:
        return Step("refreshing concurrently", "executing the query, or comparing its rows with those there")
    return None
