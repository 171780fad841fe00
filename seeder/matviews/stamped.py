"""Finds the matviews of a database that seeder has made, and drops those that no manifest needs any more.

All of them are asked for in one statement, which takes no lock that anybody would notice: a size is that of
the pages when they were last counted.
"""

from collections.abc import Collection
from dataclasses import dataclass

from seeder.errors import MatviewChanged
from seeder.matviews import stamp
from seeder.matviews.locks.lock import BIGINT_KEY, IS_HELD
from seeder.matviews.locks.lock_key import key_of
from seeder.matviews.swap.copy_names import COPY_PREFIX
from seeder.postgres.session import OWN_PATH, Row, Session
from seeder.sql.names import MatviewName, quoted

#: Those that nobody's manifest is of (the names given are somebody's), each with what PostgreSQL would refuse
#: to drop it for, and the keys of all advisory locks that are held here. What reads a matview, calls for its
#: row type or is made of it depends on it normally; its own rule, indexes and types go with it
#: (https://www.postgresql.org/docs/current/catalog-pg-depend.html). Membership that may be inherited lets one
#: drop; to do it as the owner one must be able to become it, which 16 and later tell apart.
STAMPED = f"""
with stamped as (
    select c.oid, n.nspname as schema, c.relname as name, c.relowner, c.reltype, c.relpages, c.reltoastrelid,
           d.description as comment
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    join pg_description d on d.objoid = c.oid and d.objsubid = 0 and d.classoid = 'pg_class'::regclass
    where c.relkind = 'm'
      and strpos(d.description, %(prefix)s) > 0
      and not starts_with(c.relname, %(copies)s)
      and not exists (
          select
          from unnest(cast(%(schemas)s as text[]), cast(%(names)s as text[])) as somebodys (schema, name)
          where somebodys.schema = n.nspname and somebodys.name = c.relname
      )
), needed (oid, class, object) as (
    select oid, 'pg_class'::regclass, oid from stamped
  union all
    select oid, 'pg_type'::regclass, reltype from stamped
  union all
    select stamped.oid, 'pg_type'::regclass, t.typarray
    from stamped join pg_type t on t.oid = stamped.reltype
    where t.typarray <> 0
), built as (
    select needed.oid,
           array_agg(distinct case when r.oid is null then pg_describe_object(d.classid, d.objid, d.objsubid)
                                   else pg_describe_object('pg_class'::regclass, r.ev_class, 0) end) as what
    from needed
    join pg_depend d on d.refclassid = needed.class and d.refobjid = needed.object and d.deptype = 'n'
    left join pg_rewrite r on d.classid = 'pg_rewrite'::regclass and r.oid = d.objid
    -- Its own rule is one of these on 15, and not on 18.
    where r.ev_class is distinct from needed.oid
    group by needed.oid
)
select stamped.oid, stamped.schema, stamped.name, stamped.comment,
       pg_get_userbyid(stamped.relowner)::text as owner,
       current_setting('block_size')::bigint * (
           stamped.relpages::bigint + coalesce(toast.relpages, 0)
           + coalesce((
               select sum(its.relpages) from pg_index i join pg_class its on its.oid = i.indexrelid
               where i.indrelid = stamped.oid
           ), 0)
       ) as about_bytes,
       coalesce(built.what, '{{}}') as built_on,
       pg_has_role(session_user, stamped.relowner, 'usage') as owns,
       pg_has_role(session_user, stamped.relowner, %(becoming)s) as may_become,
       array(
           select {BIGINT_KEY}
           from pg_locks l
           where {IS_HELD}
       ) as held_keys
from stamped
left join built on built.oid = stamped.oid
left join pg_class toast on toast.oid = stamped.reltoastrelid
order by stamped.schema, stamped.name
"""

#: It may be another one by now, or another's.
STILL_THERE = """
select obj_description(c.oid, 'pg_class') as comment, rtrim(pg_get_viewdef(c.oid), ';') as definition
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where c.oid = cast(%(oid)s as oid) and c.relkind = 'm' and n.nspname = %(schema)s and c.relname = %(name)s
"""

#: A matview that somebody reads can wait for the next time.
LOCK_TIMEOUT_OF_DROP = "set local lock_timeout = '1s';\n"

DROP_STAMPED = "drop materialized view {matview} restrict"

#: A name may come to be another's between the look and the drop, which alone takes a lock.
IS_GONE = "select not exists (select from pg_class where oid = cast(%(oid)s as oid)) as gone"


@dataclass(frozen=True)
class Stamped:
    """A matview that seeder has made."""

    oid: int
    name: MatviewName
    #: The identity of the manifest that it was last made for, ``custom-12``.
    manifest: str
    owner: str
    #: Size with indexes and TOAST when its pages were last counted.
    about_bytes: int
    #: What PostgreSQL calls the objects that need it.
    built_on: tuple[str, ...]
    #: The connection has its owner's rights.
    owns: bool
    #: The connection can take the owner's role.
    may_become: bool
    #: Somebody holds its advisory lock.
    held: bool


def stamped_matviews(session: Session, somebodys: Collection[MatviewName]) -> list[Stamped]:
    """The matviews of the database that have a stamp and none of the given names."""
    found = session.rows(
        STAMPED,
        prefix=stamp.PREFIX,
        copies=COPY_PREFIX,
        schemas=[one.schema for one in somebodys],
        names=[one.name for one in somebodys],
        becoming="set" if session.server_version >= 160000 else "member",
    )
    return [one for row in found if (one := _stamped(row))]


def _stamped(row: Row) -> Stamped | None:
    its = stamp.read(row.comment)
    if its is None:
        return None
    name = MatviewName(row.schema, row.name)
    return Stamped(
        oid=row.oid,
        name=name,
        manifest=str(its.manifest),
        owner=row.owner,
        about_bytes=int(row.about_bytes),
        built_on=tuple(row.built_on),
        owns=row.owns,
        may_become=row.may_become,
        held=key_of(name) in row.held_keys,
    )


def drop_stamped(session: Session, one: Stamped) -> str | None:
    """Drop it as its owner, if it still is what it was, and nothing needs it; returns its definition, or None
    where it isn't the same any more, and then it was not touched.

    The caller holds its advisory lock. Raises psycopg2.Error where PostgreSQL refuses, MatviewChanged where
    its name has become another's.
    """
    with session.transaction():
        session.run_text(LOCK_TIMEOUT_OF_DROP + OWN_PATH)
        row = session.row(STILL_THERE, oid=one.oid, schema=one.name.schema, name=one.name.name)
        its = row and stamp.read(row.comment)
        if its is None or its.manifest != one.manifest:
            return None
        role = f"set local role {quoted(one.owner)};\n" if one.may_become else ""
        session.run_text(role + DROP_STAMPED.format(matview=one.name.quoted))
        if not session.row(IS_GONE, oid=one.oid).gone:
            raise MatviewChanged(table_name=str(one.name), what="another one bears its name")
        return str(row.definition)
