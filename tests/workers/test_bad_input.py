"""Whatever is wrong with one manifest: its run says so in words, and the others run."""

from dataclasses import dataclass
from typing import Any

import pytest
from support.processes import Worker
from support.world import World

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Bad:
    """A manifest that can't be refreshed, and what its run must say."""

    words: tuple[str, ...]
    query: str | None = "select 1 as one"
    table_name: str | None = None
    more: tuple[tuple[str, Any], ...] = ()


MEGABYTE = "select " + " + ".join(["1"] * 350_000)

BAD = {
    "sql_that_doesnt_parse": Bad(("syntax error", "line 2, column 6"), "select 1 as one\nfrom from t"),
    "missing_table": Bad(
        ("42P01", 'relation "nowhere.to_be_found" does not exist', "line 1, column 15"),
        "select * from nowhere.to_be_found",
    ),
    "missing_column": Bad(("42703", 'column "colour" does not exist'), "select colour from pg_class"),
    "two_statements": Bad(("refused", "one manifest is one statement", "column 11"), "select 1; select 2"),
    "delete_in_a_cte": Bad(
        ("refused", "DELETE"),
        "with gone as (delete from public.witnessed returning *) select count(*) from gone",
    ),
    "empty_query": Bad(("no query", "Fill query"), "  \n "),
    "null_query": Bad(("no query", "Fill query"), None),
    "comment_only": Bad(("refused",), "-- nothing to see"),
    "division_by_zero": Bad(
        ("22012", "division by zero"), "select 1 / (g - g) as x from generate_series(1, 2) g"
    ),
    "volatile_function": Bad(
        ("public.scribble", "volatile", "SEEDER_ALLOWED_FUNCTIONS"), "select public.scribble()"
    ),
    "one_megabyte_of_sql": Bad(("refused",), MEGABYTE),
    "same_column_twice": Bad(("42701", "specified more than once"), "select 1 as a, 2 as a"),
    "name_with_a_quote": Bad(("can't be used", "table_name"), table_name='bad"name'),
    "name_with_a_dot_too_many": Bad(("can't be used", "table_name"), table_name="a.b.c"),
    "name_of_64_bytes": Bad(("can't be used", "63"), table_name="n" * 64),
    "name_that_is_reserved": Bad(("can't be used", "reserved"), table_name="select"),
    "name_that_isnt_ascii": Bad(("can't be used",), table_name="übersicht"),
    "no_name": Bad(("no table_name",), table_name=""),
    "schema_that_isnt_there": Bad(("there is no schema nowhere; create it",), table_name="nowhere.at_all"),
    "a_table_of_that_name": Bad(
        ("is a table, not a materialized view", "not touched"), table_name="public.witnessed"
    ),
    "a_view_of_that_name": Bad(("is a view, not a materialized view",), table_name="public.a_view"),
    "unknown_database_id": Bad(("database_id 77", "SEEDER_DATABASES"), more=(("database_id", 77),)),
    "directive_that_doesnt_parse": Bad(
        ("directive can't be used", "no mode fast", "line 2, column 17"),
        "-- Sales\n-- seeder: mode=fast\nselect 1 as one",
    ),
    "directive_of_a_missing_column": Bad(
        ("unique=(colour) doesn't fit", "its columns are one"), "-- seeder: unique=(colour)\nselect 1 as one"
    ),
    "role_that_isnt_allowed": Bad(
        ("the role postgres", "SEEDER_ALLOWED_ROLES"), "-- seeder: role=postgres\nselect 1 as one"
    ),
    "key_that_isnt_unique": Bad(
        (
            "(one) of reporting.key_that_isnt_unique is not unique",
            "nothing was created",
            "3 rows have one = 1",
        ),
        "-- seeder: unique=(one)\nselect 1 as one from generate_series(1, 3)",
    ),
    "not_what_is_expected": Bad(
        ("Rejected, nothing created: wanted rows > 1, found 1",),
        "-- seeder: expect=(rows > 1)\nselect 1 as one",
    ),
    "null_slug": Bad(("no agency_slug",), more=(("agency", None),)),
    "null_agency_id": Bad(("no agency_id",), more=(("agency_id", None),)),
    "script_in_the_report_name": Bad(
        ("42P01",), "select * from nowhere.else_", more=(("report", "<script>alert(1)</script>"),)
    ),
}

GOOD = {
    "report_name_is_html": ("select 1 as one", {"report": "<script>alert(1)</script>"}),
    "quoted_percent": ("select '100%' as \"%s\", 'a;b' as b", {}),
    "no_report_name": ("select 1 as one", {"report": None}),
}


@pytest.fixture(scope="module")
def ended(world: World, worker: Worker) -> dict[str, Any]:
    """The history rows of one seeding over all of them, by the manifest's key above."""
    world.sql("create view public.a_view as select 1 as one")
    world.sql("create function public.scribble() returns int language sql volatile as 'select 1'")
    world.sql("insert into public.witnessed (name) values ('kept')")
    ids = {
        key: world.custom(key if bad.table_name is None else bad.table_name, bad.query, **dict(bad.more))
        for key, bad in BAD.items()
    }
    ids |= {key: world.custom(key, query, **more) for key, (query, more) in GOOD.items()}
    too_long = world.custom("".join(f"{number:x}" for number in range(5000)))
    seeding = world.seed()
    # No index can hold that name, so no row can.
    assert set(seeding.not_recorded) == {f"{seeding.seeding_id}.custom-{too_long}"}
    runs = world.wait_for_end({*seeding.run_ids, *seeding.refused} - set(seeding.not_recorded), seconds=60)
    by_manifest = {run.manifest_id: run for run in runs.values()}
    assert len(runs) == len(ids)
    return {key: by_manifest[number] for key, number in ids.items()}


@pytest.mark.parametrize("key", BAD)
def test_the_run_ends_as_an_error_that_says_what_is_wrong(ended: dict[str, Any], key: str) -> None:
    run = ended[key]
    assert run.status == "error"
    for word in BAD[key].words:
        assert word in run.errors
    assert "Traceback" not in run.errors
    assert "bug" not in run.errors
    assert len(run.errors) < 2000
    assert run.finish_time is not None
    assert run.consecutive_failures == 1


@pytest.mark.parametrize("key", GOOD)
def test_the_others_run_all_the_same(world: World, ended: dict[str, Any], key: str) -> None:
    assert (ended[key].status, ended[key].records_processed, ended[key].errors) == ("success", 1, None)
    assert world.value(f"select count(*) from reporting.{key}") == 1


def test_what_the_names_belonged_to_is_as_it_was(world: World, ended: dict[str, Any]) -> None:
    assert world.refreshes("kept") == 1
    assert world.value("select relkind from pg_class where oid = 'public.witnessed'::regclass") == "r"


def test_the_worker_shows_no_traceback_for_any_of_them(worker: Worker, ended: dict[str, Any]) -> None:
    assert "Traceback" not in worker.logs()


def test_an_error_is_counted_anew_and_shown_until_the_manifest_is_mended(
    world: World, ended: dict[str, Any]
) -> None:
    run = ended["missing_column"]
    (again,) = world.wait_for_end(world.seed(table_name="missing_column").run_ids).values()
    assert again.consecutive_failures == 2
    assert world.status("missing_column").last_errors == again.errors
    world.sql(
        "update reporting.seeder_custom_report_manifest set query = 'select 1 as colour' where id = %s",
        run.manifest_id,
    )
    (mended,) = world.wait_for_end(world.seed(table_name="missing_column").run_ids).values()
    assert (mended.status, mended.consecutive_failures) == ("success", 0)
    status = world.status("missing_column")
    assert (status.status, status.consecutive_failures, status.last_errors) == ("success", 0, None)


def test_rows_that_would_hide_the_good_ones_are_rejected_and_count_as_one_failure(
    world: World, worker: Worker
) -> None:
    world.sql("create table public.delivery as select n as id from generate_series(1, 5) as n")
    world.custom("deliveries", "-- seeder: unique=(id) expect=(rows > 0)\nselect id from public.delivery")
    (first,) = world.wait_for_end(world.seed(table_name="deliveries").run_ids).values()
    assert (first.status, first.records_processed) == ("success", 5)
    world.sql("delete from public.delivery")
    (run,) = world.wait_for_end(world.seed(table_name="deliveries").run_ids).values()
    assert (run.status, run.consecutive_failures) == ("error", 1)
    assert run.errors.startswith("Rejected, old data kept: wanted rows > 0, found 0. Mend")
    status = world.status("deliveries")
    assert (status.status, status.consecutive_failures, status.last_errors) == ("error", 1, run.errors)
    assert world.value("select count(*) from reporting.deliveries") == 5
    world.sql("insert into public.delivery values (1)")
    (mended,) = world.wait_for_end(world.seed(table_name="deliveries").run_ids).values()
    assert (mended.status, mended.records_processed, mended.consecutive_failures) == ("success", 1, 0)


def test_an_agency_that_a_foreign_key_forbids_costs_only_its_own_runs(
    world: World, ended: dict[str, Any]
) -> None:
    world.sql("create table public.agency (id integer primary key, name text)")
    world.sql("insert into public.agency values (1, 'United')")
    world.sql("delete from reporting.seeder_custom_report_manifest")
    for table in ("seeder_run_history", "seeder_job_status"):
        world.sql(
            f"alter table reporting.{table} add constraint known_{table} foreign key (agency_id)"
            " references public.agency (id) not valid"
        )
    try:
        stray = world.custom("of_a_stranger", agency="zz", agency_id=99)
        worse = world.custom("", agency="zz", agency_id=99)
        known = [world.custom(f"of_united_{number}") for number in range(5)]
        seeding = world.seed()
        assert set(seeding.not_recorded) == {f"{seeding.seeding_id}.custom-{n}" for n in (stray, worse)}
        for reason in seeding.not_recorded.values():
            assert "known_seeder" in reason
            assert "agency_id" in reason
        runs = world.wait_for_end(seeding.run_ids)
        assert sorted(run.manifest_id for run in runs.values()) == known
        assert {run.status for run in runs.values()} == {"success"}
        assert not world.history(table_name="of_a_stranger")
    finally:
        for table in ("seeder_run_history", "seeder_job_status"):
            world.sql(f"alter table reporting.{table} drop constraint known_{table}")
