"""What a diagnosis knows of order: reports whose sources are about to be made, circles, and ``after=``."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import psycopg2
from psycopg2 import errorcodes

from seeder.errors import CircularReads, ManifestError, SeederError
from seeder.manifests import Manifest
from seeder.matviews import glance
from seeder.postgres.databases import Databases
from seeder.postgres.session import Session
from seeder.seedings.graph import Graph
from seeder.seedings.planning import spelt

#: A warning: nothing waits for what isn't there.
AFTER_NOBODY = (
    "{manifest.identity} {manifest.table_name}: after= names {table}, which is the table of no manifest that "
    "is switched on, so nothing is waited for. Correct the name, or take it out."
)

#: A warning: the report is refreshed in no order with the other.
READS_ELSEWHERE = (
    "{manifest.identity} {manifest.table_name}: it reads {foreign}, which by its options is {table} in "
    "another database, the matview of {source.identity}. seeder can't see that, so it doesn't wait for it: "
    "write after=({table}) in its leading comment."
)

#: Foreign tables of postgres_fdw, by what reads them through views, with the remote names that their options
#: give, or else have by default (https://www.postgresql.org/docs/current/postgres-fdw.html).
FOREIGN = """
with recursive reader (matview, oid) as (
    select c.oid, c.oid
    from unnest(cast(%(schemas)s as text[]), cast(%(names)s as text[])) as asked (schema, name)
    join pg_namespace n on n.nspname = asked.schema
    join pg_class c on c.relnamespace = n.oid and c.relname = asked.name and c.relkind = 'm'
  union
    select reader.matview, d.refobjid
    from reader
    join pg_rewrite r on r.ev_class = reader.oid
    join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
    join pg_class c on c.oid = d.refobjid and c.relkind in ('v', 'f')
    where d.refclassid = 'pg_class'::regclass and d.refobjid <> r.ev_class
)
select distinct mine.nspname as schema, m.relname as name, its.nspname || '.' || f.relname as foreign_table,
       coalesce((select option_value from pg_options_to_table(t.ftoptions) where option_name = 'schema_name'),
                its.nspname) as remote_schema,
       coalesce((select option_value from pg_options_to_table(t.ftoptions) where option_name = 'table_name'),
                f.relname) as remote_name,
       (select option_value from pg_options_to_table(s.srvoptions) where option_name = 'dbname') as dbname
from reader
join pg_class m on m.oid = reader.matview
join pg_namespace mine on mine.oid = m.relnamespace
join pg_class f on f.oid = reader.oid
join pg_namespace its on its.oid = f.relnamespace
join pg_foreign_table t on t.ftrelid = f.oid
join pg_foreign_server s on s.oid = t.ftserver
join pg_foreign_data_wrapper w on w.oid = s.srvfdw and w.fdwname = 'postgres_fdw'
order by 1, 2, 3
"""


@dataclass(frozen=True)
class Sources:
    """What the manifests read of each other."""

    graph: Graph
    #: By identity.
    manifests: Mapping[str, Manifest]

    def are_unmade(
        self, session: Session, manifest: Manifest, error: SeederError, path: tuple[str, ...]
    ) -> bool:
        """Whether the error is that a relation isn't there, while a matview that the manifest reads isn't
        either. A seeding makes that one before."""
        cause = error.__cause__
        if not isinstance(cause, psycopg2.Error) or cause.pgcode != errorcodes.UNDEFINED_TABLE:
            return False
        upstream = (self.manifests[one] for one in self.graph.upstream([manifest.identity]))
        return any(
            one.database_id == manifest.database_id and glance(session, one.matview, path).kind is None
            for one in upstream
            if one is not manifest
        )

    def circular(self, identity: str) -> CircularReads | None:
        if identity not in self.in_circles:
            return None
        names = {one: manifest.table_name for one, manifest in self.manifests.items()}
        return CircularReads(circle=spelt(self.graph.circle(identity), names))

    @property
    def in_circles(self) -> frozenset[str]:
        return frozenset(one for knot in self.graph.knots() for one in knot)


def sources_of(graph: Graph, manifests: Sequence[Manifest]) -> Sources:
    return Sources(graph, {one.identity: one for one in manifests})


def warnings_of_order(
    databases: Databases, manifests: Sequence[Manifest], selected: Sequence[Manifest]
) -> Iterator[str]:
    """Of the selected ones: ``after=`` without effect, and what is read across databases without it."""
    owners: dict[str, Manifest] = {}
    for one in manifests:
        try:
            owners.setdefault(str(one.matview), one)
        except ManifestError:
            # It is told as a problem.
            continue
    after: dict[str, set[str]] = {}
    for manifest in selected:
        try:
            after[manifest.identity] = {str(one) for one in manifest.after}
        except ManifestError:
            continue
        for table in sorted(after[manifest.identity] - owners.keys()):
            yield AFTER_NOBODY.format(manifest=manifest, table=table)
    for database_id in databases:
        there = {
            (one.matview.schema, one.matview.name): one
            for one in selected
            if one.identity in after and one.database_id == database_id
        }
        for place, foreign, table, dbname in _foreign(databases, database_id, list(there)):
            manifest, source = there[place], owners.get(table)
            if (
                source is not None
                and table not in after[manifest.identity]
                and source.database_id in databases
                and databases.first_name(source.database_id) != databases.first_name(database_id)
                and dbname in (None, databases.name_of(source.database_id))
            ):
                yield READS_ELSEWHERE.format(manifest=manifest, foreign=foreign, table=table, source=source)


def _foreign(
    databases: Databases, database_id: int | None, places: Sequence[tuple[str, str]]
) -> list[tuple[tuple[str, str], str, str, str | None]]:
    if not places:
        return []
    try:
        with databases.session(database_id) as session:
            rows = session.rows(
                FOREIGN, schemas=[schema for schema, _ in places], names=[name for _, name in places]
            )
    except psycopg2.Error:
        # That it can't be reached is told as a problem.
        return []
    return [
        ((row.schema, row.name), row.foreign_table, f"{row.remote_schema}.{row.remote_name}", row.dbname)
        for row in rows
    ]
