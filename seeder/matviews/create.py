"""Creates a matview with its rows, its stamp and its statistics, in one transaction."""

from dataclasses import dataclass, replace

import psycopg2

from seeder.matviews import shape
from seeder.matviews import stamp as stamps
from seeder.matviews.policy import Policy
from seeder.matviews.publishing import Requirements, fulfil
from seeder.matviews.query.columns import refuse_unfit
from seeder.matviews.query.functions import refuse_functions
from seeder.matviews.stamp import Stamp
from seeder.postgres.failures import judged
from seeder.postgres.session import OWN_PATH, Session
from seeder.sql.guard import SafeQuery
from seeder.sql.names import MatviewName

#: The line break ends a comment that the query may end with.
CREATE_MATVIEW = "create materialized view {matview} as\n{query}\nwith data"

FINISH = """
select pg_stat_force_next_flush();
comment on materialized view {matview} is %(comment)s;
analyze {matview};
select pg_total_relation_size(cast(%(matview)s as regclass)) as total_bytes
"""


@dataclass(frozen=True)
class Created:
    records: int
    total_bytes: int


def create(session: Session, matview: MatviewName, query: SafeQuery, stamp: Stamp, policy: Policy) -> Created:
    """Create the matview with its indexes, if its rows meet the expectations.

    Raises ManifestError or TemporaryError, and then nothing is left of it.
    """
    refuse_unfit(session, query, policy)
    refuse_functions(session, query, policy.allowed_functions, policy.as_manifest)
    try:
        with session.transaction():
            session.run_text(shape.BEGIN + policy.as_manifest)
            records = _build(session, matview, query)
            reads = session.row(
                OWN_PATH + shape.SHAPE_OF_NEW,
                schema=matview.schema,
                name=matview.name,
                search_path=list(policy.limits.search_path),
            )
            fulfil(
                session, matview, matview.quoted, Requirements(policy.indexes, policy.expect), is_first=True
            )
            done = session.row(
                FINISH.format(matview=matview.quoted),
                comment=stamps.written(None, replace(stamp, analyzed_rows=records, shape=reads.shape)),
                matview=matview.quoted,
            )
    except psycopg2.Error as error:
        raise judged(error) from error
    return Created(records, int(done.total_bytes))


def _build(session: Session, matview: MatviewName, query: SafeQuery) -> int:
    """Run the query into the matview; returns the number of rows."""
    text = CREATE_MATVIEW.format(matview=matview.quoted, query=query.text)
    offset = text.index(query.text)
    try:
        # The command tag is "SELECT 1000".
        return session.run_text(text)
    except psycopg2.Error as error:
        raise judged(error, lambda position: query.source_position(position - 1 - offset)) from error
