"""Volatile functions, found by what PostgreSQL itself says a query depends on."""

from collections.abc import Iterator

import pytest
from support.emptied import fresh_database

from seeder.errors import FunctionRefused, QueryFailed
from seeder.matviews.query.functions import refuse_functions
from seeder.postgres.databases import Databases
from seeder.postgres.session import Session
from seeder.sql.guard import check
from seeder.sql.placeholders import render_query

WORLD = """
create schema app;
create function app.writes(a int) returns int volatile language plpgsql as 'begin return a; end';
create function app.reads(a int) returns int stable language plpgsql as 'begin return a; end';
create function app.defaulted(a int default app.writes(1)) returns int stable
    language plpgsql as 'begin return a; end';
create function app.inlined(a int) returns int stable begin atomic select app.writes(a); end;
create table app.sale (amount int, note text);
create function app.audited(app.sale) returns int volatile language plpgsql as 'begin return 1; end';
create type app.money as (cents int);
create function app.to_money(int) returns app.money volatile language plpgsql as 'begin return row($1); end';
create cast (int as app.money) with function app.to_money(int);
create function app.joined(int, text) returns int volatile language plpgsql as 'begin return 1; end';
create operator app.+ (leftarg = int, rightarg = text, function = app.joined);
create function app.step(int, int) returns int volatile language plpgsql as 'begin return 1; end';
create aggregate app.total(int) (sfunc = app.step, stype = int);
create view app.inner_view as select app.writes(amount) as amount from app.sale;
create view app.outer_view as select * from app.inner_view;
create function app.lower(varchar) returns text volatile language plpgsql as 'begin return $1; end';
set search_path = pg_catalog, app, pg_temp;
"""


@pytest.fixture(scope="module", params=["postgres_url", "postgres15_url"], ids=["pg18", "pg15"])
def session(request: pytest.FixtureRequest) -> Iterator[Session]:
    with fresh_database(request.getfixturevalue(request.param)) as url:
        databases = Databases(url)
        with databases.session() as session:
            session.run_text(WORLD)
            yield session
        databases.dispose()


def refuse(session: Session, sql: str, *allowed: str) -> None:
    refuse_functions(session, check(render_query(sql, {})), allowed)


VOLATILE = {
    "by its qualified name": ("select app.writes(1)", "app.writes"),
    "by its bare name, through the search_path": ("select writes(1)", "app.writes"),
    "in FROM of a sub-select": ("select (select max(w) from app.writes(1) as w)", "app.writes"),
    "in a WITH query": ("with x as (select writes(1)) select 1", "app.writes"),
    "as an argument's default": ("select defaulted()", "app.writes"),
    "in a function whose body PostgreSQL has parsed": ("select inlined(1)", "app.writes"),
    "written as a column": ("select sale.audited from sale", "app.audited"),
    "by a cast": ("select amount::app.money from sale", "app.to_money"),
    "by an operator": ("select amount + note from sale", "app.joined"),
    "by OPERATOR()": ("select amount operator(app.+) note from sale", "app.joined"),
    "by an aggregate": ("select total(amount) from sale", "app.step"),
    "in a view that a view reads": ("select * from outer_view", "app.writes (in the view app.inner_view)"),
    "that fits better than the one of pg_catalog": ("select lower('A'::varchar)", "app.lower"),
}


@pytest.mark.parametrize(("sql", "function"), VOLATILE.values(), ids=VOLATILE)
def test_a_volatile_function_is_refused_when_it_is_called(session: Session, sql: str, function: str) -> None:
    with pytest.raises(FunctionRefused) as refused:
        refuse(session, sql)
    assert refused.value.facts == {"function": function}


@pytest.mark.parametrize(
    "sql",
    [
        "select count(*), lower('A'), random(), clock_timestamp(), gen_random_uuid() from app.sale",
        "select reads(amount) from app.sale order by 1 using operator(pg_catalog.<)",
        "select 'writes(1) 100 %' as \"writes\" -- writes(1)",
        "table app.sale",
    ],
)
def test_what_only_reads_passes(session: Session, sql: str) -> None:
    refuse(session, sql)


def test_an_allowed_function_passes_in_the_text_and_in_views(session: Session) -> None:
    refuse(session, "select writes(1), inlined(1), defaulted() from outer_view", "app.writes")


def test_only_the_allowed_function_passes(session: Session) -> None:
    with pytest.raises(FunctionRefused, match=r"app\.joined"):
        refuse(session, "select writes(1), 1 + ''::text", "app.writes", "public.joined")


def test_nothing_is_executed_and_nothing_stays_behind(session: Session) -> None:
    session.run_text("create sequence app.calls")
    session.run_text(
        "create function app.counted() returns bigint stable language sql as 'select nextval(''app.calls'')'"
    )
    for _ in range(2):
        refuse(session, "select app.counted()")
    left = session.row("""
        select (select is_called from app.calls) as called, to_regclass('pg_temp.seeder_probe') as probe
    """)
    assert (left.called, left.probe) == (False, None)


def test_a_query_over_a_missing_table_says_where_in_the_manifest(session: Session) -> None:
    query = check(render_query("select :agency_slug,\n  *\nfrom missing", {"agency_slug": "a longer value"}))
    with pytest.raises(QueryFailed, match=r'relation "missing" does not exist\nAt line 3, column 6'):
        refuse_functions(session, query, ())
    assert session.row("select 1 as alive").alive == 1


def test_names_are_resolved_as_the_role_that_will_own_the_matview(session: Session) -> None:
    # Without USAGE on the schema the role's search_path passes over app: bare names mean others.
    session.run_text("create role seeder_test_reader")
    try:
        with pytest.raises(QueryFailed, match="function writes"):
            refuse_functions(
                session,
                check(render_query("select writes(1)", {})),
                (),
                'set local role "seeder_test_reader";\n',
            )
    finally:
        session.run_text("drop role seeder_test_reader")
