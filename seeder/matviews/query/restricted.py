"""Finds functions whose bodies name what can't be found under the search_path of a refresh.

That is ``pg_catalog, pg_temp`` from PostgreSQL 17 on
(https://www.postgresql.org/docs/current/sql-refreshmaterializedview.html).

The query's own names are resolved when the matview is created. Those in the body of a function that it calls
are looked up when the function runs, unless the function has a search_path of its own or a body that
PostgreSQL has parsed already (BEGIN ATOMIC). What can be known without running it:

- language SQL: everything. PostgreSQL's own validator resolves the whole body, here under that search_path.
  Only the names in functions with polymorphic arguments stay open: it parses those and no more.
- PL/pgSQL: the names that stand there without a schema and don't resolve. Whether they are ever reached can't
  be known, nor what EXECUTE runs; so this is a warning.
- other languages: nothing but that; a warning too.

What a function's body calls in turn isn't followed: PostgreSQL doesn't note it.
"""

import psycopg2

from seeder.errors import FunctionUnresolved
from seeder.matviews.query.functions import REACHED
from seeder.postgres.session import Session
from seeder.sql.bodies import unqualified

SINCE = 170000

#: In the probe's transaction.
AT_THE_MERCY = (
    REACHED
    + """
select distinct function.oid, cast(cast(function.oid as regprocedure) as text) as name, language.lanname
from reached
join pg_proc as function on function.oid = reached.object
join pg_namespace as schema on schema.oid = function.pronamespace
join pg_language as language on language.oid = function.prolang
where reached.class = cast('pg_proc' as regclass)
  and schema.nspname <> 'pg_catalog'
  and function.prosqlbody is null
  and language.lanname not in ('c', 'internal')
  and not exists (select from unnest(function.proconfig) as setting where setting like 'search_path=%%')
order by name
"""
)

RESTRICT = "set local search_path = pg_catalog, pg_temp; set local check_function_bodies = on"

UNRESOLVED = """
select array(
    select name from unnest(cast(%(relations)s as text[])) as name
    where to_regclass(quote_ident(name)) is null
) || array(
    select name || '()' from unnest(cast(%(functions)s as text[])) as name
    where not exists (
        select from pg_proc where proname = name and pronamespace = cast('pg_catalog' as regnamespace)
    )
) as names
"""


def unresolved_functions(session: Session) -> list[str]:
    """Warnings about the functions that the probe's query calls; inside its transaction, whose search_path is
    the restricted one afterwards.

    Raises FunctionUnresolved for one that is certain to fail when it is called.
    """
    found = session.rows(AT_THE_MERCY, allowed=[])
    if not found:
        return []
    session.run_text(RESTRICT)
    warnings = []
    for function in found:
        if function.lanname == "sql":
            _validate(session, function.oid, function.name)
        elif function.lanname == "plpgsql":
            warnings += _unresolved_names(session, function.oid, function.name)
        else:
            warnings.append(
                _warning(function.name, f"its language, {function.lanname}, can't be looked into")
            )
    return warnings


def _validate(session: Session, oid: int, name: str) -> None:
    try:
        session.row("select fmgr_sql_validator(cast(%(oid)s as oid))", oid=oid)
    except psycopg2.Error as error:
        raise FunctionUnresolved(function=name, reason=error.diag.message_primary) from error


def _unresolved_names(session: Session, oid: int, name: str) -> list[str]:
    body = unqualified(session.row("select pg_get_functiondef(cast(%(oid)s as oid)) as text", oid=oid).text)
    if body is None:
        return [_warning(name, "its body can't be read")]
    warnings = []
    names = session.row(UNRESOLVED, relations=list(body.relations), functions=list(body.functions)).names
    if names:
        warnings.append(_warning(name, f"it names {', '.join(names)} without a schema"))
    if body.dynamic:
        warnings.append(_warning(name, "it runs SQL that is made at run time (EXECUTE)"))
    return warnings


def _warning(function: str, reason: str) -> str:
    return (
        f"The function {function} may fail during a refresh, which from PostgreSQL 17 on runs with the "
        f"search_path pg_catalog, pg_temp: {reason}. Give it a path of its own "
        f"by `alter function {function} set search_path = …`."
    )
