"""What a new matview reads is known from its creation on, unless a name may mean something else since."""

from collections.abc import Iterator
from contextlib import suppress

import pytest
from psycopg2.errors import LockNotAvailable
from support.workbench import Bench

from seeder.matviews import shape
from seeder.matviews.result import Outcome
from seeder.postgres.session import OWN_PATH

#: What somebody else commits between the moment when the query's names are resolved and the look at them.
MEANWHILE = {
    "a relation of that name comes": "create table before.sale as select 1 as id",
    "one of another name is called so": "alter table before.other rename to sale",
    "one of another schema is moved there": "alter table elsewhere.sale set schema before",
    "a schema is called so": "alter schema before rename to gone; alter schema elsewhere rename to before",
    "a function is renamed": "alter function app.doubled(integer) rename to twice",
    "the function's schema is renamed": "alter schema functions rename to of_functions",
}

SCHEMAS = ("app", "before", "elsewhere", "functions", "gone", "of_functions")

WHAT_THERE_IS = f"""
select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname in {SCHEMAS}
union all
select n.nspname, p.proname from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where n.nspname in {SCHEMAS}
order by 1, 2
"""

QUERY = 'create materialized view reporting.sales as select functions.same(app.doubled(id)) as n from "sale"'


@pytest.fixture
def names(bench: Bench) -> Iterator[Bench]:
    """The query's sale is that of the schema app, which comes last on its path."""
    bench.sql("""
        create schema app; create schema before; create schema elsewhere; create schema functions;
        create table app.sale (id integer);
        create table before.other (id integer);
        create table elsewhere.sale (id integer);
        create function app.doubled(n integer) returns integer immutable language sql return 2 * n;
        create function functions.same(n integer) returns integer immutable language sql return n
    """)
    yield bench
    bench.sql(f"drop schema if exists {', '.join(SCHEMAS)} cascade")


def seen(bench: Bench, meanwhile: str | None) -> str | None:
    """The hash as the transaction sees it that creates the matview."""
    path: list[str] = ["before", "app"]
    with bench.platform.databases.session() as session, session.transaction():
        session.run_text(shape.BEGIN + "set local search_path = before, app")
        session.run_text(QUERY)
        if meanwhile:
            # 18.6 keeps whoever renames a function of the query waiting, which is as good.
            with suppress(LockNotAvailable):
                bench.sql(f"set lock_timeout = '300ms'; {meanwhile}")
        row = session.row(OWN_PATH + shape.SHAPE_OF_NEW, schema="reporting", name="sales", search_path=path)
    found: str | None = row.shape
    return found


@pytest.mark.parametrize("meanwhile", MEANWHILE.values(), ids=MEANWHILE)
def test_it_is_not_known_where_a_name_may_mean_something_else(names: Bench, meanwhile: str) -> None:
    before = names.sql(WHAT_THERE_IS)
    known, named = seen(names, meanwhile), names.sql(WHAT_THERE_IS)
    assert known is None or named == before


def test_it_is_known_where_nothing_was_named_meanwhile(names: Bench) -> None:
    assert seen(names, None) is not None


def test_it_is_known_whatever_was_written_meanwhile(names: Bench) -> None:
    assert (
        seen(names, "insert into app.sale values (1); analyze app.sale; create table app.new ()") is not None
    )


#: The question what a query means is a view that PostgreSQL is to make of it.
NO_VIEWS = """
create function public.refuse() returns event_trigger language plpgsql
    as 'begin raise ''a view is made''; end';
create event trigger no_views on ddl_command_start when tag in ('CREATE VIEW')
    execute function public.refuse()
"""


@pytest.mark.parametrize("query", ["select * from sale", "select 1 as one", "select abs(id) as n from sale"])
def test_the_next_run_need_not_ask_what_the_query_means(bench: Bench, query: str) -> None:
    manifest = bench.manifest(query)
    bench.refresh(manifest)
    bench.sql(NO_VIEWS)
    try:
        assert bench.refresh(manifest).outcome is Outcome.REFRESHED
    finally:
        bench.sql("drop event trigger no_views; drop function public.refuse()")
