"""A manifest's query as PostgreSQL understands it: a temporary view that is never executed."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg2

from seeder.postgres.failures import judged
from seeder.postgres.session import OWN_PATH, Session
from seeder.sql.definitions import Reread
from seeder.sql.guard import SafeQuery

#: What the view is called elsewhere in our statements.
PROBE = "pg_temp.seeder_probe"

#: The line break ends a comment that the query may end with.
CREATE_PROBE = "create temporary view seeder_probe as\n{query}\n;\n" + OWN_PATH


@contextmanager
def probe(session: Session, query: SafeQuery, as_manifest: str = "") -> Iterator[None]:
    """Provide the view for the block, created by the role that owns the matview.

    `as_manifest` is Policy's. The view goes with its transaction, which is rolled back. A query that
    PostgreSQL can't resolve (a table is missing) raises QueryFailed with its place in the manifest.
    """
    text = CREATE_PROBE.format(query=query.text)
    offset = text.index(query.text)
    try:
        try:
            session.run_text("begin;\n" + as_manifest)
            session.run_text(text)
            yield
        finally:
            if not session.closed:
                session.run_text("rollback")
    except psycopg2.Error as error:
        raise judged(error, lambda position: query.source_position(position - 1 - offset)) from error


#: Names are printed with their schemas, since OWN_PATH holds; so what they mean is what they meant.
REREAD = "savepoint before_rereading;\ncreate temporary view seeder_reread as\n{definition}"
PRINTED = "select pg_get_viewdef('pg_temp.seeder_reread'::regclass) as definition"
FORGET = "rollback to savepoint before_rereading"

#: SQLSTATEs of the classes 42; 22, 23 and 0A. Others (a lock, the connection) say nothing of the definition.
NOT_READ = (
    psycopg2.ProgrammingError,
    psycopg2.DataError,
    psycopg2.IntegrityError,
    psycopg2.NotSupportedError,
)


def rereading(session: Session) -> Reread:
    """For `same_definition`, within a `probe`'s block: as the role that made the view."""

    def reread(definition: str) -> str | None:
        printed: str | None = None
        # What the role may not look into isn't its own definition, whatever it is. Nor is what it can't read:
        # a constant is read by its type, which may take it no longer.
        with suppress(*NOT_READ):
            session.run_text(REREAD.format(definition=definition))
            printed = session.row(PRINTED).definition
        session.run_text(FORGET)
        return printed

    return reread
