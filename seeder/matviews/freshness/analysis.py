"""Whether a query's rows depend on anything but the rows of its sources, definitions and settings.

PostgreSQL has resolved every function, operator and type of a stored query. Each is looked at, in the views
and the SQL bodies that it goes through as well, and what isn't known to be harmless is a reason: a label
IMMUTABLE on a function of somebody's own proves nothing, since PostgreSQL doesn't check it. The answer stays
true as long as the definitions do, so it is asked for once and remembered in the stamp.
"""

from collections.abc import Iterable
from typing import Any

from seeder.matviews.freshness.builtin import EXTENSIONS, NAMES, NODES, SETTLED
from seeder.matviews.freshness.sources import REACHED
from seeder.matviews.freshness.tree import Used, used
from seeder.matviews.freshness.why import Kind, Why
from seeder.postgres.session import Session

#: Objects that a database is made with have lower oids (transam.h, FirstNormalObjectId).
FIRST_OWN_OID = 16384

TREES = f"""
with {REACHED}
select r.ev_action::text as tree
from reached join pg_rewrite as r on r.oid = reached.object
where reached.class = cast('pg_rewrite' as regclass)
"""

#: With the parts of an aggregate and the function of an operator as functions of their own.
FUNCTIONS = """
with asked as (
    select unnest(cast(%(functions)s as oid[])) as oid
  union
    select o.oprcode from pg_operator as o where o.oid = any (cast(%(operators)s as oid[]))
), every as (
    select oid from asked
  union
    select part.oid
    from asked
    join pg_aggregate as a on a.aggfnoid = asked.oid and asked.oid >= 16384
    cross join lateral (values
        (a.aggtransfn), (a.aggfinalfn), (a.aggcombinefn), (a.aggserialfn), (a.aggdeserialfn), (a.aggmtransfn),
        (a.aggminvtransfn), (a.aggmfinalfn)
    ) as part (oid)
)
select p.oid::bigint, n.nspname as schema, p.proname as name, p.provolatile as volatility,
       l.lanname as language, p.prosqlbody::text as body, p.prokind as kind, e.extname as extension,
       array['regconfig'::regtype, 'regdictionary'::regtype]::oid[] && p.proargtypes::oid[] as searches
from every
join pg_proc as p on p.oid = every.oid
join pg_namespace as n on n.oid = p.pronamespace
join pg_language as l on l.oid = p.prolang
left join pg_depend as d on d.classid = cast('pg_proc' as regclass) and d.objid = p.oid and d.deptype = 'e'
left join pg_extension as e on e.oid = d.refobjid
where p.oid <> all (cast(%(known)s as oid[]))
order by n.nspname, p.proname
"""

#: Of types and what they consist of those that nothing is known of: names in the catalogue, whose output
#: follows a rename; base types of people's own; ranges with a function of their own; composite types, which
#: may get another column, unless they are the rows of a table that is read.
TYPES = """
with recursive every (oid) as (
    select unnest(cast(%(types)s as oid[]))
  union
    select part.oid
    from every
    join pg_type as t on t.oid = every.oid
    left join pg_range as r on r.rngtypid = t.oid or r.rngmultitypid = t.oid
    cross join lateral (
        select t.typelem as oid
      union all
        select t.typbasetype
      union all
        select r.rngsubtype
      union all
        select a.atttypid from pg_attribute as a
        where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
    ) as part
    where part.oid <> 0
)
select format_type(t.oid, null) as name
from every
join pg_type as t on t.oid = every.oid
left join pg_class as c on c.oid = t.typrelid
left join pg_range as r on r.rngtypid = t.oid or r.rngmultitypid = t.oid
left join pg_depend as d on d.classid = cast('pg_type' as regclass) and d.objid = t.oid and d.deptype = 'e'
left join pg_extension as e on e.oid = d.refobjid
where case
          when t.oid < 16384 then t.typname ~ '^_?reg'
          when t.typtype in ('d', 'e') or t.typtype = 'b' and t.typcategory = 'A' then false
          when t.typtype in ('r', 'm') then r.rngcanonical <> 0
          when t.typtype = 'c' then c.oid <> all (cast(%(relations)s as oid[]))
          else e.extname is null or e.extname <> all (%(extensions)s)
      end
order by 1
"""

#: Of types that text is read as those whose input doesn't depend on the text alone. Labels of enums are part
#: of the evidence, and so are the settings for intervals and money.
CONVERTED = """
with recursive every (oid) as (
    select unnest(cast(%(types)s as oid[]))
  union
    select part.oid
    from every join pg_type as t on t.oid = every.oid
    cross join lateral (values
        (t.typbasetype), (case when t.typcategory = 'A' then t.typelem else 0 end)
    ) as part (oid)
    where part.oid <> 0
)
select format_type(t.oid, null) as name
from every
join pg_type as t on t.oid = every.oid
join pg_proc as input on input.oid = t.typinput
where not (
    t.typtype in ('d', 'e')
    or t.typtype = 'b' and (t.typcategory = 'A' or input.provolatile = 'i')
    or t.oid in ('interval'::regtype, 'money'::regtype)
)
order by 1
"""

RELATIONS = """
select c.oid::regclass::text as name from pg_class as c
where c.oid = any (cast(%(oids)s as oid[])) and c.oid < 16384
order by 1
"""


def hindrances(session: Session, oid: int) -> tuple[Why, ...]:
    """Why nothing can be proved of the query of a matview, or of a view made of it; none where it can.

    In the caller's transaction or in none. What its sources are is another question (Sight.hindrances).
    """
    found = used([row.tree for row in session.rows(TREES, oids=[oid])])
    reasons: list[Why] = []
    known: set[int] = {0}
    while new := _functions(session, found, known):
        known |= {row.oid for row in new}
        reasons += (why for row in new if (why := _of_function(row)))
        found |= used([row.body for row in new if row.body])
    relations = list(found.relations)
    types = session.rows(TYPES, types=list(found.types), relations=relations, extensions=sorted(EXTENSIONS))
    reasons += (Why(Kind.TYPE, row.name) for row in types)
    reasons += (
        Why(Kind.CONVERSION, row.name) for row in session.rows(CONVERTED, types=list(found.converted))
    )
    reasons += (Why(Kind.CATALOGUE, row.name) for row in session.rows(RELATIONS, oids=relations))
    reasons += (Why(Kind.EXPRESSION, NAMES.get(node, node)) for node in sorted(found.nodes - NODES))
    if found.system_column:
        reasons.append(Why(Kind.SYSTEM_COLUMN))
    return tuple(dict.fromkeys(reasons))


def _functions(session: Session, found: Used, known: Iterable[int]) -> list[Any]:
    return session.rows(
        FUNCTIONS, functions=list(found.functions), operators=list(found.operators), known=list(known)
    )


def _of_function(row: Any) -> Why | None:
    its_own = row.oid < FIRST_OWN_OID
    name = f"{row.name}()" if its_own else f"{row.schema}.{row.name}()"
    if row.volatility == "v":
        return Why(Kind.FUNCTION, name)
    # What it is made of is looked at instead.
    if row.body or (row.kind == "a" and not its_own):
        return None
    if its_own:
        harmless = (row.volatility == "i" and not row.searches) or row.name in SETTLED
        return None if harmless else Why(Kind.FUNCTION, name)
    if row.language == "c" and row.extension in EXTENSIONS and row.volatility == "i":
        return None
    return Why(Kind.BODY, name)
