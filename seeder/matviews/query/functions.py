"""Refuses queries that call functions which may write, or which run SQL given as text.

A volatile function may write (https://www.postgresql.org/docs/current/xfunc-volatility.html). Which functions
a query calls isn't guessed from names: PostgreSQL itself resolves them, for a view that is made of the query
and never executed, and notes in ``pg_depend`` what that view needs. So overloads and the search_path count as
they will for the matview, and calls are seen that no function's name in the text shows: by operators, casts
and aggregates, as a column (``t.f`` calls ``f(t)``), and in the views the query reads, at any depth.

Volatile ones are refused, and those that take SQL or a name as text and so reach what the query doesn't show:
of the extensions that were looked at by name (seeder.sql.extensions), of others by what can be known of them,
their extension, language, label and arguments (docs/decisions/sql-as-text.md).

Left to the database's own permissions: pg_catalog (PostgreSQL doesn't note its own functions; the guard
refuses the dangerous ones by name, but a view may call them), what a function does behind a label that isn't
true, and functions in row security policies, domain checks and the input of types.
"""

from collections.abc import Sequence

from seeder.errors import FunctionRefused, TextFunctionRefused
from seeder.matviews.query.probe import probe
from seeder.postgres.session import Session
from seeder.sql.extensions import KNOWN, REFUSED
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

#: A type in which SQL or a name can be handed over: strings, the aliases of OIDs (regclass …), documents,
#: whatever is made of text, and the pseudo-types that take anything.
TAKES_TEXT = """
exists (
    select from unnest(function.proargtypes) as argument (oid)
    join pg_type as given on given.oid = argument.oid
    join pg_type as base on base.oid = coalesce(nullif(given.typbasetype, 0), given.oid)
    join pg_type as type on type.oid = case base.typcategory when 'A' then base.typelem else base.oid end
    where type.typcategory = 'S'
       or type.typname ~ '^reg'
       or type.typname in ('cstring', 'json', 'jsonb', 'xml', 'refcursor')
       or type.typtype = 'p' and type.typname ~ '^any'
)"""

JUDGED = (
    REACHED
    + f"""
, judged as (
    select schema.nspname || '.' || function.proname as name,
           extension.extname as extension,
           case when reached.relation <> cast('pg_temp.seeder_probe' as regclass)
                then cast(cast(reached.relation as regclass) as text) end as view,
           case
               when function.provolatile = 'v' then 'volatile'
               when extension.extname || '.' || function.proname = any (cast(%(refused)s as text[]))
                   then 'refused'
               when function.provolatile = 's'
                    and (extension.extname is null or extension.extname <> all (cast(%(known)s as text[])))
                    and (language.lanname in ('c', 'internal')
                         or extension.extname is not null and language.lanname <> 'sql')
                    and {TAKES_TEXT}
                   then 'unknown'
           end as verdict
    from reached
    join pg_proc as function on function.oid = reached.object
    join pg_namespace as schema on schema.oid = function.pronamespace
    join pg_language as language on language.oid = function.prolang
    left join pg_depend as part on part.classid = cast('pg_proc' as regclass)
                               and part.objid = function.oid
                               and part.deptype = 'e'
    left join pg_extension as extension on extension.oid = part.refobjid
    where reached.class = cast('pg_proc' as regclass)
      and schema.nspname <> 'pg_catalog'
)
select * from judged where verdict is not null
order by view nulls first, name
limit 1
"""
)


def refuse_functions(
    session: Session, query: SafeQuery, allowed: Sequence[str], as_manifest: str = ""
) -> None:
    """Raise FunctionRefused where the query calls a function that isn't in `allowed` and that is volatile or
    may run SQL given as text.

    `allowed` holds names as ``schema.function``, all overloads alike; what an allowed function calls is
    allowed. `as_manifest` is what the matview's creation begins with, if anything (Policy). Nothing stays
    behind and nothing of the query is executed; one that PostgreSQL can't resolve (a table is missing) raises
    QueryFailed here already. Three round trips: meant for a creation, not for each refresh.
    """
    with probe(session, query, as_manifest):
        refuse_functions_of_probe(session, allowed)


def refuse_functions_of_probe(session: Session, allowed: Sequence[str]) -> None:
    """The same inside a probe's block."""
    found = session.row(JUDGED, allowed=list(allowed), refused=sorted(REFUSED), known=sorted(KNOWN))
    if found is None:
        return
    function = found.name if found.view is None else f"{found.name} (in the view {found.view})"
    match found.verdict:
        case "volatile":
            raise FunctionRefused(function=function)
        case "refused":
            raise TextFunctionRefused(function=function, why=f"of the extension {found.extension}")
        case _:
            whose = f"of the extension {found.extension}" if found.extension else "in C of no extension"
            raise TextFunctionRefused(function=function, why=f"{whose}, unknown to seeder and given text")
