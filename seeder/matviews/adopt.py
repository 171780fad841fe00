"""A matview that was there before seeder: is it what its manifest asks for, in PostgreSQL's words?

PostgreSQL stores a query as a parse tree. Printed back by ``pg_get_viewdef``, two texts of one meaning are
equal however they were laid out (https://www.postgresql.org/docs/current/functions-info.html).
"""

import psycopg2

from seeder.database import Session
from seeder.failures import judged
from seeder.matviews.policy import Policy
from seeder.sql.guard import SafeQuery

#: A temporary view is never executed; it goes with the transaction.
PROBE = "create temporary view seeder_probe as\n{query}\n"

SAME = """
select pg_get_viewdef('pg_temp.seeder_probe'::regclass) = pg_get_viewdef(%(oid)s::oid) as same
"""


def same_meaning(session: Session, oid: int, query: SafeQuery, policy: Policy) -> bool:
    """Whether the matview's definition is the query. Leaves nothing behind."""
    text = PROBE.format(query=query.text)
    offset = text.index(query.text)
    session.run_text("begin")
    try:
        if policy.role:
            session.run_text(policy.set_role)
        session.run_text(text)
        return bool(session.row(SAME, oid=oid).same)
    except psycopg2.Error as error:
        raise judged(error, lambda position: query.source_position(position - 1 - offset)) from error
    finally:
        if not session.closed:
            session.run_text("rollback")
