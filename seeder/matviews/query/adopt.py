"""Compares the definition of a matview with its manifest's query, both as PostgreSQL prints them.

PostgreSQL stores a query as a parse tree. Printed back by ``pg_get_viewdef``, two texts of one meaning are
equal however they were laid out (https://www.postgresql.org/docs/current/functions-info.html), and so are two
of which one has been through a dump and a restore (seeder.sql.definitions).
"""

from seeder.errors import ReadsItself
from seeder.matviews.policy import Policy
from seeder.matviews.query.probe import probe, rereading
from seeder.postgres.session import Session
from seeder.sql.definitions import same_definition
from seeder.sql.guard import SafeQuery

SAME = """
select pg_get_viewdef('pg_temp.seeder_probe'::regclass) as wanted,
       pg_get_viewdef(%(oid)s::oid) as there,
       exists (
           select from pg_rewrite r join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
           where r.ev_class = 'pg_temp.seeder_probe'::regclass
             and d.refclassid = 'pg_class'::regclass and d.refobjid = %(oid)s::oid
       ) as reads_itself
"""


def same_meaning(
    session: Session, oid: int, query: SafeQuery, policy: Policy, *, was_made_of_it: bool
) -> bool:
    """Whether the matview's definition means the same as the query. Leaves nothing behind.

    A matview of its source's name, earlier on the search_path, takes the source's place in its own query. One
    that was made of this text then stays what it is; another can't be made. Raises ReadsItself.
    """
    with probe(session, query, policy.as_manifest):
        found = session.row(SAME, oid=oid)
        if not found.reads_itself:
            return same_definition(found.there, found.wanted, rereading(session))
    if not was_made_of_it:
        raise ReadsItself()
    return True
