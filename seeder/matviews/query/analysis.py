"""Has PostgreSQL analyze a manifest's query without running it: its names, functions and privileges.

The judge is the temporary view that a creation asks too (seeder.matviews.query.probe), and beside it EXPLAIN,
which checks the privileges on everything that the query reads, as a run would. EXPLAIN plans and runs nothing
of the query; but the planner calls functions declared IMMUTABLE or STABLE whose arguments are constants, so
it is asked for in confinement, and read only.
"""

from dataclasses import dataclass

import psycopg2
from psycopg2 import errorcodes

from seeder.errors import QueryFailed, Report
from seeder.matviews.policy import Policy
from seeder.matviews.query.columns import refuse_unfit_to
from seeder.matviews.query.confinement import plan_of_probe
from seeder.matviews.query.elsewhere import meant_elsewhere
from seeder.matviews.query.functions import refuse_functions_of_probe
from seeder.matviews.query.probe import PROBE, probe
from seeder.matviews.query.restricted import SINCE, unresolved_functions
from seeder.postgres.failures import judged
from seeder.postgres.session import OWN_PATH, Session
from seeder.sql.guard import SafeQuery
from seeder.sql.ranges import out_of_range

#: A view may have a column of such a name; what has rows of its own has that column already (heap.c,
#: CheckAttributeNamesTypes).
SYSTEM_COLUMNS = """
select its.attname as name
from pg_attribute its
join pg_attribute systems on systems.attrelid = 'pg_class'::regclass and systems.attnum < 0
    and systems.attname = its.attname
where its.attrelid = 'pg_temp.seeder_probe'::regclass and its.attnum > 0
order by its.attnum
limit 1
"""

PREPARE = "prepare seeder_check as\n{query}\n"


@dataclass(frozen=True)
class Analysis:
    """What may be wrong with a query that a run would take."""

    #: About the functions that it calls.
    warnings: list[str]
    #: What it would mean in psql instead.
    elsewhere: str | None


def analyse(session: Session, query: SafeQuery, policy: Policy, *, as_role: bool) -> Analysis:
    """Raises ManifestError for what a run would end with, TemporaryError for a lost connection.

    `as_role`: the query will run with the rights of the policy's role, not of another owner of its matview.
    """
    with probe(session, query, policy.as_manifest):
        _refuse_system_columns(session)
        _refuse_out_of_range(query)
        refuse_unfit_to(session, PROBE, policy)
        refuse_functions_of_probe(session, policy.allowed_functions)
        elsewhere = meant_elsewhere(session, query, policy)
        # Before EXPLAIN, which would come upon the same names and say less about them.
        warnings = unresolved_functions(session) if session.server_version >= SINCE else []
        if as_role:
            plan_of_probe(session, policy)
        return Analysis(warnings, elsewhere)


def resolve(session: Session, query: SafeQuery, policy: Policy) -> None:
    """Check only the names and constants of a query that differs from an analyzed one in its constants.

    Raises QueryFailed.
    """
    text = PREPARE.format(query=query.text)
    offset = text.index(query.text)
    try:
        with session.transaction():
            session.run_text(policy.look_up)
            session.run_text(text)
            session.run_text(OWN_PATH + "deallocate seeder_check")
    except psycopg2.Error as error:
        raise judged(error, lambda position: query.source_position(position - 1 - offset)) from error


def _refuse_system_columns(session: Session) -> None:
    """With PostgreSQL's words for it, which a run would end with."""
    if row := session.row(SYSTEM_COLUMNS):
        words = f'column name "{row.name}" conflicts with a system column name'
        raise QueryFailed(report=Report(errorcodes.DUPLICATE_COLUMN, words))


def _refuse_out_of_range(query: SafeQuery) -> None:
    if found := out_of_range(query.text):
        where = query.source_position(found.offset)
        raise QueryFailed(report=Report(found.sqlstate, found.message, position=where))
