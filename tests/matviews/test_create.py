"""A matview that isn't there yet."""

import pytest
from support.workbench import Bench

from seeder.errors import DatabaseTrouble, FunctionRefused, MayNotCreate, QueryFailed
from seeder.matviews.result import Outcome
from seeder.matviews.stamp import Stamp


def test_it_is_made_with_its_rows_figures_and_stamp(bench: Bench) -> None:
    manifest = bench.manifest("select id, amount from sale -- all of them")
    done = bench.refresh(manifest)
    assert (done.outcome, done.note, done.figures.records) == (Outcome.CREATED, None, 100)
    assert done.figures.total_bytes == bench.value("select pg_total_relation_size('reporting.sales')")
    assert bench.sql("table reporting.sales") == bench.sql("select id, amount from sale")
    there = bench.stamp()
    assert there is not None
    assert there == Stamp(
        "custom-1", manifest.source(()), manifest.query.fingerprint, analyzed_rows=100, shape=there.shape
    )
    assert bench.comment() == bench.comment().strip()  # type: ignore[union-attr]


def test_the_planner_knows_it_at_once(bench: Bench) -> None:
    bench.refresh()
    assert bench.value("select reltuples from pg_class where oid = 'reporting.sales'::regclass") == 100
    stats = "from pg_stats where schemaname = 'reporting' and tablename = 'sales'"
    assert bench.value(f"select count(*) {stats}") == 3
    # The values are those of the rows, not of a sample taken before them.
    assert bench.value(f"select n_distinct {stats} and attname = 'id'") == -1


def test_an_empty_one_is_populated_with_no_rows(bench: Bench) -> None:
    assert bench.refresh(bench.manifest("select 1 as one where false")).figures.records == 0
    assert bench.value("select relispopulated from pg_class where oid = 'reporting.sales'::regclass")


BAD = {
    "select 1 / (id - 50) from sale": r"^22012: division by zero$",
    "select 1 as a, 2 as a": r"^42701: column \"a\" specified more than once$",
    "select * from nowhere": r"^42P01: relation \"nowhere\" does not exist\nAt line 1, column 15 of",
    "select amount + '{}'::int[] from sale": r"^42883: operator does not exist.*\nHint: ",
    "select 'a' as \"\u00e4\", amount::date from sale": r"^42846: cannot cast .*\nAt line 1, column 26 of",
}


@pytest.mark.parametrize(("sql", "words"), BAD.items())
def test_what_can_not_be_made_leaves_nothing(bench: Bench, sql: str, words: str) -> None:
    with pytest.raises(QueryFailed, match=words):
        bench.refresh(bench.manifest(sql))
    assert bench.relations() == set()
    # The session goes on to serve others.
    assert bench.refresh(bench.manifest("select 1 as one")).figures.records == 1


def test_the_place_of_an_error_is_the_manifests_own(bench: Bench) -> None:
    """Whatever was put in for the placeholders before it, and however many bytes a character has."""
    query = (
        "-- Übersicht für 日本 😀\nselect :agency_slug as größe, ':agency_slug' as b,\n"
        "  :agency_id + amuont\nfrom sale"
    )
    manifest = bench.manifest(query, agency_slug="an-agency-with-a-rather-long-slug-äöü😀")
    with pytest.raises(
        QueryFailed, match=r'column "amuont" does not exist\n(.*\n)?At line 3, column 16 of the manifest'
    ):
        bench.refresh(manifest)


def test_text_that_only_looks_like_a_placeholder_of_the_driver_stays(bench: Bench) -> None:
    bench.refresh(bench.manifest("select '%s %(oid)s 100 %' as \"%\", 7 % 4 as rest /* %d */"))
    assert bench.sql("table reporting.sales") == [("%s %(oid)s 100 %", 3)]


def test_a_comment_at_the_end_of_the_query_ends_there(bench: Bench) -> None:
    bench.refresh(bench.manifest("select 1 as one -- and no more"))
    assert bench.value("select count(*) from reporting.sales") == 1


def test_a_failure_after_the_rows_were_made_leaves_nothing_and_is_told(bench: Bench) -> None:
    bench.sql("""
        create function public.no_comments() returns event_trigger language plpgsql
            as 'begin raise exception ''no comments here''; end';
        create event trigger objection on ddl_command_end when tag in ('COMMENT')
            execute function public.no_comments()
    """)
    try:
        with pytest.raises(QueryFailed, match="P0001: no comments here"):
            bench.refresh()
    finally:
        bench.sql("drop event trigger objection")
    assert bench.relations() == set()


def test_a_connection_lost_at_the_end_may_be_mended_by_time(bench: Bench) -> None:
    bench.sql("""
        create function public.suicide() returns event_trigger language plpgsql
            as 'begin perform pg_terminate_backend(pg_backend_pid()); perform pg_sleep(1); end';
        create event trigger objection on ddl_command_end when tag in ('COMMENT')
            execute function public.suicide()
    """)
    try:
        with pytest.raises(DatabaseTrouble, match=r"57P01|connection"):
            bench.refresh()
    finally:
        bench.sql("drop event trigger objection")
    assert bench.relations() == set()


def test_a_volatile_function_is_refused_before_it_runs(bench: Bench) -> None:
    bench.sql("create function public.counted() returns int volatile language sql as 'select 1'")
    with pytest.raises(FunctionRefused, match=r"public\.counted"):
        bench.refresh(bench.manifest("select counted() as one"))
    assert (
        bench.refresh(
            bench.manifest("select counted() as one"), bench.policy(allowed_functions=("public.counted",))
        ).figures.records
        == 1
    )


def test_a_schema_that_is_not_there_is_named(bench: Bench) -> None:
    with pytest.raises(MayNotCreate, match="there is no schema elsewhere; create it, or correct table_name"):
        bench.refresh(bench.manifest(table_name="elsewhere.sales"))


@pytest.mark.parametrize("name", ["Sales", "sALES_$1", "_", "x" * 63, "Reporting2.Sales", "name", "value"])
def test_a_legal_name_is_kept_as_it_is_written(bench: Bench, name: str) -> None:
    if "." in name:
        bench.sql('create schema "Reporting2"')
    try:
        for outcome in (Outcome.CREATED, Outcome.REFRESHED):
            assert bench.refresh(bench.manifest(table_name=name)).outcome is outcome
        schema, _, table = name.rpartition(".")
        assert bench.sql(
            f"select schemaname, matviewname from pg_matviews where matviewname = '{table}'"
        ) == [(schema or "reporting", table)]
    finally:
        bench.sql('drop schema if exists "Reporting2" cascade')
