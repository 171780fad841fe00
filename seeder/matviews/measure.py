"""Counts the rows that a refresh left and changed, and measures the matview; scans it only if necessary.

A concurrent refresh writes only what has changed, so the number of rows after it is carried over from the run
before: what the stamp says, plus inserted, minus deleted, if the matview is still in the state that the stamp
speaks of. That is proved, not assumed: every refresh, by whomever and in either mode, writes the matview's
row in pg_class anew (matview.c, SetMatViewPopulatedState), so its xmin names the transaction that made the
rows there are; VACUUM and ANALYZE leave it alone (they update in place). A restored dump, a rewrite or
another server differ in one of the other parts. The stamp is in the same database, so a crash that loses the
refresh loses it too. Whatever doesn't match is counted.
"""

from dataclasses import dataclass

from seeder.matviews.freshness.reading import STATE as STATE_SEEN
from seeder.postgres.session import Session
from seeder.sql.names import MatviewName

#: With fewer rows, counting takes less than what it takes not to count (docs/costs.md).
WORTHWHILE_ROWS = 50_000

#: After so many runs the rows are counted all the same, and both numbers compared.
LONGEST_CHAIN = 30

#: What the matview's rows are the work of, as an expression.
STATE = """(
    select concat_ws('.', control.system_identifier, c.oid, c.relfilenode, c.xmin)
    from pg_class as c, pg_control_system() as control
    where c.oid = cast(%(oid)s as oid)
)"""

# Every oid is cast: psycopg2 writes a number, and for an integer a function that somebody put into a schema
# on the search path would be the better match, and run with this connection's rights.

#: Runs before the refresh, in its transaction. The counters hold what earlier transactions of the session
#: have not yet flushed, so only the difference means anything. The role comes last: it may see less.
#: The counters of what was written are told when the transaction ends, not up to 10 s later or after the next
#: run: other matviews may read this one, and take their evidence a moment later.
BEFORE = """
select pg_stat_force_next_flush();
select set_config('seeder.inserted_before', pg_stat_get_xact_tuples_inserted(oid)::text, true),
       set_config('seeder.deleted_before', pg_stat_get_xact_tuples_deleted(oid)::text, true),
       set_config('seeder.state_before', '', true)
from (values (cast(%(oid)s as oid))) as matview (oid);
"""

#: Runs before a concurrent refresh that relies on the last run's number of rows. Nothing but a command like
#: COMMENT locks a matview against the refreshes of others (SHARE UPDATE EXCLUSIVE; LOCK TABLE takes none),
#: and the state is only worth looking at once nobody can change it any more.
LOCK_AGAINST_REFRESHES = f"""
comment on materialized view {{matview}} is %(comment)s;
select set_config('seeder.state_before', {STATE}, true);
"""

CHANGE = """
with change as (
    select pg_stat_get_xact_tuples_inserted(oid) - current_setting('seeder.inserted_before')::bigint
               as inserted,
           pg_stat_get_xact_tuples_deleted(oid) - current_setting('seeder.deleted_before')::bigint
               as deleted,
           current_setting('track_counts')::boolean as counting,
           oid
    from (values (cast(%(oid)s as oid))) as matview (oid)
)"""

#: A plain refresh writes every row anew, so what it inserted is what there is. With track_counts off the
#: counters stand still and the rows have to be counted. Under a snapshot from before somebody else's refresh
#: both that one's predecessor and our own row of pg_class are to be seen: the younger is ours.
AFTER_PLAIN = (
    CHANGE
    + f"""
select case when counting then inserted - deleted else (select count(*) from {{matview}}) end as records,
       pg_total_relation_size(oid) as total_bytes,
       (select {STATE_SEEN} from pg_class as c where c.oid = change.oid
        order by age(c.xmin) limit 1) as state_seen
from change
"""
)

#: A concurrent refresh writes only what has changed. ``carried`` is the number of rows that follows from the
#: last run's, null where nothing can follow from it. ``changed_since_analyze`` is autovacuum's own measure,
#: with what this session has not yet flushed.
AFTER_CONCURRENTLY = (
    CHANGE
    + f""", known as (
    select change.*,
           case when counting and current_setting('seeder.state_before') = %(state)s
                then %(rows)s + inserted - deleted end as carried
    from change
)
select case when %(trusted)s and carried is not null then carried
            else (select count(*) from {{matview}}) end as records,
       pg_total_relation_size(oid) as total_bytes,
       (select {STATE_SEEN} from pg_class as c where c.oid = known.oid) as state_seen,
       carried,
       case when counting then inserted + deleted end as changed,
       case when counting
            then pg_stat_get_mod_since_analyze(oid)
                 + pg_stat_get_xact_tuples_inserted(oid) + pg_stat_get_xact_tuples_deleted(oid)
            end as changed_since_analyze,
       case when counting then pg_stat_get_dead_tuples(oid) + deleted end as dead,
       (select pg_has_role(c.relowner, 'usage') from pg_class as c where c.oid = known.oid) as owned,
       {STATE} as state
from known
"""
)


@dataclass(frozen=True)
class Tally:
    """A number of rows, and the state of the matview in which it has them."""

    rows: int
    state: str
    #: Runs since the rows were last counted.
    carried: int

    @property
    def due(self) -> bool:
        """Whether it is time to count."""
        return self.carried >= LONGEST_CHAIN


TOTAL_BYTES = "select pg_total_relation_size(cast(%(oid)s as oid)) as total_bytes"


def total_bytes(session: Session, oid: int) -> int:
    """The size of a relation now, with its indexes and TOAST table."""
    return int(session.row(TOTAL_BYTES, oid=oid).total_bytes)


def lock_against_refreshes(matview: MatviewName) -> str:
    return LOCK_AGAINST_REFRESHES.format(matview=matview.quoted)


def after_plain(matview: MatviewName) -> str:
    return AFTER_PLAIN.format(matview=matview.quoted)


def after_concurrently(matview: MatviewName) -> str:
    return AFTER_CONCURRENTLY.format(matview=matview.quoted)
