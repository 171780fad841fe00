"""Which of a database's reports a report reads, itself or through views and functions, for all at once.

Of a matview that was made of its manifest's SQL PostgreSQL knows, by oid, whatever bears which name. Of one
that isn't there yet, or whose SQL has changed since, the SQL is read by PostgreSQL's grammar, and its names
are looked up as they will be when it is made, among what is there and what is about to be. A function shows
what it reads where its body is SQL that PostgreSQL has parsed (BEGIN ATOMIC); others hide it.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from seeder.config.settings import OnQueryChange
from seeder.errors import ManifestError
from seeder.manifests import Manifest
from seeder.matviews import stamp
from seeder.matviews.policy import Policy
from seeder.postgres.session import Session
from seeder.sql.names import LONGEST_IDENTIFIER
from seeder.sql.relations import Named, names_in

#: All matviews, and all views, functions and operators that may lead to one, each with what it is made of.
#: What PostgreSQL brings along leads to none (access/transam.h, FirstNormalObjectId). A rule stands for its
#: view, and an object is its catalogue's oid before its own.
CATALOGUE = """
with edge as (
    select distinct
           case when r.oid is null then d.classid::bigint else 'pg_class'::regclass::oid::bigint end << 32
               | coalesce(r.ev_class, d.objid)::bigint as object,
           d.refclassid::bigint << 32 | d.refobjid::bigint as source
    from pg_depend d
    left join pg_rewrite r on d.classid = 'pg_rewrite'::regclass and r.oid = d.objid
    left join pg_class c on d.refclassid = 'pg_class'::regclass and c.oid = d.refobjid
    where d.deptype = 'n' and d.refobjid >= 16384
      and d.classid in ('pg_rewrite'::regclass, 'pg_proc'::regclass, 'pg_operator'::regclass)
      and (d.refclassid in ('pg_proc'::regclass, 'pg_operator'::regclass) or c.relkind in ('v', 'm'))
), made as (
    select object, array_agg(source) as sources from edge where source <> object group by object
), relation as (
    select 'pg_class'::regclass::oid::bigint << 32 | oid::bigint as object, *
    from pg_class
    where relkind in ('v', 'm')
)
select relation.object, relation.relkind::text as kind, n.nspname as schema, relation.relname as name,
       its.description as comment, coalesce(made.sources, '{}') as sources
from relation
join pg_namespace n on n.oid = relation.relnamespace
left join made using (object)
left join pg_description its on relation.relkind = 'm' and its.objoid = relation.oid
                            and its.classoid = 'pg_class'::regclass and its.objsubid = 0
where relation.relkind = 'm' or made.object is not null
union all
select made.object, 'function', n.nspname, p.proname, null, made.sources
from made
join pg_proc p on made.object = 'pg_proc'::regclass::oid::bigint << 32 | p.oid::bigint
join pg_namespace n on n.oid = p.pronamespace
union all
select made.object, 'operator', '', '', null, made.sources
from made
where made.object >> 32 = 'pg_operator'::regclass::oid::bigint
"""

#: What bears these names in these schemas, of any kind.
BEARERS = """
select n.nspname as schema, c.relname as name
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where n.nspname = any(%(schemas)s) and c.relname = any(%(names)s)
"""

#: The words of a text that may be names. One in quotes that is no such word isn't any manifest's.
WORD = re.compile(r"[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*")
PLAIN = re.compile(r"[a-z_][a-z0-9_$]*")

#: In quotes with this before them letters may be written as numbers.
WRITTEN_AS_NUMBERS = re.compile("u&[\"']", re.IGNORECASE)

Place = tuple[str, str]


@dataclass(frozen=True)
class Node:
    """Something in the catalogue, and the objects that it is made of."""

    kind: str
    place: Place
    comment: str | None
    sources: tuple[int, ...]


def reads(session: Session, manifests: Sequence[Manifest], policy: Policy) -> dict[str, frozenset[str]]:
    """By identity the identities of those of these manifests, all of one database, whose matviews it reads.

    Each has a matview of its own.
    """
    catalogue = Catalogue([_node(row) for row in session.rows(CATALOGUE)], manifests)
    return catalogue.reads(policy, lambda names: _bearers(session, policy, names))


def reads_by_sql_alone(manifests: Sequence[Manifest], policy: Policy) -> dict[str, frozenset[str]]:
    """The same without the database, for one that can't be asked: as if nothing were there yet."""
    return Catalogue([], manifests).reads(policy, lambda _: frozenset())


class Catalogue:
    """What is there, and what manifests have put there or are about to."""

    def __init__(self, nodes: Iterable[tuple[int, Node]], manifests: Sequence[Manifest]) -> None:
        self._manifests = {(one.matview.schema, one.matview.name): one for one in manifests}
        self._nodes = dict(nodes)
        self._relations = {node.place: key for key, node in self._nodes.items() if node.kind in "mv"}
        self._functions: dict[str, list[int]] = {}
        for key, node in self._nodes.items():
            if node.kind == "function":
                self._functions.setdefault(node.place[1], []).append(key)

    def reads(
        self, policy: Policy, bearers: Callable[[frozenset[str]], frozenset[Place]]
    ) -> dict[str, frozenset[str]]:
        """``bearers`` tells where in the search path relations of these names are."""
        known: dict[str, frozenset[str]] = {}
        unknown: list[Manifest] = []
        for place, manifest in self._manifests.items():
            key = self._relations.get(place)
            node = self._nodes[key] if key else None
            if node is not None and node.kind == "m" and _made_of(manifest, node, policy):
                known[manifest.identity] = self._reached(node.sources)
            else:
                unknown.append(manifest)
        named = self._named(unknown) if unknown else {}
        bare = {name for names in named.values() for schema, name in (*names[0], *names[1]) if schema is None}
        there = bearers(frozenset(bare)) if bare else frozenset()
        path = policy.limits.search_path
        for identity, (relations, functions) in named.items():
            starts = [self._found(one, path, there, identity) for one in relations]
            objects = [key for one in functions for key in self._overloads(one, path)]
            found = {one for start in starts for one in start} | self._reached(objects)
            known[identity] = frozenset(found)
        return known

    def _named(self, manifests: Iterable[Manifest]) -> dict[str, tuple[frozenset[Named], frozenset[Named]]]:
        """What of these is named in each manifest's SQL; most texts name none, and needn't be parsed."""
        wanted = {name for _, name in self._manifests}
        wanted |= {node.place[1] for node in self._nodes.values() if node.sources and node.place[1]}
        folded = {name.lower() for name in wanted}
        all_plain = all(PLAIN.fullmatch(name) for name in folded)
        named = {}
        for manifest in manifests:
            try:
                text = manifest.rendered_query.text
            except ManifestError:
                continue
            words = {word[:LONGEST_IDENTIFIER] for word in WORD.findall(text.lower())}
            if all_plain and words.isdisjoint(folded) and not WRITTEN_AS_NUMBERS.search(text):
                continue
            names = names_in(text)
            named[manifest.identity] = (
                frozenset(one for one in names.relations if one[1] in wanted),
                frozenset(one for one in names.functions if one[1] in self._functions),
            )
        return named

    def _found(
        self, named: Named, path: Sequence[str], there: frozenset[Place], reader: str
    ) -> frozenset[str]:
        """What a relation's name in a text means: the first that is there, or will be, along the path. The
        matview that is made of the text isn't."""
        schema, name = named
        for one in path if schema is None else (schema,):
            place = (one, name)
            owner = self._manifests.get(place)
            if owner is not None and owner.identity != reader:
                return frozenset({owner.identity})
            if place in self._relations:
                node = self._nodes[self._relations[place]]
                return self._reached(node.sources) if node.kind == "v" else frozenset()
            if place in there:
                break
        return frozenset()

    def _overloads(self, named: Named, path: Sequence[str]) -> list[int]:
        """All of that name: which of them it is, the types of its arguments would tell."""
        schemas = path if named[0] is None else (named[0],)
        return [key for key in self._functions[named[1]] if self._nodes[key].place[0] in schemas]

    def _reached(self, sources: Iterable[int]) -> frozenset[str]:
        """Whose matviews these are or are made of. A matview that is nobody's is as old as it is."""
        found: set[str] = set()
        seen: set[int] = set()
        pending = list(sources)
        while pending:
            key = pending.pop()
            node = self._nodes.get(key)
            if node is None or key in seen:
                continue
            seen.add(key)
            if node.kind != "m":
                pending += node.sources
            elif manifest := self._manifests.get(node.place):
                found.add(manifest.identity)
        return frozenset(found)


def _made_of(manifest: Manifest, node: Node, policy: Policy) -> bool:
    """Whether the matview has, and will keep, the definition that the catalogue tells of."""
    if policy.on_query_change is OnQueryChange.KEEP:
        return True
    its = stamp.read(node.comment)
    return its is not None and (its.manifest, its.source) == (
        manifest.identity,
        manifest.source(policy.allowed_functions),
    )


def _bearers(session: Session, policy: Policy, names: frozenset[str]) -> frozenset[Place]:
    schemas = list(policy.limits.search_path)
    return frozenset(
        (row.schema, row.name) for row in session.rows(BEARERS, schemas=schemas, names=list(names))
    )


def _node(row: Any) -> tuple[int, Node]:
    return row.object, Node(row.kind, (row.schema, row.name), row.comment, tuple(row.sources))
