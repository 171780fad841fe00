"""Volatile functions that a query would run: the guard can't know them, the catalogue does.

A volatile function may write (https://www.postgresql.org/docs/current/xfunc-volatility.html). Which functions
a query calls isn't guessed from names: PostgreSQL itself resolves them, for a view that is made of the query
and never executed, and notes in ``pg_depend`` what that view needs. So overloads and the search_path count as
they will for the matview, and calls are seen that no function's name in the text shows: by operators, casts
and aggregates, as a column (``t.f`` calls ``f(t)``), and in the views the query reads, at any depth.

Left to the database's own permissions: pg_catalog (PostgreSQL doesn't note its own functions; the guard
refuses the dangerous ones by name, but a view may call them), what a function does behind a label that isn't
true, and functions in row security policies, domain checks and the input of types.
"""

from collections.abc import Sequence

from seeder.errors import FunctionRefused
from seeder.matviews.probe import probe
from seeder.session import Session
from seeder.sql.guard import SafeQuery

#: From the probe over its rule, views' rules, operators, aggregates and SQL-standard function bodies to all
#: functions it depends on; each with the relation whose query has the call.
REACHED = """
with recursive reached (class, object, relation) as (
    select cast('pg_class' as regclass), cast(probe as oid), cast(probe as oid)
    from cast('pg_temp.seeder_probe' as regclass) as probe
  union
    select next.class, next.object,
           case next.class when cast('pg_class' as regclass) then next.object else reached.relation end
    from reached
    cross join lateral (
        select cast('pg_rewrite' as regclass), rule.oid
        from pg_rewrite as rule
        where reached.class = cast('pg_class' as regclass)
          and rule.ev_class = reached.object
          and rule.ev_type = '1' -- on select: what a view is
      union all
        select cast(needed.refclassid as regclass), needed.refobjid
        from pg_depend as needed
        left join pg_class as view on view.oid = needed.refobjid and view.relkind = 'v'
        left join pg_proc as function on function.oid = needed.refobjid
        left join pg_namespace as schema on schema.oid = function.pronamespace
        where needed.classid = reached.class
          and needed.objid = reached.object
          and needed.deptype = 'n'
          and case needed.refclassid
                  when cast('pg_class' as regclass) then view.oid is not null
                  when cast('pg_operator' as regclass) then true
                  when cast('pg_proc' as regclass)
                      then schema.nspname || '.' || function.proname <> all (cast(%(allowed)s as text[]))
                  else false
              end
    ) as next (class, object)
)
"""

VOLATILE = (
    REACHED
    + """
select schema.nspname || '.' || function.proname as name,
       case when reached.relation <> cast('pg_temp.seeder_probe' as regclass)
            then cast(cast(reached.relation as regclass) as text) end as view
from reached
join pg_proc as function on function.oid = reached.object
join pg_namespace as schema on schema.oid = function.pronamespace
where reached.class = cast('pg_proc' as regclass)
  and function.provolatile = 'v'
  and schema.nspname <> 'pg_catalog'
order by view nulls first, name
limit 1
"""
)


def refuse_volatile(
    session: Session, query: SafeQuery, allowed: Sequence[str], as_manifest: str = ""
) -> None:
    """Raise FunctionRefused where the query calls a volatile function that isn't in `allowed`.

    `allowed` holds names as ``schema.function``, all overloads alike; what an allowed function calls is
    allowed. `as_manifest` is what the matview's creation begins with, if anything (Policy). Nothing stays
    behind and nothing of the query is executed; one that PostgreSQL can't resolve (a table is missing) raises
    QueryFailed here already. Three round trips: meant for a creation, not for each refresh.
    """
    with probe(session, query, as_manifest):
        refuse_volatile_of_probe(session, allowed)


def refuse_volatile_of_probe(session: Session, allowed: Sequence[str]) -> None:
    """The same inside a probe's block."""
    found = session.row(VOLATILE, allowed=list(allowed))
    if found is not None:
        function = found.name if found.view is None else f"{found.name} (in the view {found.view})"
        raise FunctionRefused(function=function)
