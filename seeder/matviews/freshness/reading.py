"""One look at matviews and their sources, as PostgreSQL has them now.

The look is a transaction of its own. It must be over before the snapshot of a refresh is taken whose rows it
is to be the evidence for: a commit between the two is then seen as a change, once too often. Under REPEATABLE
READ, in one transaction with the refresh, it would be missed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from seeder.matviews.freshness.epoch import EPOCH, SETTINGS, TYPES
from seeder.matviews.freshness.sources import DEFINED, PARTS, REACHED
from seeder.matviews.freshness.why import Kind, Why
from seeder.matviews.shape import SHAPE
from seeder.postgres.prepared import Prepared
from seeder.postgres.session import Session

#: Of ``c``, the matview's row in pg_class: every refresh writes it anew, by whomever and in whichever mode
#: (matview.c, SetMatViewPopulatedState); VACUUM and ANALYZE update it in place.
STATE = "concat_ws('.', c.oid, c.relfilenode, c.xmin)"

#: psycopg2 sets ISO when it connects; a manifest's text is run with the role's own. To compile the look takes
#: longer than to have it.
BEGIN = "set local datestyle to default; set local jit to off;\n"

#: Who holds a lock that writes to a part of a source just now: a procedure that commits midway tells of its
#: rows only when its CALL ends.
HELD = """
held as (
    select part.source
    from pg_locks as l join part on part.oid = l.relation
    where l.locktype = 'relation' and l.granted and l.pid is distinct from pg_backend_pid()
      and l.database = (select oid from pg_database where datname = current_database())
      and l.mode in ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
)"""

LOOK = """
with {reached}, {parts}, {defined}, {held}, definitions as (
    select root, md5(string_agg(concat_ws(' ', class, oid, version), ',' order by class, oid)) as their
    from defined group by root
), sources as (
    select source.root,
           json_agg(json_build_array(
               source.oid::bigint, described.written, described.form, described.counters,
               described.hindrances,
               source.oid in (select held.source from held),
               concat_ws('.', nullif(n.nspname, 'public'), c.relname)
           ) order by source.oid) as their
    from source
    join described on described.source = source.oid
    join pg_class as c on c.oid = source.oid
    join pg_namespace as n on n.oid = c.relnamespace
    group by source.root
)
select root.oid, obj_description(c.oid, 'pg_class') as comment,
       {state} as state,
       {shape} as shape,
       c.relkind = 'm' and c.relispopulated as populated,
       pg_has_role(c.relowner, 'usage') as owned, pg_get_userbyid(c.relowner)::text as owner,
       coalesce(definitions.their, '-') as definitions, coalesce(sources.their, '[]') as sources,
       common.*
from root
join pg_class as c on c.oid = root.oid
left join definitions on definitions.root = root.oid
left join sources on sources.root = root.oid
cross join (
    select ({epoch}) as epoch, ({settings}) as settings, coalesce(({types}), '-') as types,
           extract(epoch from clock_timestamp())::float8 as at
) as common
"""


def _look(held: str, shape: str) -> str:
    return LOOK.format(
        reached=REACHED, parts=PARTS, defined=DEFINED, held=held, state=STATE, shape=shape, epoch=EPOCH,
        settings=SETTINGS, types=TYPES,
    )  # fmt: skip


BEFORE = Prepared("evidence", (_look(HELD, f"({SHAPE})"),), first=BEGIN)
NOW = BEGIN + _look(HELD, "null")


@dataclass(frozen=True)
class Source:
    """A table or a matview with all its partitions and heirs."""

    oid: int
    name: str
    #: Rows inserted, updated and deleted since its statistics began.
    written: int
    #: Hash of which relations and files it consists of, their columns and traits; of all counters.
    form: str
    counters: str
    #: What makes it none that anything can be proved of.
    hindrances: tuple[Kind, ...]
    being_written: bool

    @classmethod
    def of(cls, row: Sequence[Any]) -> "Source":
        oid, written, form, counters, hindrances, being_written, name = row
        kinds = tuple(Kind(one) for one in hindrances or ())
        return cls(oid, name, int(written), form, counters, kinds, being_written)


@dataclass(frozen=True)
class Sight:
    """What a look saw of one matview."""

    oid: int
    comment: str | None
    #: Changes with each refresh, whoever does it and how, even one that changes no row.
    state: str
    #: Hash of the names of all that it reads, where it was asked for (seeder.matviews.shape).
    shape: str | None
    populated: bool
    owned: bool
    owner: str
    #: Hash of all views, functions and operators in between; of the types; of the settings.
    definitions: str
    settings: str
    epoch: str
    sources: tuple[Source, ...]
    #: By the server's clock, in seconds since 1970.
    at: float

    @property
    def hindrances(self) -> tuple[Why, ...]:
        """What its sources are that nothing can be proved of."""
        return tuple(Why(kind, one.name) for one in self.sources for kind in one.hindrances)


def look(session: Session, oid: int, search_path: Sequence[str]) -> Sight | None:
    """At one matview (or a view that is made of its query), before it is refreshed."""
    row = session.row(BEFORE, oids=[oid], search_path=list(search_path))
    return row and _sight(row)


def look_at_all(session: Session, oids: Sequence[int], search_path: Sequence[str]) -> dict[int, Sight]:
    """By oid."""
    rows = session.rows(NOW, oids=list(oids), search_path=list(search_path))
    return {row.oid: _sight(row) for row in rows}


def _sight(row: Any) -> Sight:
    return Sight(
        row.oid,
        row.comment,
        row.state,
        row.shape,
        row.populated,
        row.owned,
        row.owner,
        f"{row.definitions}/{row.types}",
        row.settings,
        row.epoch,
        tuple(map(Source.of, row.sources)),
        row.at,
    )
