"""Objects that bear the names of PostgreSQL's own, where others may make them: seeder's own statements, which
have the connection's rights, don't take them."""

from collections.abc import Iterator
from contextlib import closing

import psycopg2
import pytest
from sqlalchemy.engine import make_url
from support.contract import as_it_is, new_run
from support.workbench import Bench

from seeder.history import Figures

#: Functions that seeder's statements call, with the arguments that they are called with: each of these fits
#: better than PostgreSQL's own, and tells that it was run.
FUNCTIONS = {
    "pg_stat_get_xact_tuples_inserted": ("integer", "bigint", "0"),
    "pg_stat_get_xact_tuples_deleted": ("integer", "bigint", "0"),
    "pg_stat_get_mod_since_analyze": ("integer", "bigint", "0"),
    "pg_total_relation_size": ("integer", "bigint", "0"),
    "pg_get_viewdef": ("integer", "text", "''"),
    "concat_ws": ("text, bigint, oid, oid, xid", "text", "''"),
    "concat": ("text, text", "text", "''"),
    "format": ("text, name, name, name", "text", "''"),
    "quote_ident": ("name", "text", "''"),
    "starts_with": ("name, text", "boolean", "true"),
    "obj_description": ("oid, text", "text", "''"),
    "lower": ("varchar", "text", "''"),
    "left": ("varchar, integer", "text", "''"),
    "greatest": ("integer, bigint", "bigint", "0"),
    "ceil": ("double precision", "double precision", "0"),
    "count": ("public.day", "bigint", "0"),
}

TRAPS = """
create domain public.day as date;
create type public.flag as enum ('up', 'down');
create table {schema}.caught (what text);
grant insert on {schema}.caught to public;
create function {schema}.caught_by(what text) returns boolean language plpgsql as $$
begin
    insert into {schema}.caught values (what);
    return true;
end $$;
create function {schema}.same(oid, integer) returns boolean language sql
    as $$ select {schema}.caught_by('=') and $1 = $2::oid $$;
create operator {schema}.= (leftarg = oid, rightarg = integer, function = {schema}.same);
create function {schema}.sooner(public.day, timestamptz) returns boolean language sql
    as $$ select {schema}.caught_by('>=') $$;
create operator {schema}.>= (leftarg = public.day, rightarg = timestamptz, function = {schema}.sooner);
create function {schema}.later(public.day, public.day) returns public.day language plpgsql
    as $$ begin perform {schema}.caught_by('max'); return $2; end $$;
create aggregate {schema}.max(public.day) (sfunc = {schema}.later, stype = public.day);
create function {schema}.flagged(public.flag) returns text language sql
    as $$ select case when {schema}.caught_by('cast') then 'caught' end $$;
create cast (public.flag as text) with function {schema}.flagged(public.flag);
create view {schema}.pg_class as select * from pg_catalog.pg_class where {schema}.caught_by('pg_class');
"""

QUERY = "-- seeder: unique=(id) expect=(rows > 0, not_null(day), fresh(day, 1 day))\n"
QUERY += "select id, current_date::public.day as day, 'up'::public.flag as flag from public.sale"


def caught(bench: Bench) -> set[str]:
    """What was sprung."""
    (schema,) = (one for one in ("reporting", "public") if bench.value(f"select to_regclass('{one}.caught')"))
    return {row[0] for row in bench.sql(f"select what from {schema}.caught")}


@pytest.fixture(params=["reporting", "public"])
def trapped(bench: Bench, request: pytest.FixtureRequest) -> Iterator[Bench]:
    schema = request.param
    made = [
        f"create function {schema}.{name}({arguments}) returns {returned} language plpgsql as "
        f"$$ begin perform {schema}.caught_by('{name}'); return {value}; end $$"
        for name, (arguments, returned, value) in FUNCTIONS.items()
    ]
    bench.sql(";\n".join([TRAPS.format(schema=schema), *made]))
    yield bench
    bench.sql(f"""
        drop operator {schema}.= (oid, integer);
        drop domain public.day cascade;
        drop type public.flag cascade;
        do $do$
        declare one regprocedure;
        begin
            for one in select oid from pg_proc
                       where pronamespace = '{schema}'::regnamespace and proname <> 'caught_by'
            loop
                execute format('drop routine %s cascade', one);
            end loop;
            drop function {schema}.caught_by cascade;
        end $do$;
    """)


@pytest.mark.parametrize("mode", ["auto", "plain", "swap"])
def test_what_is_named_like_postgresqls_own_is_not_run_by_a_refresh(trapped: Bench, mode: str) -> None:
    policy = trapped.policy(refresh_mode=mode)
    for query in (QUERY, QUERY, QUERY.replace("select id", "select id, amount")):
        assert trapped.refresh(trapped.manifest(query), policy).figures.records == 100
    assert caught(trapped) == set()


def test_nor_is_it_where_a_key_is_not_unique(trapped: Bench) -> None:
    query = QUERY.replace("unique=(id)", "unique=(flag)")
    with pytest.raises(Exception, match="100 rows have flag = up"):
        trapped.refresh(trapped.manifest(query))
    one = query + " where id < (select n from public.most)"
    trapped.sql("create table public.most as select 2 as n")
    trapped.refresh(trapped.manifest(one))
    trapped.sql("update public.most set n = 4")
    with pytest.raises(Exception, match="3 rows have flag = up"):
        trapped.refresh(trapped.manifest(one))
    assert caught(trapped) == set()


def test_nor_by_the_record(trapped: Bench) -> None:
    history = trapped.platform.history
    run = new_run("n1.custom-1")
    history.queue([run])
    history.start(run.run_id, run.table_name)
    history.succeed(as_it_is(history, run.run_id), Figures(1, 2))
    assert trapped.platform.all_manifests() == []
    assert caught(trapped) == set()


def test_the_traps_do_spring_for_whoever_has_the_schema_in_the_path(trapped: Bench) -> None:
    plain = make_url(trapped.platform.url).set(drivername="postgresql")
    with closing(psycopg2.connect(plain.render_as_string(hide_password=False))) as careless:
        careless.autocommit = True
        with careless.cursor() as cursor:
            cursor.execute("set search_path = pg_catalog, reporting, public")
            cursor.execute("select pg_total_relation_size(1259), max(current_date::public.day)")
    assert caught(trapped) == {"pg_total_relation_size", "max"}
