"""A matview as the catalogue has it: name, owner, definition and columns."""

from dataclasses import dataclass

from seeder.postgres.session import Session
from seeder.sql.names import MatviewName

#: What it is, for telling whether it is still the same. The name of its schema is part of the definition.
MATVIEW = """
set local search_path = pg_catalog;
select c.oid, n.nspname as schema, c.relname as name, c.relispopulated as populated,
       pg_get_userbyid(c.relowner) as owner,
       rtrim(pg_get_viewdef(c.oid), ';') as definition,
       -- Empty, not NULL, where it has none: a query may be "select from t".
       array(
           select row(attname, atttypid, atttypmod, attcollation)::text
           from pg_attribute where attrelid = c.oid and attnum > 0 and not attisdropped
           order by attnum
       ) as columns
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'm' and c.oid = cast(%(oid)s as oid)
"""


#: Matviews that read it, at any depth, without a view between them; those that others read come first.
MATVIEWS_ABOVE = """
with recursive reached (oid, depth) as (
    select cast(%(oid)s as oid), 0
  union all
    select above.oid, depth + 1
    from reached
    cross join lateral (
        select distinct c.oid
        from pg_depend d
        join pg_rewrite r on d.classid = 'pg_rewrite'::regclass and r.oid = d.objid
        join pg_class c on c.oid = r.ev_class
        where d.refclassid = 'pg_class'::regclass and d.refobjid = reached.oid
          and c.relkind = 'm' and starts_with(c.relname, %(prefix)s) and c.oid <> reached.oid
    ) as above
)
select c.oid, n.nspname as schema, c.relname as name
from (select oid, max(depth) as depth from reached where depth > 0 group by oid) as above
join pg_class c using (oid)
join pg_namespace n on n.oid = c.relnamespace
order by above.depth, c.oid
"""

NAME = """
select n.nspname as schema, c.relname as name
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'm' and c.oid = cast(%(oid)s as oid)
"""


@dataclass(frozen=True)
class Matview:
    """A matview as the catalogue has it."""

    oid: int
    name: MatviewName
    owner: str
    populated: bool
    definition: str
    #: Name, type, modifier and collation of each column, as one text.
    columns: tuple[str, ...]

    @property
    def identity(self) -> tuple[object, ...]:
        """What stays the same as long as it is the same matview, whatever else is set on it."""
        return self.oid, self.name, self.definition, self.columns


def read_matview(session: Session, oid: int) -> Matview | None:
    """Read in the transaction that is open, whose search_path is pg_catalog from then on."""
    row = session.row(MATVIEW, oid=oid)
    return row and Matview(
        row.oid,
        MatviewName(row.schema, row.name),
        row.owner,
        row.populated,
        row.definition,
        tuple(row.columns),
    )


def name_of_matview(session: Session, oid: int) -> MatviewName | None:
    """The name of the matview; None if it is gone. Waits for no lock."""
    row = session.row(NAME, oid=oid)
    return row and MatviewName(row.schema, row.name)


def matviews_above(session: Session, oid: int, prefix: str = "") -> dict[int, MatviewName]:
    """The matviews that read it, at any depth, by oid; those that others read come first.

    Only those that a chain of matviews leads to whose names begin with the prefix. Waits for no lock.
    """
    found = session.rows(MATVIEWS_ABOVE, oid=oid, prefix=prefix)
    return {row.oid: MatviewName(row.schema, row.name) for row in found}
