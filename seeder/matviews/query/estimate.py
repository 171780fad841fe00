"""What is known of a run beforehand: the planner's estimate, the index it uses, how definitions differ."""

from dataclasses import dataclass
from difflib import unified_diff

from seeder.matviews.found import USABLE
from seeder.matviews.policy import Policy
from seeder.matviews.query.confinement import plan_of_probe
from seeder.matviews.query.probe import probe
from seeder.postgres.session import Session
from seeder.sql.guard import SafeQuery

#: The smallest that REFRESH … CONCURRENTLY may use; any one lets it.
KEY_INDEX = f"""
select index.relname as name
from pg_index as i join pg_class as index on index.oid = i.indexrelid
where i.indrelid = cast(%(oid)s as oid) and {USABLE}
order by i.indnkeyatts, name
limit 1
"""

DEFINITIONS = """
select pg_get_viewdef(%(oid)s::oid) as there,
       pg_get_viewdef('pg_temp.seeder_probe'::regclass) as wanted
"""


@dataclass(frozen=True)
class Estimate:
    """The planner's guess: cost in its own units (a page read in order is 1), and rows."""

    cost: float
    rows: int


def estimate(session: Session, query: SafeQuery, policy: Policy) -> Estimate:
    """Raises ManifestError for a query that PostgreSQL can't plan, with its place in the manifest."""
    with probe(session, query, policy.as_manifest):
        plan = plan_of_probe(session, policy)
    return Estimate(cost=plan["Total Cost"], rows=plan["Plan Rows"])


def key_index(session: Session, oid: int) -> str | None:
    """The unique index that lets the matview be refreshed concurrently."""
    row = session.row(KEY_INDEX, oid=oid)
    return row and str(row.name)


def definition_diff(session: Session, oid: int, query: SafeQuery, policy: Policy) -> str:
    """A unified diff from the matview's definition to the manifest's, both as PostgreSQL prints them; empty
    where they mean the same. Raises QueryFailed where PostgreSQL can't resolve the query."""
    with probe(session, query, policy.as_manifest):
        row = session.row(DEFINITIONS, oid=oid)
    lines = unified_diff(
        row.there.splitlines(), row.wanted.splitlines(), "materialized view", "manifest", lineterm=""
    )
    return "\n".join(lines)
