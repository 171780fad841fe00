"""What is built on a matview: kept when it is exchanged, or a reason not to exchange it."""

import pytest
from support.furniture import dump
from support.workbench import Bench

from seeder.errors import DependentsInTheWay, MatviewBusy, MatviewChanged, QueryFailed
from seeder.matviews.locks import lock
from seeder.matviews.result import Outcome
from seeder.matviews.swap.copy_names import copy_of
from seeder.matviews.upkeep import bring_up_to_date
from seeder.sql.directives import RefreshMode
from seeder.sql.names import MatviewName

TOTALS = MatviewName("reporting", "totals")


def swap(bench: Bench) -> Outcome:
    return bench.refresh(policy=bench.policy(refresh_mode=RefreshMode.SWAP)).outcome


IN_THE_WAY = {
    "function of SQL": (
        "create function public.f() returns bigint begin atomic select count(*) from reporting.sales; end",
        r"function public\.f\(\)",
    ),
    "row type": (
        "create function public.f(reporting.sales) returns int language sql as 'select 1'",
        "function",
    ),
    "array of the row type": ("create table public.t (a reporting.sales[])", r"column a of table public\.t"),
    "view that shows the row": (
        "create view public.v as select s from reporting.sales s",
        "column s of view",
    ),
    "policy": (
        """create table public.t (a int);
        create policy p on public.t using (a in (select id from reporting.sales))""",
        r"policy p on table public\.t",
    ),
    "rule": (
        """create table public.t (a int);
        create rule r as on insert to public.t do also select count(*) from reporting.sales""",
        r"rule r on table public\.t",
    ),
}


@pytest.mark.parametrize(("ddl", "told"), IN_THE_WAY.values(), ids=IN_THE_WAY)
def test_what_can_not_be_pointed_elsewhere_is_listed_and_nothing_is_changed(
    bench: Bench, ddl: str, told: str
) -> None:
    bench.refresh()
    bench.sql("create view reporting.fine as select id from reporting.sales")
    bench.sql(ddl)
    before, file = dump(bench), bench.rewritten()
    with pytest.raises(DependentsInTheWay, match=told) as refused:
        swap(bench)
    assert "fine" not in str(refused.value)
    with pytest.raises(DependentsInTheWay, match=told):
        bench.refresh(bench.manifest("select id, amount from sale"))
    assert (dump(bench), bench.rewritten()) == (before, file)
    # An ordinary refresh has no need to exchange it.
    assert bench.refresh().outcome is Outcome.REFRESHED


def test_another_sessions_temporary_view_is_in_the_way(bench: Bench) -> None:
    bench.refresh()
    with bench.platform.databases.session() as other:
        other.run_text("create temporary view mine as select id from reporting.sales")
        with pytest.raises(DependentsInTheWay, match="rule _RETURN on view pg_temp"):
            swap(bench)
        other.run_text("drop view mine")
    assert swap(bench) is Outcome.SWAPPED


LOST = {
    "column gone": ("select id, agency_id from sale", "the column amount is gone"),
    "another order": (
        "select agency_id, id, amount from sale",
        "the column id would stand elsewhere, agency_id in its place",
    ),
    "another type": (
        "select id, agency_id, amount::int from sale",
        "amount was numeric and would be integer",
    ),
    "another length": (
        "select id, agency_id, amount::numeric(10, 2) from sale",
        "amount was numeric and would be numeric(10,2)",
    ),
    "another name": ("select id, agency_id, amount as price from sale", "the column amount is gone"),
}


@pytest.mark.parametrize(("query", "first"), LOST.values(), ids=LOST)
def test_readers_of_columns_that_go_are_all_listed_and_nothing_is_changed(
    bench: Bench, query: str, first: str
) -> None:
    bench.refresh()
    bench.sql("create view reporting.one as select id from reporting.sales")
    bench.sql("create materialized view reporting.two as select id from reporting.one")
    bench.sql("create view reporting.three as select id from reporting.two")
    before, file = dump(bench), bench.rewritten()
    with pytest.raises(
        DependentsInTheWay,
        match=r"materialized view reporting\.two, view reporting\.one, view reporting\.three\. Nothing was",
    ) as refused:
        bench.refresh(bench.manifest(query))
    assert f"its new columns don't begin with the old ones, which are in use ({first}): " in str(
        refused.value
    )
    assert (dump(bench), bench.rewritten()) == (before, file)


def test_another_collation_is_another_column(bench: Bench) -> None:
    bench.refresh(bench.manifest("select 'a'::text as a"))
    bench.sql("create view reporting.one as select * from reporting.sales")
    with pytest.raises(DependentsInTheWay, match=r'\(a was text and would be text collate "C"\)'):
        bench.refresh(bench.manifest("""select 'a'::text collate "C" as a"""))


def test_without_readers_every_column_may_go(bench: Bench) -> None:
    bench.refresh()
    assert bench.refresh(bench.manifest("select 'other' as other")).outcome is Outcome.REBUILT
    assert bench.sql("table reporting.sales") == [("other",)]


def test_more_columns_at_the_end_keep_every_reader(bench: Bench) -> None:
    bench.refresh()
    bench.sql("create view reporting.one as table reporting.sales")
    bench.sql("create materialized view reporting.two as select count(s) as n from reporting.one s")
    bench.sql("create view reporting.renamed (a, b, c) as select * from reporting.sales as s (x, y, z)")
    done = bench.refresh(bench.manifest("select id, agency_id, amount, 1 as one from sale where id < 4"))
    assert done.outcome is Outcome.REBUILT
    assert bench.value("select count(*) from reporting.one") == 3
    assert bench.sql("select a, b, c from reporting.renamed order by 1")[0] == (1, 7, 1)
    # It reads a view, which was pointed elsewhere in its place; its rows are nobody's business here.
    assert bench.value("select n from reporting.two") == 100


def test_a_chain_of_matviews_is_exchanged_together(bench: Bench) -> None:
    bench.refresh()
    bench.sql("""
        create materialized view reporting.totals as select sum(amount) as total from reporting.sales;
        create materialized view reporting.shares as
            select id, amount / total as share from reporting.sales, reporting.totals;
        create unique index on reporting.shares (id);
        create view reporting.top as select * from reporting.shares natural join reporting.sales
    """)
    before = dump(bench)
    bench.sql("delete from sale where id > 1")
    assert swap(bench) is Outcome.SWAPPED
    assert bench.sql("table reporting.totals") == [(1,)]
    assert bench.sql("select id, share from reporting.top") == [(1, 1)]
    assert dump(bench) == before


def test_rows_that_a_matview_on_top_refuses_end_the_run_and_nothing_is_changed(bench: Bench) -> None:
    bench.refresh()
    bench.sql("create materialized view reporting.totals as select 1 / amount as part from reporting.sales")
    bench.sql("update sale set amount = 0")
    before = dump(bench)
    with pytest.raises(QueryFailed, match=r"division by zero\nContext: the new rows of reporting\.totals"):
        swap(bench)
    assert dump(bench) == before
    assert bench.value("select max(amount) from reporting.sales") == 100


def test_a_matview_on_top_with_a_run_of_its_own_is_waited_for(bench: Bench) -> None:
    bench.refresh()
    bench.sql("create materialized view reporting.totals as select sum(amount) as total from reporting.sales")
    before = bench.rewritten()
    with bench.platform.databases.session() as other:
        lock.take(other, TOTALS, "seeder n1.custom-2 0", bench.policy().limits)
        with pytest.raises(
            MatviewBusy, match=r"reporting\.totals is being refreshed by run n1\.custom-2; this run waits"
        ):
            swap(bench)
        lock.release(other, TOTALS)
    assert bench.rewritten() == before
    assert swap(bench) is Outcome.SWAPPED
    held = (
        "select count(*) from pg_locks l join pg_database d on d.oid = l.database where locktype = 'advisory'"
    )
    assert bench.value(f"{held} and datname = current_database()") == 0


def test_a_copy_that_another_run_builds_on_it_is_waited_for(bench: Bench) -> None:
    bench.refresh()
    copy = copy_of(TOTALS).quoted
    bench.sql(f"create materialized view {copy} as select count(*) from reporting.sales")
    with pytest.raises(MatviewChanged, match=r"reporting\.seeder:copy:\w{16} is being built on it"):
        swap(bench)
    bench.sql(f"drop materialized view {copy}")


def test_a_view_of_somebody_else_is_named_before_anything_is_built(bench: Bench) -> None:
    bench.sql("create role seeder_test_other; create role seeder_test_worker login password 'x'")
    try:
        bench.sql("""
            grant usage, create on schema reporting to seeder_test_worker, seeder_test_other;
            grant select on public.sale to seeder_test_worker;
            set role seeder_test_worker;
            create materialized view reporting.sales as select id, agency_id, amount from public.sale;
            grant select on reporting.sales to seeder_test_other;
            set role seeder_test_other;
            create view reporting.theirs as select id from reporting.sales;
            reset role
        """)
        before = dump(bench)
        manifest, policy = bench.manifest(), bench.policy(refresh_mode=RefreshMode.SWAP)
        with bench.claimed(manifest, policy) as (session, found):
            session.run_text("set session authorization seeder_test_worker")
            with pytest.raises(DependentsInTheWay, match=r"view reporting\.theirs of seeder_test_other"):
                bring_up_to_date(session, manifest, found, policy)
            session.run_text("reset session authorization")
        assert dump(bench) == before
    finally:
        bench.sql("drop owned by seeder_test_other, seeder_test_worker cascade")
        bench.sql("drop role seeder_test_other, seeder_test_worker")
