"""One refresh of a matview at any time, over all workers and machines: a session-level advisory lock.

The lock lives on the matview's own database and ends with the backend that holds it, so it is the proof of
life of a run too: a run recorded as running whose lock nobody holds is dead. Session-level, not
transaction-level, because a run is several transactions, its record included.
https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from seeder.errors import DatabaseFull, MatviewBusy
from seeder.matviews import slots
from seeder.matviews.shape import SHAPE
from seeder.postgres.databases import IDLE_NAME
from seeder.postgres.prepared import Prepared
from seeder.postgres.session import OWN_LIMITS, Session
from seeder.sql.names import MatviewName

#: PostgreSQL cuts application_name there (NAMEDATALEN - 1).
APPLICATION_NAME_BYTES = 63

#: The names of copies begin so.
COPY_PREFIX = "seeder:copy:"

#: The lock is tried in a statement of its own: the next one's snapshot is then taken with the lock held, so
#: what it sees of the matview is what the last holder left.
TRY = """
select set_config('seeder.locked', pg_try_advisory_lock(%(key)s)::text, false),
       set_config('application_name', %(application_name)s, false)
"""

#: A refresh's limits, as columns of a query: that query's own locks are taken before they hold.
LIMITS = """\
set_config('statement_timeout', %(statement_timeout_ms)s, false) as statement_timeout,
       set_config('lock_timeout', %(lock_timeout_ms)s, false) as lock_timeout"""
SET_LIMITS = f"select {LIMITS}"

#: What REFRESH … CONCURRENTLY asks of an index (matview.c, is_usable_unique_index).
USABLE = """\
i.indisunique and i.indimmediate and i.indisvalid and i.indpred is null and i.indexprs is null"""

LOOK = f"""
select current_setting('seeder.locked')::boolean as locked,
       c.oid,
       c.relkind::text as kind,
       c.relispopulated as populated,
       obj_description(c.oid, 'pg_class') as comment,
       current_setting('seeder.slot', true) as slot,
       exists (
           select from pg_index i where i.indrelid = c.oid and {USABLE}
       ) as keyed,
       (
           select left_over.oid
           from pg_class left_over join pg_namespace its on its.oid = left_over.relnamespace
           where its.nspname = %(schema)s and left_over.relname = %(copy)s and left_over.relkind = 'm'
       ) as leftover,
       case when c.relkind = 'm' then ({SHAPE}) end as shape
from (values (1)) as always_one_row
left join (pg_class c join pg_namespace n on n.oid = c.relnamespace and n.nspname = %(schema)s)
       on c.relname = %(name)s
"""

#: Without the lock: for those who only want to know.
GLANCE = Prepared("glance", ("select set_config('seeder.locked', 'false', false)", LOOK))

#: Whether the lock was taken, in a statement after TRY, and where the database has a limit, a slot too.
TAKEN = "current_setting('seeder.locked')::boolean"
TAKEN_WITH_SLOT = f"{TAKEN} and current_setting('seeder.slot') <> ''"

TAKE = Prepared("take", (TRY, SET_LIMITS, LOOK))
TAKE_WITH_SLOT = Prepared("take_with_slot", (TRY, slots.TRY, SET_LIMITS, LOOK))

LIMIT = "select set_config('statement_timeout', %(statement_timeout_ms)s, false)"

#: The connection's next borrower finds none of the run's limits.
RELEASE = f"""
select pg_advisory_unlock(%(key)s), {slots.UNLOCK},
       set_config('application_name', %(application_name)s, false);
{OWN_LIMITS}
"""

#: A bigint key is shown in two halves, and objsubid 1 tells it from a pair of integers (pg_locks' page).
HOLDER = """
select a.application_name, a.pid
from pg_locks l join pg_stat_activity a on a.pid = l.pid
where l.locktype = 'advisory' and l.granted and l.objsubid = 1
  and l.database = (select oid from pg_database where datname = current_database())
  and (l.classid::bigint << 32) | l.objid::bigint = %(key)s
"""

#: HOLDER's session in the name of one run, told to end its statement. Look and signal are one statement, so
#: that no other run's is ever meant.
CANCEL = """
select a.pid, pg_cancel_backend(a.pid) as told
from pg_locks l join pg_stat_activity a on a.pid = l.pid
where l.locktype = 'advisory' and l.granted and l.objsubid = 1
  and l.database = (select oid from pg_database where datname = current_database())
  and (l.classid::bigint << 32) | l.objid::bigint = %(key)s
  and starts_with(a.application_name, %(name)s)
"""


@dataclass(frozen=True)
class Limits:
    """What a run's statements may take, in seconds (0 is no limit), and where a manifest's unqualified names
    are looked up; our own statements find theirs in pg_catalog alone (seeder.postgres.session.OWN_PATH)."""

    statement_timeout: float
    lock_timeout: float
    #: The names of schemas, as the catalogue has them.
    search_path: tuple[str, ...]
    #: The manifest's directive that the statement timeout is from; None where it is the settings'.
    directive: str | None = None

    @property
    def statement_timeout_ms(self) -> str:
        return str(round(self.statement_timeout * 1000))

    def shortened(self, statement_timeout: float, directive: str | None = None) -> "Limits":
        """With that statement timeout, of a directive's where there is one, unless this one is shorter."""
        if 0 < self.statement_timeout <= statement_timeout:
            return self
        return replace(self, statement_timeout=statement_timeout, directive=directive)


@dataclass(frozen=True)
class Found:
    """The relation that bears the matview's name, as the catalogue had it when the lock was taken."""

    oid: int | None
    kind: str | None
    populated: bool | None
    comment: str | None
    #: There is a unique index that CONCURRENTLY can use.
    keyed: bool
    #: The copy that a run left which died before it could exchange it.
    leftover: int | None = None
    #: Hash of the names of all that the matview reads.
    shape: str | None = None


def key_of(matview: MatviewName) -> int:
    """The advisory lock's key: 64 bits of a hash, so that 10,000 matviews hardly ever share one (1e-12)."""
    digest = hashlib.blake2b(f"seeder:{matview}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)


def copy_of(matview: MatviewName) -> MatviewName:
    """What the matview that is built to take its place is called until then. A colon is refused in a
    manifest's table_name, so no other matview of seeder's bears such a name."""
    return MatviewName(matview.schema, f"{COPY_PREFIX}{key_of(matview) & (1 << 64) - 1:016x}")


def key_of_copy(name: str) -> int | None:
    """The key of the matview for which a copy of that name was built; None for a name that isn't a copy's."""
    found = re.fullmatch(f"{COPY_PREFIX}([0-9a-f]{{16}})", name)
    return int.from_bytes(bytes.fromhex(found[1]), signed=True) if found else None


def application_name(run_id: str, attempt: int) -> str:
    """``seeder <run_id> <attempt>``: who works, for people and for the next message of the same run."""
    return f"{IDLE_NAME} {run_id} {attempt}"[:APPLICATION_NAME_BYTES]


def names_of(run_id: str) -> str:
    """What the application_name of a run begins with, whichever attempt it is."""
    return f"{IDLE_NAME} {run_id} "[:APPLICATION_NAME_BYTES]


def read_application_name(name: str) -> tuple[str, int] | None:
    """The run_id and attempt in an application_name, or None where it isn't one of a run."""
    words = name.split(" ")
    if len(words) != 3 or words[0] != IDLE_NAME or not words[2].isdecimal():
        return None
    return words[1], int(words[2])


def take(session: Session, matview: MatviewName, name: str, limits: Limits, most: int = 0) -> Found:
    """Take the matview's lock in this session, name the session, and look at what is there.

    Raises MatviewBusy where another session holds the lock, and
    DatabaseFull where ``most`` refreshes (0 is no limit) run on this database already.
    """
    row = session.row(TAKE_WITH_SLOT if most else TAKE, **values(matview, name, limits, most))
    return taken(row, session, matview, most)


def tries(most: int) -> tuple[str, ...]:
    """The first statements of `take`, to be sent with others: then LOOK beside LIMITS; `taken` reads it."""
    return (TRY, slots.TRY) if most else (TRY,)


def values(matview: MatviewName, name: str, limits: Limits, most: int) -> dict[str, Any]:
    """What TRY, a slot's TRY, LIMITS and LOOK take."""
    return {
        "key": key_of(matview),
        "application_name": name,
        "statement_timeout_ms": limits.statement_timeout_ms,
        "lock_timeout_ms": str(round(limits.lock_timeout * 1000)),
        "schema": matview.schema,
        "name": matview.name,
        "copy": copy_of(matview).name,
        "search_path": list(limits.search_path),
        **({"slots": most} if most else {}),
    }


def taken(row: Any, session: Session, matview: MatviewName, most: int) -> Found:
    """What a row of LOOK says, raising as `take` does."""
    if not row.locked:
        raise busy(session, matview)
    if most and not row.slot:
        raise DatabaseFull(table_name=str(matview), limit=most)
    return _found(row)


def busy(session: Session, matview: MatviewName) -> MatviewBusy:
    """What to raise where another session holds the lock; ``session_name`` is its application_name."""
    name = holder(session, matview) or ""
    run = read_application_name(name)
    whom = f"run {run[0]}" if run else f"the session {name}" if name else "another session"
    return MatviewBusy(table_name=str(matview), holder=whom, session_name=name)


def glance(session: Session, matview: MatviewName, limits: Limits) -> Found:
    """What is there just now; it may be another's work the next moment."""
    copy = copy_of(matview).name
    path = list(limits.search_path)
    return _found(session.row(GLANCE, schema=matview.schema, name=matview.name, copy=copy, search_path=path))


@contextmanager
def limited(session: Session, own: Limits, usual: Limits) -> Iterator[None]:
    """Have a manifest's own statement timeout for the length of the block.

    `take` has set the usual one, before the manifest was read; so that the record isn't written under a
    timeout meant for a refresh, it is set again at the end. No round trip where the two are the same.
    """
    if own == usual:
        yield
        return
    session.run(LIMIT, statement_timeout_ms=own.statement_timeout_ms)
    try:
        yield
    finally:
        if not session.closed:
            session.run(LIMIT, statement_timeout_ms=usual.statement_timeout_ms)


def release(session: Session, matview: MatviewName) -> None:
    session.run(RELEASE, key=key_of(matview), application_name=IDLE_NAME)


def release_with_next(session: Session, matview: MatviewName) -> None:
    """Let go of the lock by the next statement that is run. What is written there is not yet committed when
    the lock goes; who starts a run of that matview waits for it at the status row."""
    # The record has our own limits, not the refresh's.
    session.with_next(RELEASE, ahead=OWN_LIMITS, key=key_of(matview), application_name=IDLE_NAME)


def _found(row: Any) -> Found:
    return Found(row.oid, row.kind, row.populated, row.comment, row.keyed, row.leftover, row.shape)


def hold(session: Session, key: int) -> bool:
    """Take another matview's lock as well, by its key, unless somebody has it."""
    return bool(session.row("select pg_try_advisory_lock(%(key)s) as held", key=key).held)


def let_go(session: Session, key: int) -> None:
    session.run("select pg_advisory_unlock(%(key)s)", key=key)


def holder(session: Session, matview: MatviewName) -> str | None:
    """The application_name of the session that holds the lock, or None: nobody does."""
    row = session.row(HOLDER, key=key_of(matview))
    return row and str(row.application_name)


def cancel_holder(session: Session, matview: MatviewName, run_id: str) -> bool:
    """End the statement of the session that holds the lock in the run's name; whether there is one.

    A session between two statements doesn't notice, so whoever wants the run ended asks again until there is
    none. The role must be the holder's own, or have pg_signal_backend.
    """
    return session.row(CANCEL, key=key_of(matview), name=names_of(run_id)) is not None
