"""A matview that was there before seeder: is it what its manifest asks for, in PostgreSQL's words?

PostgreSQL stores a query as a parse tree. Printed back by ``pg_get_viewdef``, two texts of one meaning are
equal however they were laid out (https://www.postgresql.org/docs/current/functions-info.html).
"""

from seeder.matviews.policy import Policy
from seeder.matviews.probe import probe
from seeder.session import Session
from seeder.sql.guard import SafeQuery

SAME = """
select pg_get_viewdef('pg_temp.seeder_probe'::regclass) = pg_get_viewdef(%(oid)s::oid) as same
"""


def same_meaning(session: Session, oid: int, query: SafeQuery, policy: Policy) -> bool:
    """Whether the matview's definition is the query. Leaves nothing behind."""
    with probe(session, query, policy.as_manifest):
        return bool(session.row(SAME, oid=oid).same)
