"""The indexes that a manifest asks for: which are missing, and which are no longer asked for.

An index that seeder has made says so in its comment, which travels with it through dumps, restores and
renames. Only such an index is ever dropped. A person's own index that means the same is as good.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from seeder.matviews.policy import Policy
from seeder.postgres.session import Session
from seeder.sql.directives import Index
from seeder.sql.names import LONGEST_IDENTIFIER, MatviewName, quoted

#: A comment of ours is the mark and the directive: ``seeder: unique=(carrier, month)``.
MARK = "seeder: "

#: `is_plain` is what REFRESH … CONCURRENTLY can use if it is unique (matview.c, is_usable_unique_index), and
#: what serves readers who look for its columns.
EXISTING = """
select quote_ident(s.nspname) || '.' || quote_ident(c.relname) as quoted_name,
       c.relname as name,
       array(
           select a.attname
           from unnest(i.indkey) with ordinality as k (number, place)
           join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.number
           where k.place <= i.indnkeyatts
           order by k.place
       )::text[] as columns,
       i.indisunique as is_unique,
       i.indisvalid and i.indimmediate and i.indpred is null and i.indexprs is null and m.amname = 'btree'
           as is_plain,
       obj_description(c.oid, 'pg_class') as comment
from pg_index i
join pg_class c on c.oid = i.indexrelid
join pg_namespace s on s.oid = c.relnamespace
join pg_am m on m.oid = c.relam
where i.indrelid = cast(%(oid)s as oid)
order by c.oid
"""

OID = "select cast(cast(%(relation)s as regclass) as oid) as oid"

CREATE_INDEX = """
create {unique}index {name} on {relation} ({columns});
comment on index {schema}.{name} is %(comment)s
"""

#: A drop shuts readers out for a moment. Behind a reader who takes long, they would queue up behind the drop.
DROP_INDEXES = "set local lock_timeout = '2s';\ndrop index if exists {names}"


@dataclass(frozen=True)
class Existing:
    """An index that a matview has."""

    quoted_name: str
    name: str
    columns: tuple[str, ...]
    is_unique: bool
    is_plain: bool
    is_ours: bool

    def serves(self, wanted: Index) -> bool:
        """Whether it can be used instead of the wanted index; a unique index can be used instead of any
        other."""
        return self.is_plain and self.columns == wanted.columns and (self.is_unique or not wanted.unique)

    def was_made_for(self, wanted: Index) -> bool:
        return self.serves(wanted) and self.is_unique == wanted.unique


@dataclass(frozen=True)
class IndexChanges:
    """The indexes to drop and to create, so that those are there that the manifest asks for."""

    superfluous: tuple[Existing, ...]
    missing: tuple[Index, ...]
    #: There is a unique index for CONCURRENTLY among those that stay.
    keyed: bool


def existing(session: Session, oid: int) -> list[Existing]:
    return [
        Existing(
            row.quoted_name,
            row.name,
            tuple(row.columns),
            row.is_unique,
            row.is_plain,
            is_ours=(row.comment or "").startswith(MARK),
        )
        for row in session.rows(EXISTING, oid=oid)
    ]


def index_changes(there: Iterable[Existing], wanted: Sequence[Index]) -> IndexChanges:
    there = tuple(there)
    superfluous = tuple(
        index for index in there if index.is_ours and not any(index.was_made_for(one) for one in wanted)
    )
    staying = [index for index in there if index not in superfluous]
    missing = tuple(one for one in wanted if not any(index.serves(one) for index in staying))
    return IndexChanges(superfluous, missing, any(index.is_unique and index.is_plain for index in staying))


def drop_indexes(session: Session, superfluous: Sequence[Existing], policy: Policy) -> None:
    """Drop them in a transaction of its own. Raises psycopg2.Error, and then none is dropped."""
    names = ", ".join(index.quoted_name for index in superfluous)
    session.run_text(policy.set_role + DROP_INDEXES.format(names=names))


def create_index(session: Session, matview: MatviewName, relation: str, wanted: Index) -> None:
    """Make the index on a relation (a quoted name) that is the matview, or its copy before the exchange.

    Raises psycopg2.Error.
    """
    statement = CREATE_INDEX.format(
        unique="unique " if wanted.unique else "",
        name=quoted(name_of(matview, session.row(OID, relation=relation).oid, wanted)),
        schema=quoted(matview.schema),
        relation=relation,
        # To psycopg2 a % begins a value.
        columns=", ".join(quoted(column).replace("%", "%%") for column in wanted.columns),
    )
    session.run(statement, comment=f"{MARK}{wanted}")


def name_of(matview: MatviewName, oid: int, wanted: Index) -> str:
    """A readable name that no other relation has.

    PostgreSQL's own choice would name a copy's index after the copy. The relation's number is part of the
    hash: of two matviews that bear the same name one after the other, both may be there.
    """
    digest = hashlib.blake2b(f"{oid} {wanted}".encode(), digest_size=4).hexdigest()
    end = f"_{'key' if wanted.unique else 'idx'}_{digest}"
    readable = re.sub(r"[^A-Za-z0-9_]", "_", "_".join((matview.name, *wanted.columns)))
    return readable[: LONGEST_IDENTIFIER - len(end)] + end
