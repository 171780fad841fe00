"""Explains how a matview differs from what its manifest asks for: changed SQL, or changed tables.

Asked only where that is so already, so it may take its time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from seeder.errors import MatviewChanged
from seeder.matviews.policy import Policy
from seeder.matviews.query.columns import MOST_NAMED
from seeder.matviews.query.probe import probe
from seeder.postgres.session import Session
from seeder.sql.guard import SafeQuery
from seeder.sql.names import MatviewName
from seeder.wording import listed

#: Of a definition that is replaced, in characters.
LONGEST_DEFINITION = 4096

SQL_CHANGED = "The manifest's SQL has changed."

#: The matview's, then the manifest's query's: the relations that it reads, its own columns, the columns read.
NEEDED = """
with needed (reader, oid, number) as (
    select r.ev_class, d.refobjid, d.refobjsubid
    from pg_rewrite r join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
    where r.ev_class in (cast(%(oid)s as oid), 'pg_temp.seeder_probe'::regclass)
      and d.refclassid = 'pg_class'::regclass and d.refobjid <> r.ev_class
)
select array(
           select distinct n.nspname || '.' || c.relname
           from needed join pg_class c on c.oid = needed.oid join pg_namespace n on n.oid = c.relnamespace
           where needed.reader = one.oid
       ) as relations,
       array(
           select attname::text from pg_attribute
           where attrelid = one.oid and attnum > 0 and not attisdropped order by attnum
       ) as columns,
       array(
           select distinct a.attname || ' of ' || n.nspname || '.' || c.relname
           from needed join pg_class c on c.oid = needed.oid join pg_namespace n on n.oid = c.relnamespace
           join pg_attribute a on a.attrelid = c.oid and a.attnum = needed.number
           where needed.reader = one.oid and needed.number > 0
       ) as parts
from unnest(array[cast(%(oid)s as oid), 'pg_temp.seeder_probe'::regclass::oid])
     with ordinality as one (oid, place)
order by place
"""

OWNER_AND_DEFINITION = """
select pg_get_userbyid(relowner) as owner, ltrim(pg_get_viewdef(oid)) as definition
from pg_class where oid = cast(%(oid)s as oid)
"""


@dataclass(frozen=True)
class Unmanaged:
    """A matview that was created without seeder, with another definition."""

    owner: str
    definition: str

    def __str__(self) -> str:
        return (
            f"A materialized view of {self.owner} with another definition, made without seeder, stands there."
        )

    @property
    def replacement_note(self) -> str:
        """A note that quotes the replaced definition, cut to a length that the record can hold."""
        more = "…" if len(self.definition) > LONGEST_DEFINITION else ""
        shown = f"{self.definition[:LONGEST_DEFINITION]}{more}"
        return f"The manifest's definition has taken its place; its own was:\n{shown}"


def unmanaged(session: Session, matview: MatviewName, oid: int) -> Unmanaged:
    """Raises MatviewChanged where it is gone by now."""
    row = session.row(OWNER_AND_DEFINITION, oid=oid)
    if row is None:
        raise MatviewChanged(table_name=str(matview), what="it was dropped")
    return Unmanaged(row.owner, row.definition)


def alteration(session: Session, oid: int, query: SafeQuery, policy: Policy) -> str:
    """What has changed in the objects that the query reads, if its text is still the one that the matview
    was made of."""
    with probe(session, query, policy.as_manifest):
        there, wanted = session.rows(NEEDED, oid=oid)
    what = (
        _told("it now reads {new}", "it no longer reads {gone}", there.relations, wanted.relations)
        or _told("it now has {new}", "it no longer has {gone}", there.columns, wanted.columns)
        or _told("it now reads {new}", "it no longer reads {gone}", there.parts, wanted.parts)
        or "`seeder plan` shows how PostgreSQL understands it"
    )
    return f"What the manifest's SQL reads has changed, and so what it means: {what}."


def _told(came: str, went: str, before: Sequence[str], now: Sequence[str]) -> str:
    new = [name for name in now if name not in before]
    gone = [name for name in before if name not in now]
    return ", ".join(
        [came.format(new=listed(new, MOST_NAMED))] * bool(new)
        + [went.format(gone=listed(gone, MOST_NAMED))] * bool(gone)
    )
