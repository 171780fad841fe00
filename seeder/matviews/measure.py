"""How many rows a refresh left and how large the matview is, without a scan where PostgreSQL can tell."""

from seeder.sql.names import MatviewName

#: Runs before the refresh, in its transaction. The counters hold what earlier transactions of the session
#: have not yet flushed, so only the difference means anything. The role comes last: it may see less.
BEFORE = """
select set_config(
    'seeder.rows_before',
    (pg_stat_get_xact_tuples_inserted(%(oid)s) - pg_stat_get_xact_tuples_deleted(%(oid)s))::text,
    true
);
"""

#: A plain refresh writes every row anew, so what it inserted is what there is. With track_counts off the
#: counters stand still and the rows have to be counted.
AFTER_PLAIN = """
select case when current_setting('track_counts')::boolean
            then pg_stat_get_xact_tuples_inserted(%(oid)s) - pg_stat_get_xact_tuples_deleted(%(oid)s)
                 - current_setting('seeder.rows_before')::bigint
            else (select count(*) from {matview}) end as records,
       pg_total_relation_size(%(oid)s) as total_bytes
"""

#: A concurrent refresh writes only what has changed.
AFTER_CONCURRENTLY = """
select (select count(*) from {matview}) as records,
       pg_total_relation_size(%(oid)s) as total_bytes
"""


def after_plain(matview: MatviewName) -> str:
    return AFTER_PLAIN.format(matview=matview.quoted)


def after_concurrently(matview: MatviewName) -> str:
    return AFTER_CONCURRENTLY.format(matview=matview.quoted)


def moved_noticeably(rows: int | None, analyzed_rows: int | None) -> bool:
    """Whether the planner's statistics are stale: autovacuum's own measure, 50 rows and a tenth.

    A refresh never updates them itself. https://www.postgresql.org/docs/current/routine-vacuuming.html
    """
    if rows is None:
        return False
    return analyzed_rows is None or abs(rows - analyzed_rows) > 50 + 0.1 * analyzed_rows
