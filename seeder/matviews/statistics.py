"""Keeps a matview's planner statistics up to date, and notes in its stamp when they were gathered.

A refresh never updates them itself (https://www.postgresql.org/docs/current/routine-vacuuming.html), and
autovacuum, where it is on, comes up to a minute later.
"""

from dataclasses import replace

import psycopg2
from psycopg2 import errorcodes

from seeder.matviews import stamp
from seeder.matviews.policy import Policy
from seeder.matviews.refresh import Refreshed
from seeder.matviews.stamp import Stamp
from seeder.postgres.failures import judged
from seeder.postgres.session import Session
from seeder.sql.names import MatviewName

#: What the refresh changed is still with this session; told after the ANALYZE, it would count as changed
#: since.
FLUSH = "select pg_stat_force_next_flush()"


def keep_statistics_current(
    session: Session, matview: MatviewName, current: Stamp | None, done: Refreshed, policy: Policy
) -> None:
    """Run ANALYZE if many rows have changed, and write the stamp if it has changed."""
    analyze = comment = ""
    current = current and replace(current, tally=done.tally or current.tally)
    if are_stale(done, current):
        session.run(FLUSH)
        analyze = f"analyze {matview.quoted};\n"
        current = current and replace(current, analyzed_rows=done.records, changes_when_analyzed=0)
    written = stamp.written(done.comment, current) if current else None
    if written and written != done.comment:
        comment = f"comment on materialized view {matview.quoted} is %(comment)s;\n"
    if not analyze and not comment:
        return
    try:
        try:
            session.run(policy.as_manifest + analyze + comment, comment=written)
        except psycopg2.Error as error:
            if error.pgcode != errorcodes.INSUFFICIENT_PRIVILEGE:
                raise
            # MAINTAIN (PostgreSQL 17 and later) allows a role to refresh it, not to comment on it.
            if analyze:
                session.run(policy.as_manifest + analyze)
    except psycopg2.Error as error:
        raise judged(error) from error


def are_stale(done: Refreshed, current: Stamp | None) -> bool:
    """Autovacuum's own measure, 50 rows and a tenth, for how the number of rows has moved; and after a
    concurrent refresh, which writes only what changed, for how many rows were changed since, too.

    A plain refresh writes all rows anew, so its changes say nothing.
    """
    analyzed_rows = current.analyzed_rows if current else None
    if current is None or analyzed_rows is None:
        return True
    enough = 50 + 0.1 * analyzed_rows
    if abs(done.records - analyzed_rows) > enough:
        return True
    changes = done.changed_since_analyze
    if changes is None:
        return False
    began = analyzed_rows if current.changes_when_analyzed is None else current.changes_when_analyzed
    # Below where it began, it began anew: autovacuum analyzed, or the server lost its counters in a crash.
    return (changes - began if changes >= began else changes) > enough
