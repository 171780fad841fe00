"""Looks up the relation that has a matview's name, and a copy that a run left when its worker died."""

from dataclasses import dataclass

from seeder.matviews.shape import SHAPE
from seeder.matviews.swap.copy_names import copy_of
from seeder.postgres.prepared import Prepared
from seeder.postgres.session import Row, Session
from seeder.sql.names import MatviewName

#: What REFRESH … CONCURRENTLY asks of an index (matview.c, is_usable_unique_index).
USABLE = """\
i.indisunique and i.indimmediate and i.indisvalid and i.indpred is null and i.indexprs is null"""

LOOK = f"""
select current_setting('seeder.locked')::boolean as locked,
       c.oid,
       c.relkind::text as kind,
       c.relispopulated as populated,
       obj_description(c.oid, 'pg_class') as comment,
       current_setting('seeder.slot', true) as slot,
       exists (
           select from pg_index i where i.indrelid = c.oid and {USABLE}
       ) as keyed,
       (
           select left_over.oid
           from pg_class left_over join pg_namespace its on its.oid = left_over.relnamespace
           where its.nspname = %(schema)s and left_over.relname = %(copy)s and left_over.relkind = 'm'
       ) as leftover,
       case when c.relkind = 'm' then ({SHAPE}) end as shape
from (values (1)) as always_one_row
left join (pg_class c join pg_namespace n on n.oid = c.relnamespace and n.nspname = %(schema)s)
       on c.relname = %(name)s
"""

#: The same without the lock.
GLANCE = Prepared("glance", ("select set_config('seeder.locked', 'false', false)", LOOK))


@dataclass(frozen=True)
class Found:
    """The relation that has the matview's name, as the catalogue showed it when the lock was taken."""

    oid: int | None
    kind: str | None
    populated: bool | None
    comment: str | None
    #: There is a unique index that CONCURRENTLY can use.
    keyed: bool
    #: The copy that a run left which died before it could exchange it.
    leftover: int | None = None
    #: Hash of the names of all that the matview reads.
    shape: str | None = None


def glance(session: Session, matview: MatviewName, search_path: tuple[str, ...]) -> Found:
    """What is there now, without the lock: another session may change it at any moment."""
    return found_in(session.row(GLANCE, **look_values(matview, search_path)))


def look_values(matview: MatviewName, search_path: tuple[str, ...]) -> dict[str, object]:
    """The values of LOOK's placeholders."""
    return {
        "schema": matview.schema,
        "name": matview.name,
        "copy": copy_of(matview).name,
        "search_path": list(search_path),
    }


def found_in(row: Row) -> Found:
    """A row of LOOK as a value."""
    return Found(row.oid, row.kind, row.populated, row.comment, row.keyed, row.leftover, row.shape)
