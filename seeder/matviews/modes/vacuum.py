"""Removes the dead rows that a concurrent refresh leaves where it was rolled back, or where much has changed.

Autovacuum does so by itself, where it is on: a minute later at best, while other refreshes are at work, and
for a fifth of the rows or more (autovacuum_vacuum_scale_factor).
"""

import psycopg2
import structlog

from seeder.matviews.policy import Policy
from seeder.postgres.application_names import IDLE_NAME
from seeder.postgres.failures import one_line
from seeder.postgres.session import Session
from seeder.sql.names import MatviewName, quoted

#: It doesn't wait for who works on the matview. A role without the right to gets a warning and nothing else.
VACUUM = "vacuum (skip_locked) {matview}"

#: So many dead rows, and a tenth of those that live.
LEAST_DEAD = 1000
DEAD_SHARE = 0.1

#: What isn't done by then is left to autovacuum.
LONGEST_SECONDS = 300.0

log = structlog.get_logger(__name__)


def is_much(dead: int | None, records: int | None) -> bool:
    return dead is not None and dead > LEAST_DEAD + DEAD_SHARE * (records or 0)


def vacuum(session: Session, matview: MatviewName, policy: Policy) -> bool:
    """In a session that is in no transaction; says whether it came to its end. Raises nothing but bugs."""
    try:
        # VACUUM can't share a transaction, so neither SET LOCAL nor a text of several statements will do.
        if policy.role:
            session.run_text(f"set role {quoted(policy.role)}")
        session.run_text(VACUUM.format(matview=matview.quoted))
    except psycopg2.Error as error:
        log.info("not vacuumed; autovacuum does it", table_name=str(matview), reason=one_line(error))
        return False
    finally:
        if policy.role and not session.closed:
            session.run_text("reset role")
    return True


def vacuum_afterwards(session: Session, matview: MatviewName, policy: Policy, dead: int) -> None:
    """After a run, in a session that holds nothing: for so long, and under a name that tells people what it
    is. Raises psycopg2.Error where the connection is of no use."""
    session.row(SET_NAME, name=f"{IDLE_NAME} vacuum")
    try:
        with session.limited_to(LONGEST_SECONDS):
            done = vacuum(session, matview, policy)
    finally:
        if not session.closed:
            session.row(SET_NAME, name=IDLE_NAME)
    if done:
        log.info("vacuumed", table_name=str(matview), dead_rows=dead)


SET_NAME = "select set_config('application_name', %(name)s, false)"
