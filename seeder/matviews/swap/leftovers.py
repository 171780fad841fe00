"""Drops copies that dead runs left behind and whose matviews no manifest names any more.

Where the manifest is still there its next run drops the copy (seeder.matviews.upkeep). A copy's name holds
the advisory lock's key of the matview it was built for, so nothing else need be known of that.
"""

import structlog

from seeder.errors import SeederError
from seeder.matviews.locks import lock
from seeder.matviews.swap.copies import discard
from seeder.matviews.swap.copy_names import key_of_copy
from seeder.postgres.session import OWN_LIMITS, Row, Session
from seeder.sql.names import MatviewName, quoted

log = structlog.get_logger(__name__)

#: A range of the index on relname: what follows a colon is a semicolon.
COPIES = """
select c.oid, n.nspname as schema, c.relname as name, pg_get_userbyid(c.relowner) as owner
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'm' and c.relname >= 'seeder:copy:' and c.relname < 'seeder:copy;'
order by c.oid
"""

#: A copy that somebody looks at can wait for the next time.
LOCK_TIMEOUT_OF_COPIES = "set lock_timeout = '1s'"


def discard_leftovers(session: Session) -> list[MatviewName]:
    """Drop the copies on this database that no run works on; returns their names.

    One that can't be dropped, because somebody reads it or the role may not, is logged and stays.
    """
    session.run_text(LOCK_TIMEOUT_OF_COPIES)
    try:
        return [name for row in session.rows(COPIES) if (name := _discarded(session, row))]
    finally:
        if not session.closed:
            session.run_text(OWN_LIMITS)


def _discarded(session: Session, row: Row) -> MatviewName | None:
    name, key = MatviewName(row.schema, row.name), key_of_copy(row.name)
    if key is None or not lock.try_lock(session, key):
        return None
    try:
        discard(session, row.oid, f"set local role {quoted(row.owner)};\n")
    except SeederError as error:
        log.warning("the copy that a dead run left can't be dropped", copy=str(name), reason=str(error))
        return None
    finally:
        if not session.closed:
            lock.unlock(session, key)
    log.info("dropped the copy that a dead run left", copy=str(name))
    return name
