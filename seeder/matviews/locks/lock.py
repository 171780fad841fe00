"""The advisory lock of a matview: only one run works on it at a time, over all workers and machines.

The lock lives on the matview's own database and ends with the backend that holds it, so it is the proof of
life of a run too: a run recorded as running whose lock nobody holds is dead. Session-level, not
transaction-level, because a run is several transactions, its record included.
https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
"""

from seeder.errors import DatabaseFull, MatviewBusy
from seeder.matviews.found import LOOK, Found, found_in, look_values
from seeder.matviews.limits import LIMITS, SET_LIMITS, Limits
from seeder.matviews.locks import slots
from seeder.matviews.locks.lock_key import key_of
from seeder.postgres.application_names import IDLE_NAME, names_of, read_application_name
from seeder.postgres.prepared import Prepared
from seeder.postgres.session import OWN_LIMITS, Row, Session
from seeder.sql.names import MatviewName

#: The lock is tried in a statement of its own: the next one's snapshot is then taken with the lock held, so
#: what it sees of the matview is what the last holder left.
TRY_LOCK = """
select set_config('seeder.locked', pg_try_advisory_lock(%(key)s)::text, false),
       set_config('application_name', %(application_name)s, false)
"""

#: Whether the lock was taken, in a statement after TRY_LOCK, and where the database has a limit, a slot too.
LOCK_TAKEN = "current_setting('seeder.locked')::boolean"
LOCK_AND_SLOT_TAKEN = f"{LOCK_TAKEN} and current_setting('seeder.slot') <> ''"

#: A query of one row, for a statement after TRY_LOCK and TRY_SLOT: it sets the run's limits and looks at what
#: is there. `taken` reads the row.
THERE = f"select *, {LIMITS} from ({LOOK}) as look"

TAKE = Prepared("take", (TRY_LOCK, SET_LIMITS, LOOK))
TAKE_WITH_SLOT = Prepared("take_with_slot", (TRY_LOCK, slots.TRY_SLOT, SET_LIMITS, LOOK))

#: The connection's next borrower finds none of the run's limits.
RELEASE = f"""
select pg_advisory_unlock(%(key)s), {slots.UNLOCK},
       set_config('application_name', %(application_name)s, false);
{OWN_LIMITS}
"""

#: For ``l``, a row of pg_locks: a lock of this database that is held and whose key is a bigint, and the key.
#: It is shown in two halves, and objsubid 1 tells it from a pair of integers
#: (https://www.postgresql.org/docs/current/view-pg-locks.html).
IS_HELD = """\
l.locktype = 'advisory' and l.granted and l.objsubid = 1
  and l.database = (select d.oid from pg_database d where d.datname = current_database())"""
BIGINT_KEY = "(l.classid::bigint << 32) | l.objid::bigint"

#: The session that holds the lock, as ``a``.
HOLDS = f"""\
from pg_locks l join pg_stat_activity a on a.pid = l.pid
where {IS_HELD}
  and {BIGINT_KEY} = %(key)s
"""

HOLDER = f"select a.application_name {HOLDS}"

#: Cancels the statement of that session if it works on a given run. One statement finds the session and
#: signals it, so that it never signals one that has taken the lock for another run in between.
CANCEL = f"""
select a.pid, pg_cancel_backend(a.pid) as told
{HOLDS}
  and starts_with(a.application_name, %(name)s)
"""


def take(session: Session, matview: MatviewName, name: str, limits: Limits, most: int = 0) -> Found:
    """Take the matview's lock in this session, set the session's name, and look up the matview.

    Raises MatviewBusy where another session holds the lock, and
    DatabaseFull where ``most`` refreshes (0 is no limit) run on this database already.
    """
    row = session.row(TAKE_WITH_SLOT if most else TAKE, **values(matview, name, limits, most))
    return taken(row, session, matview, most)


def values(matview: MatviewName, name: str, limits: Limits, most: int) -> dict[str, object]:
    """The values of the placeholders in the statements of `take`."""
    return {
        "key": key_of(matview),
        "application_name": name,
        "statement_timeout_ms": limits.statement_timeout_ms,
        "lock_timeout_ms": limits.lock_timeout_ms,
        **look_values(matview, limits.search_path),
        **({"slots": most} if most else {}),
    }


def taken(row: Row, session: Session, matview: MatviewName, most: int) -> Found:
    """A row of THERE as a value; raises as `take` does."""
    if not row.locked:
        raise busy(session, matview)
    if most and not row.slot:
        raise DatabaseFull(table_name=str(matview), limit=most)
    return found_in(row)


def busy(session: Session, matview: MatviewName) -> MatviewBusy:
    """The error for a lock that another session holds; ``session_name`` is that one's application_name."""
    name = holder(session, matview) or ""
    run = read_application_name(name)
    whom = f"run {run[0]}" if run else f"the session {name}" if name else "another session"
    return MatviewBusy(table_name=str(matview), holder=whom, session_name=name)


def release(session: Session, matview: MatviewName) -> None:
    session.run(RELEASE, key=key_of(matview), application_name=IDLE_NAME)


def release_with_next(session: Session, matview: MatviewName) -> None:
    """Let go of the lock by the next statement that is run. What is written there is not yet committed when
    the lock goes; who starts a run of that matview waits for it at the status row."""
    # The record has our own limits, not the refresh's.
    session.with_next(RELEASE, ahead=OWN_LIMITS, key=key_of(matview), application_name=IDLE_NAME)


def try_lock(session: Session, key: int) -> bool:
    """Take another matview's lock as well, by its key; False if another session holds it."""
    return bool(session.row("select pg_try_advisory_lock(%(key)s) as held", key=key).held)


def unlock(session: Session, key: int) -> None:
    session.run("select pg_advisory_unlock(%(key)s)", key=key)


def holder(session: Session, matview: MatviewName) -> str | None:
    """The application_name of the session that holds the lock; None if there is none."""
    row = session.row(HOLDER, key=key_of(matview))
    return row and str(row.application_name)


def cancel_holder(session: Session, matview: MatviewName, run_id: str) -> bool:
    """Cancel the statement of the session that holds the lock for this run; False if there is no such
    session.

    A session between two statements isn't affected, so the caller repeats this until none is left.
    The role must be the holder's own, or have pg_signal_backend.
    """
    return session.row(CANCEL, key=key_of(matview), name=names_of(run_id)) is not None
