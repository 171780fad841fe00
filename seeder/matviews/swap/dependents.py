"""Objects that depend on a matview, and so would prevent the drop of the old one or be lost with it.

Only what reads the matview directly counts: a view on top is pointed at the new one in its place (CREATE OR
REPLACE VIEW), and so whatever is on top of that view needs nothing. A matview on top can't be pointed
elsewhere ("rules on materialized views are not supported"), so it is exchanged too, for a copy of its own,
and what reads it directly counts in turn. Anything else is in the way; nothing is ever dropped with CASCADE.
https://www.postgresql.org/docs/current/catalog-pg-depend.html
"""

from collections.abc import Sequence
from dataclasses import dataclass

from seeder.errors import DependentsInTheWay
from seeder.matviews.relation import Matview
from seeder.matviews.swap.copies import Pair
from seeder.postgres.session import Row, Session

#: Views that read one of the matviews, with what CREATE OR REPLACE VIEW would otherwise reset.
VIEWS = """
select c.oid, format('%%I.%%I', n.nspname, c.relname) as name, pg_get_userbyid(c.relowner) as owner,
       rtrim(pg_get_viewdef(c.oid), ';') as definition,
       options.known as options, coalesce(options.unknown, '{}') as unknown
from pg_class c join pg_namespace n on n.oid = c.relnamespace
cross join lateral (
    -- All that people can set on a view in PostgreSQL 15 to 18 (reloptions.c).
    select string_agg(format('%%I = %%L', name, value), ', ') filter (where is_known) as known,
           array_agg(name) filter (where not is_known) as unknown
    from (
        select name, value, name in ('security_barrier', 'security_invoker', 'check_option') as is_known
        from pg_options_to_table(c.reloptions) as o (name, value)
    ) as option
) as options
where c.relkind = 'v' and c.oid in (
    select r.ev_class
    from pg_depend d join pg_rewrite r on d.classid = 'pg_rewrite'::regclass and r.oid = d.objid
    where d.refclassid = 'pg_class'::regclass and d.refobjid = any (cast(%(oids)s as oid[]))
      and r.rulename = '_RETURN'
)
order by c.oid
"""

#: What else needs one of the matviews or its row type, so that PostgreSQL would refuse to drop it.
OTHERS = """
with needed (class, object) as (
    select 'pg_class'::regclass, oid from pg_class where oid = any (cast(%(oids)s as oid[]))
  union all
    select 'pg_type'::regclass, reltype from pg_class where oid = any (cast(%(oids)s as oid[]))
  union all
    select 'pg_type'::regclass, typarray
    from pg_class join pg_type on pg_type.oid = reltype
    where pg_class.oid = any (cast(%(oids)s as oid[])) and typarray <> 0
)
select distinct pg_describe_object(d.classid, d.objid, d.objsubid) as what
from needed
join pg_depend d on d.refclassid = needed.class and d.refobjid = needed.object and d.deptype = 'n'
left join pg_rewrite r on d.classid = 'pg_rewrite'::regclass and r.oid = d.objid
left join pg_class c on c.oid = r.ev_class
where not coalesce(
    needed.class = 'pg_class'::regclass and r.rulename = '_RETURN' and c.relkind in ('v', 'm')
    -- A temporary view is another session's.
    and c.relpersistence <> 't', false
)
order by what
"""

#: Views and matviews that read one of the matviews, of owners whose member this connection isn't.
STRANGERS = """
select distinct pg_describe_object('pg_class'::regclass, c.oid, 0) || ' of ' || pg_get_userbyid(c.relowner)
       as what
from pg_depend d
join pg_rewrite r on d.classid = 'pg_rewrite'::regclass and r.oid = d.objid
join pg_class c on c.oid = r.ev_class
where d.refclassid = 'pg_class'::regclass and d.refobjid = any (cast(%(oids)s as oid[]))
  and c.oid <> d.refobjid and not pg_has_role(session_user, c.relowner, 'usage')
order by what
"""

#: Every view and matview on top, at any depth.
ALL_ON_TOP = """
with recursive reached (oid) as (
    select cast(%(oid)s as oid)
  union
    select r.ev_class
    from reached
    join pg_depend d on d.refclassid = 'pg_class'::regclass and d.refobjid = reached.oid
    join pg_rewrite r on d.classid = 'pg_rewrite'::regclass and r.oid = d.objid
)
select pg_describe_object('pg_class'::regclass, oid, 0) as what from reached
where oid <> cast(%(oid)s as oid) order by what
"""

#: The first of the old columns that the copy hasn't in its place, as seeder.matviews.swap.copies compares
#: them.
FIRST_LOST = """
with columns as (
    select a.attrelid, a.attname as name, a.atttypid, a.atttypmod, a.attcollation,
           row_number() over (partition by a.attrelid order by a.attnum) as place,
           format_type(a.atttypid, a.atttypmod) || coalesce(' collate ' || (
               select quote_ident(c.collname) from pg_collation c
               where c.oid = a.attcollation and c.oid <> t.typcollation
           ), '') as type
    from pg_attribute a join pg_type t on t.oid = a.atttypid
    where a.attrelid in (%(old)s, %(copy)s) and a.attnum > 0 and not a.attisdropped
)
select old.name, old.type, new.name as new_name, new.type as new_type,
       exists (
           select from columns other where other.attrelid = %(copy)s and other.name = old.name
       ) as is_there
from columns old
left join columns new on new.attrelid = %(copy)s and new.place = old.place
where old.attrelid = %(old)s
  and (old.name, old.atttypid, old.atttypmod, old.attcollation)
      is distinct from (new.name, new.atttypid, new.atttypmod, new.attcollation)
order by old.place
limit 1
"""


@dataclass(frozen=True)
class View:
    """A view that reads a matview that is exchanged."""

    oid: int
    #: Quoted, with its schema.
    name: str
    owner: str
    definition: str
    options: str | None
    #: The names of options that the server keeps for itself, or that a newer one has invented.
    unknown: list[str]

    @property
    def again(self) -> str:
        """Redefines the view in place; its grants, comments and triggers stay."""
        options = f" with ({self.options})" if self.options else ""
        return f"create or replace view {self.name}{options} as\n{self.definition}"


def views(session: Session, old: Sequence[Matview]) -> list[View]:
    """The views to redefine. Call it where the search_path is pg_catalog, so that all names have their
    schema."""
    return session.rows_of(View, VIEWS, oids=[matview.oid for matview in old])


def refuse_hindrances(session: Session, exchanged: Sequence[Matview]) -> None:
    """Raise DependentsInTheWay for objects that would be lost if these matviews were exchanged.

    The first is the manifest's. Where the search_path is pg_catalog, so that what is listed has its schema.
    """
    oids = [matview.oid for matview in exchanged]
    for query, reason in (
        (OTHERS, "what PostgreSQL can't point to another matview depends on it"),
        (STRANGERS, "the role of this connection may not change what depends on it"),
    ):
        if found := [row.what for row in session.rows(query, oids=oids)]:
            raise _in_the_way(exchanged[0], reason, found)


def refuse_lost_columns(session: Session, pair: Pair) -> None:
    """Raise DependentsInTheWay if something reads a matview of which the copy lacks a column."""
    if pair.keeps_columns:
        return
    if found := [row.what for row in session.rows(ALL_ON_TOP, oid=pair.old.oid)]:
        lost = session.row(FIRST_LOST, old=pair.old.oid, copy=pair.copy.oid)
        reason = f"its new columns don't begin with the old ones, which are in use ({_lost(lost)})"
        raise _in_the_way(pair.old, reason, found)


def _lost(column: Row) -> str:
    """What happens to the first column that isn't kept."""
    if not column.is_there:
        return f"the column {column.name} is gone"
    if column.new_name != column.name:
        return f"the column {column.name} would stand elsewhere, {column.new_name or 'nothing'} in its place"
    return f"{column.name} was {column.type} and would be {column.new_type}"


def _in_the_way(matview: Matview, reason: str, found: list[str]) -> DependentsInTheWay:
    return DependentsInTheWay(table_name=str(matview.name), reason=reason, dependents=", ".join(found))
