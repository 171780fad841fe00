"""A matview and the copy that is built beside it to take its place; and the copies that dead runs left.

The copy is committed before the exchange, so a run that dies in between leaves it behind. It is known by its
name, which only the holder of the matview's advisory lock makes or drops (seeder.matviews.swap.copy_names).
"""

from dataclasses import dataclass

import psycopg2

from seeder.matviews.relation import Matview
from seeder.matviews.swap.copy_names import COPY_PREFIX
from seeder.postgres.failures import judged
from seeder.postgres.session import Session

#: The copy itself, and before it the copies of matviews on top that a dead run had made to go with it.
LEFT = """
with recursive left_over (oid, depth) as (
    select cast(%(oid)s as oid), 0
  union all
    select above.oid, depth + 1
    from left_over
    cross join lateral (
        select distinct c.oid
        from pg_depend d
        join pg_rewrite r on d.classid = 'pg_rewrite'::regclass and r.oid = d.objid
        join pg_class c on c.oid = r.ev_class
        where d.refclassid = 'pg_class'::regclass and d.refobjid = left_over.oid
          and c.relkind = 'm' and starts_with(c.relname, %(prefix)s) and c.oid <> left_over.oid
    ) as above
)
select format('drop materialized view %%I.%%I', n.nspname, c.relname) as drop
from (select oid, max(depth) as depth from left_over group by oid) as l
join pg_class c on c.oid = l.oid
join pg_namespace n on n.oid = c.relnamespace
order by l.depth desc
"""


#: Begins what the connection's own role executes, not the one that manifests run as.
OWN_ROLE = "set local role none;\n"


@dataclass(frozen=True)
class Pair:
    """A matview and its copy. `role` begins the statements that change them: it sets who may."""

    old: Matview
    copy: Matview
    role: str

    @property
    def keeps_columns(self) -> bool:
        """Whether whatever reads the old one can read the copy: more columns at the end do no harm."""
        return self.copy.columns[: len(self.old.columns)] == self.old.columns


def discard(session: Session, oid: int, role: str) -> None:
    """Drop a copy, with the copies on top of it. `role` begins the statement that drops it: it sets who may.

    Raises TemporaryError or ManifestError.
    """
    try:
        with session.transaction():
            drops = [row.drop for row in session.rows(LEFT, oid=oid, prefix=COPY_PREFIX)]
            for drop in drops[:-1]:
                session.run_text(drop)
            for drop in drops[-1:]:
                session.run_text(role + drop)
    except psycopg2.Error as error:
        raise judged(error) from error
