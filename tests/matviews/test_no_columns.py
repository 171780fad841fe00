"""A query may have rows and no columns: ``select from t``. PostgreSQL keeps such a matview as any other."""

import pytest
from support.workbench import Bench

from seeder.errors import DependentsInTheWay, DirectiveUnfit, PartUnfit
from seeder.matviews.result import Outcome
from seeder.sql.directives import RefreshMode

QUERY = "select from sale"


@pytest.fixture
def made(bench: Bench) -> Bench:
    assert bench.refresh(bench.manifest(QUERY)).outcome is Outcome.CREATED
    return bench


def rows(bench: Bench, relation: str = "reporting.sales") -> int:
    number: int = bench.value(f"select count(*) from {relation}")
    return number


@pytest.mark.parametrize(
    ("mode", "outcome"),
    [
        (RefreshMode.AUTO, Outcome.REFRESHED),
        (RefreshMode.PLAIN, Outcome.REFRESHED),
        (RefreshMode.CONCURRENTLY, Outcome.REFRESHED),
        (RefreshMode.SWAP, Outcome.SWAPPED),
    ],
)
def test_it_is_refreshed_in_each_mode(made: Bench, mode: RefreshMode, outcome: Outcome) -> None:
    made.sql("delete from sale where id > 70")
    done = made.refresh(made.manifest(QUERY), made.policy(refresh_mode=mode))
    assert (done.outcome, done.figures.records, rows(made)) == (outcome, 70, 70)


def test_its_rows_are_held_against_what_is_expected(made: Bench) -> None:
    manifest = made.manifest(f"-- seeder: expect=(rows > 10)\n{QUERY}")
    assert made.refresh(manifest).outcome is Outcome.SWAPPED


def test_columns_come_and_go_by_a_rebuild(made: Bench) -> None:
    made.sql("grant select on reporting.sales to public")
    made.sql("create index one on reporting.sales ((1))")
    for query in ("select id, amount from sale", QUERY, "select id from sale", "table nothing"):
        made.sql("create table if not exists public.nothing ()")
        assert made.refresh(made.manifest(query)).outcome is Outcome.REBUILT, query
    assert rows(made) == 0
    assert made.value("select 'reporting.one'::regclass::text") == "reporting.one"
    assert made.value("select has_table_privilege('public', 'reporting.sales', 'select')")


def test_what_was_put_on_a_column_goes_with_it_or_is_named(made: Bench) -> None:
    made.refresh(made.manifest("select id from sale"))
    made.sql("""
        comment on column reporting.sales.id is 'number';
        grant select (id) on reporting.sales to public;
        alter materialized view reporting.sales alter column id set (n_distinct = -1)
    """)
    assert made.refresh(made.manifest(QUERY)).outcome is Outcome.REBUILT
    made.refresh(made.manifest("select id from sale"))
    made.sql("create index of_it on reporting.sales (id)")
    with pytest.raises(PartUnfit, match=r'The index of_it .* column "id" does not exist'):
        made.refresh(made.manifest(QUERY))


def test_what_is_built_on_it_stays_on_it(made: Bench) -> None:
    made.sql("""
        create view reporting.seen as select from reporting.sales;
        create materialized view reporting.above as select from reporting.sales
    """)
    made.sql("delete from sale where id > 70")
    done = made.refresh(made.manifest(QUERY), made.policy(refresh_mode=RefreshMode.SWAP))
    assert done.outcome is Outcome.SWAPPED
    assert (rows(made, "reporting.seen"), rows(made, "reporting.above")) == (70, 70)
    # More columns at the end harm nobody who reads none.
    assert made.refresh(made.manifest("select id from sale")).outcome is Outcome.REBUILT
    made.sql("create view reporting.numbers as select id from reporting.sales")
    with pytest.raises(DependentsInTheWay, match="the column id is gone"):
        made.refresh(made.manifest(QUERY))


def test_one_that_was_made_without_seeder_is_adopted(bench: Bench) -> None:
    bench.sql("create materialized view reporting.sales as select from public.sale")
    done = bench.refresh(bench.manifest("select  from sale"))
    assert (done.outcome, bool(bench.stamp())) == (Outcome.REFRESHED, True)


@pytest.mark.parametrize("directive", ["unique=(id)", "index=(id)", "expect=(not_null(id))"])
def test_a_directive_for_a_column_is_told_that_there_is_none(bench: Bench, directive: str) -> None:
    with pytest.raises(DirectiveUnfit, match=r"it has no column id, nor any other"):
        bench.refresh(bench.manifest(f"-- seeder: {directive}\n{QUERY}"))
    assert "sales" not in bench.relations()
