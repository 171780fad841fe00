"""Sessions that hold a lock which runs need: on the record's tables, on rows of them, or that of fan-outs.

A row's lock stands in no view unless somebody waits for it. Its holder is in the row itself: xmax is the
transaction that has locked or changed it last, and one that hasn't ended has a lock on its own id
(https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-ROWS). Several that share a row's lock
are a multixact, which isn't looked into.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import psycopg2

from seeder.history import WINDOW_DAYS
from seeder.history.fan_outs import QUEUEING
from seeder.matviews.insight.activity import SESSION, Person
from seeder.matviews.insight.facts import BRIEFLY
from seeder.matviews.locks.lock import BIGINT_KEY, IS_HELD
from seeder.postgres.databases import Databases
from seeder.postgres.session import Session
from seeder.sql.names import quoted
from seeder.wording import listed

#: A run that moves holds its rows too, for a millisecond. Only a session that does so longer is in the way.
LONG_SECONDS = 2

#: Sessions in a message.
NAMED = 3

#: A fan-out that waits for somebody holds what others of ours wait for, but isn't who is in the way.
NOT_OURS = "(starts_with(a.application_name, 'seeder') and a.wait_event_type = 'Lock') is not true"

#: The modes that keep a writer, or more, from a table
#: (https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-TABLES).
TABLES = f"""
select {SESSION}, held.relation, held.mode, null::text[] as tables
from (
    select l.pid, c.relname::text as relation, l.mode::text as mode
    from pg_locks l
    join pg_class c on c.oid = l.relation
    join pg_namespace n on n.oid = c.relnamespace
    where l.locktype = 'relation' and l.granted
      and l.database = (select d.oid from pg_database d where d.datname = current_database())
      and n.nspname = %(schema)s and c.relname in ('seeder_job_status', 'seeder_run_history')
      and l.mode in ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
    union all
    select l.pid, null, null
    from pg_locks l
    where {IS_HELD}
      and {BIGINT_KEY} = {QUEUEING}
) held
join pg_stat_activity a on a.pid = held.pid
where a.pid <> pg_backend_pid()
  and coalesce(a.xact_start < clock_timestamp() - make_interval(secs => %(long)s), true)
  and {NOT_OURS}
order by a.xact_start nulls last, a.pid, held.relation
"""

ROWS = """
select {session}, held.relation, null as mode, array_agg(held.table_name order by held.table_name) as tables
from (
    select xmax, 'seeder_job_status' as relation, table_name from {status}
    union all
    select xmax, 'seeder_run_history', table_name from {history}
    where start_time > now() - make_interval(days => %(days)s) and status in ('pending', 'running')
) held
join pg_locks l on l.transactionid = held.xmax and l.locktype = 'transactionid' and l.granted
join pg_stat_activity a on a.pid = l.pid
where a.pid <> pg_backend_pid()
  and coalesce(a.xact_start < clock_timestamp() - make_interval(secs => %(long)s), true)
  and {not_ours}
group by a.pid, a.application_name, a.usename, a.state, a.xact_start, a.query, held.relation
order by a.xact_start nulls last, a.pid, held.relation
"""


@dataclass(frozen=True)
class Holder:
    """A session, and what it holds: a whole table, if there is a ``mode``; rows of one, if there are
    ``tables`` of reports; else the lock that fan-outs take one after the other."""

    person: Person
    relation: str | None
    mode: str | None
    tables: tuple[str, ...]

    @property
    def what(self) -> str:
        if self.mode is not None:
            return f"{self.mode} on {self.relation}"
        if not self.tables:
            return "the lock that lets one fan-out at a time record its runs"
        rows = "the row" if len(self.tables) == 1 else f"{len(self.tables):,} rows, the first that"
        return f"{rows} of {self.tables[0]} in {self.relation}"

    @property
    def words(self) -> str:
        """For a message: pid, application, user, what, and since when."""
        person = self.person
        since = f" since {person.since:%H:%M:%S %Z}" if person.since else ""
        name = person.application_name or "a session without a name"
        return f"pid {person.pid} ({name}, user {person.username}) holds {self.what}{since}"

    def is_in_the_way_of(self, table_name: str) -> bool:
        """Whether a run of that table waits for it."""
        return self.mode is not None or table_name in self._tables

    @cached_property
    def _tables(self) -> frozenset[str]:
        return frozenset(self.tables)


def holders(databases: Databases, schema: str) -> tuple[Holder, ...]:
    """Sessions that have held such a lock for a while, the longest first. Raises psycopg2.Error."""
    with databases.session() as session:
        found = _asked(session, TABLES, schema=schema)
        try:
            rows = ROWS.format(
                session=SESSION,
                not_ours=NOT_OURS,
                status=f"{quoted(schema)}.seeder_job_status",
                history=f"{quoted(schema)}.seeder_run_history",
            )
            return (*found, *_asked(session, rows, days=WINDOW_DAYS))
        except psycopg2.errors.LockNotAvailable:
            # While not even reading a table is possible, locks on its rows don't matter.
            return found


def _asked(session: Session, sql: str, **values: object) -> tuple[Holder, ...]:
    return tuple(
        Holder(Person.of(row), row.relation, row.mode, tuple(row.tables or ()))
        for row in session.rows(BRIEFLY + sql, long=LONG_SECONDS, **values)
    )


def told(found: Sequence[Holder]) -> str:
    """A sentence about them, or nothing."""
    if not found:
        return ""
    words = listed([one.words for one in found], NAMED, "; ")
    return f" In the record of seeder {words}."
