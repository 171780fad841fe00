"""What a matview reads, and what reads it, by the catalogue. What its functions read is not known there.

Neither question waits for a lock.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from seeder.matviews.insight.facts import BRIEFLY
from seeder.postgres.relation_kinds import kind_of_relation
from seeder.postgres.session import Session
from seeder.sql.names import MatviewName

#: Views are looked through: what they read is what the matview reads.
SOURCES = """
with recursive reached (oid, through, depth) as (
    select cast(%(oid)s as oid), null::oid, 0
  union
    select d.refobjid, case when reached.depth > 0 then reached.oid end, reached.depth + 1
    from reached
    join pg_class reader on reader.oid = reached.oid and (reached.depth = 0 or reader.relkind = 'v')
    join pg_rewrite r on r.ev_class = reached.oid
    join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
    where d.refclassid = 'pg_class'::regclass and d.refobjid <> r.ev_class and reached.depth < {deepest}
)
"""

#: Likewise upwards: what reads a view on top reads the matview.
READERS = """
with recursive reached (oid, through, depth) as (
    select cast(%(oid)s as oid), null::oid, 0
  union
    select r.ev_class, case when reached.depth > 0 then reached.oid end, reached.depth + 1
    from reached
    join pg_class source on source.oid = reached.oid and (reached.depth = 0 or source.relkind = 'v')
    join pg_depend d on d.refclassid = 'pg_class'::regclass and d.refobjid = reached.oid
    join pg_rewrite r on d.classid = 'pg_rewrite'::regclass and r.oid = d.objid
    where r.ev_class <> reached.oid and reached.depth < {deepest}
)
"""

RELATIONS = """
select distinct on (n.nspname, c.relname) n.nspname as schema, c.relname as name, c.relkind::text as kind,
       through_its.nspname || '.' || through.relname as through
from reached
join pg_class c using (oid)
join pg_namespace n on n.oid = c.relnamespace
left join pg_class through on through.oid = reached.through
left join pg_namespace through_its on through_its.oid = through.relnamespace
where reached.depth > 0
order by n.nspname, c.relname, reached.depth, through
limit {most}
"""

#: Of many matviews what each reads, views looked through and left out.
LEAVES = """
with recursive asked (number, oid) as (
    select given.number, c.oid
    from unnest(cast(%(schemas)s as name[]), cast(%(names)s as name[]))
         with ordinality as given (schema, name, number)
    join pg_namespace n on n.nspname = given.schema
    join pg_class c on c.relnamespace = n.oid and c.relname = given.name and c.relkind = 'm'
), reached (number, oid, depth) as (
    select number, oid, 0 from asked
  union
    select reached.number, d.refobjid, reached.depth + 1
    from reached
    join pg_class reader on reader.oid = reached.oid and (reached.depth = 0 or reader.relkind = 'v')
    join pg_rewrite r on r.ev_class = reached.oid
    join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
    where d.refclassid = 'pg_class'::regclass and d.refobjid <> r.ev_class and reached.depth < {deepest}
)
select distinct reached.number, n.nspname::text as schema, c.relname::text as name, c.relkind::text as kind
from reached
join pg_class c using (oid)
join pg_namespace n on n.oid = c.relnamespace
where reached.depth > 0 and c.relkind <> 'v'
order by reached.number, schema, name
"""

#: Views on views on views: deeper than any that was ever seen, and no circle goes on for ever.
DEEPEST = 12

#: More relations than anybody reads through.
MOST = 200


@dataclass(frozen=True)
class Relation:
    """Something that reads the matview, or that it reads."""

    schema: str
    name: str
    #: pg_class.relkind.
    kind: str
    #: The view between the two, where they don't touch.
    through: str | None

    @property
    def kind_in_words(self) -> str:
        return kind_of_relation(self.kind)


def sources(session: Session, oid: int) -> list[Relation]:
    """What the matview reads, by schema and name; at most MOST."""
    return _relations(session, SOURCES, oid)


def readers(session: Session, oid: int) -> list[Relation]:
    """The views and matviews that read it, by schema and name; at most MOST."""
    return _relations(session, READERS, oid)


def leaves(session: Session, matviews: Sequence[MatviewName]) -> dict[MatviewName, list[Relation]]:
    """What each of these reads that is no view, by schema and name; of those that aren't there nothing."""
    found: dict[MatviewName, list[Relation]] = {}
    schemas, names = [one.schema for one in matviews], [one.name for one in matviews]
    for row in session.rows(BRIEFLY + LEAVES.format(deepest=DEEPEST), schemas=schemas, names=names):
        relation = Relation(row.schema, row.name, row.kind, None)
        found.setdefault(matviews[row.number - 1], []).append(relation)
    return found


def _relations(session: Session, reached: str, oid: int) -> list[Relation]:
    sql = reached.format(deepest=DEEPEST) + RELATIONS.format(most=MOST)
    return session.rows_of(Relation, BRIEFLY + sql, oid=oid)
