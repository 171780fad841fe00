"""Reading and pruning the record."""

from datetime import timedelta

import pytest
from support.contract import Platform, as_it_is, new_run, platform_on
from support.emptied import fresh_database

from seeder.history import Figures, HistoryRepository, Refusal
from seeder.history.nights import Nights

FIGURES = Figures(records=1, total_bytes=8192)


def queued(history: HistoryRepository, *run_ids: str) -> None:
    history.queue([new_run(run_id, f"table_{run_id}") for run_id in run_ids])


def finished(history: HistoryRepository, run_id: str, table_name: str = "sales") -> None:
    history.queue([new_run(run_id, table_name)])
    history.start(run_id, table_name)
    history.succeed(as_it_is(history, run_id), FIGURES)


def aged(platform: Platform, days: int, *run_ids: str) -> None:
    with platform.databases.session() as session:
        session.run(
            "update reporting.seeder_run_history "
            "set start_time = start_time - make_interval(days => %(days)s) where run_id = any(%(ids)s)",
            days=days,
            ids=list(run_ids),
        )


def ids(platform: Platform) -> set[str]:
    return {row[0] for row in platform.sql("select run_id from reporting.seeder_run_history")}


def test_a_tables_runs_come_newest_first(platform: Platform) -> None:
    for night in range(5):
        finished(platform.history, f"n{night}.custom-1")
    found = platform.history.runs_of_table("sales", limit=3)
    assert [run.run_id for run in found] == ["n4.custom-1", "n3.custom-1", "n2.custom-1"]


def test_a_run_comes_back_as_it_was_recorded(platform: Platform) -> None:
    finished(platform.history, "n1.custom-1")
    run = platform.history.run("n1.custom-1")
    assert run is not None
    assert (run.run_id, run.table_name, run.report_name, run.report_type) == (
        "n1.custom-1",
        "sales",
        "Sales",
        "custom",
    )
    assert (run.manifest_id, run.agency_slug, run.status, run.errors) == (1, "ua", "success", None)
    assert (run.duration_seconds, run.records_processed, run.bytes_processed) == (1, 1, 8192)
    assert run.finish_time is not None
    assert timedelta(0) < run.finish_time - run.start_time < timedelta(minutes=1)
    assert platform.history.run("n2.custom-1") is None


def test_runs_that_have_ended_and_runs_that_wait_are_told_from_the_others(platform: Platform) -> None:
    history = platform.history
    names = [f"n1.custom-{n}" for n in range(7)]
    history.queue([new_run(run_id, f"t{n}") for n, run_id in enumerate(names)])
    for n, run_id in enumerate(names[1:], start=1):
        history.start(run_id, f"t{n}")
    for n, run_id in enumerate(names[3:], start=3):
        history.fail(as_it_is(history, run_id), "no") if n > 5 else history.succeed(
            as_it_is(history, run_id), FIGURES
        )
    queued(history, "n2.custom-1")
    assert {run.run_id for run in history.ended(names)} == set(names[3:])
    assert history.still_pending(names) == {names[0]}


def test_the_usual_time_of_a_table_is_the_median_of_its_last_successes(platform: Platform) -> None:
    history = platform.history
    # Of eleven the first isn't counted any more, nor what failed.
    for number, seconds in enumerate((1000, 3, 60, 5, 40, 4, 50, 2, 70, 30, 20)):
        finished(history, run_id := f"n{number}.custom-1")
        lasting(platform, run_id, seconds)
    history.queue([new_run("n20.custom-1")])
    history.start("n20.custom-1", "sales")
    history.fail(as_it_is(history, "n20.custom-1"), "no")
    queued(history, "n1.custom-2")
    history.queue([new_run("n21.custom-1")])
    assert history.usual_seconds() == {"sales": 20, "table_n1.custom-2": 0}
    # A second is told more closely by the times themselves.
    finished(history, "n22.custom-3", "quick")
    platform.sql("""
        update reporting.seeder_run_history
        set start_time = finish_time - interval '250 ms', duration_seconds = 1
        where run_id = 'n22.custom-3'
    """)
    assert history.usual_seconds()["quick"] == 0.25


def test_without_a_success_lately_the_usual_time_is_the_last_runs(platform: Platform) -> None:
    finished(platform.history, "n1.custom-1")
    platform.sql("update reporting.seeder_job_status set duration_seconds = 40")
    aged(platform, 8, "n1.custom-1")
    assert platform.history.usual_seconds() == {"sales": 40}


def lasting(platform: Platform, run_id: str, seconds: int) -> None:
    platform.sql(f"""
        update reporting.seeder_run_history
        set start_time = finish_time - interval '{seconds} s', duration_seconds = {seconds}
        where run_id = '{run_id}'
    """)


def test_only_unfinished_runs_that_were_quiet_for_a_while_are_found(platform: Platform) -> None:
    queued(platform.history, "n1.custom-1", "n1.custom-2", "n1.custom-3", "n1.custom-4")
    platform.history.start("n1.custom-2", "table_n1.custom-2")
    platform.history.fail(as_it_is(platform.history, "n1.custom-3"), "no")
    platform.sql("update reporting.seeder_run_history set updated_at = now() - interval '90 s'")
    platform.history.start("n1.custom-4", "table_n1.custom-4")
    found = platform.history.unfinished(days=7, quiet_seconds=60)
    assert [run.run_id for run in found] == ["n1.custom-1", "n1.custom-2"]
    aged(platform, 8, "n1.custom-1")
    assert [run.run_id for run in platform.history.unfinished(days=7, quiet_seconds=60)] == ["n1.custom-2"]


def test_pruning_keeps_each_tables_last_run_and_what_has_not_ended(platform: Platform) -> None:
    history = platform.history
    for night in ("n1", "n2", "n3"):
        finished(history, f"{night}.custom-1", "sales")
    finished(history, "n1.custom-2", "once")
    history.queue([new_run("n1.custom-3", "waits"), new_run("n1.custom-4", "works")])
    history.start("n1.custom-4", "works")
    # The status row of that table shows a later run.
    history.queue([new_run("n2.custom-3", "waits", manifest_id=3), new_run("n2.custom-4", "works")])
    aged(platform, 91, *ids(platform))
    finished(history, "n4.custom-1", "sales")
    assert history.prune(90, batch=10) == 3
    assert ids(platform) == {
        "n4.custom-1", "n1.custom-2", "n1.custom-3", "n1.custom-4", "n2.custom-3", "n2.custom-4",
    }  # fmt: skip
    assert history.prune(90, batch=10) == 0


def test_pruning_goes_by_the_days_given_and_no_further_than_its_batch(platform: Platform) -> None:
    for night in range(8):
        finished(platform.history, f"n{night}.custom-1")
    aged(platform, 10, *(f"n{night}.custom-1" for night in range(5)))
    assert platform.history.prune(11, batch=3) == 0
    assert [platform.history.prune(9, batch=3) for _ in range(3)] == [3, 2, 0]
    assert len(ids(platform)) == 3


LOOK_ALIKES = (
    "20261123T0200Z", "20261123T0200Z-", "20261123T0200", "20261123T0200ZZ", "20261123t0200z",
    "20261123T0200Z/", "20261123T0200Z,", "20261123T0200Z_", "20261123T0200Z-k3f9", " 20261123T0200Z",
    "2026_", "20261123T%", "20261123T0200Ż",
)  # fmt: skip

COLLATIONS = {
    "C": "locale 'C'",
    "ICU": "locale_provider icu icu_locale 'en-US'",
    "ICU that passes over punctuation": "locale_provider icu icu_locale 'en-US-u-ka-shifted'",
    "ICU that passes over case and accents": "locale_provider icu icu_locale 'und-u-ks-level1'",
}


@pytest.mark.parametrize("collation", COLLATIONS.values(), ids=COLLATIONS)
def test_a_seedings_runs_are_exactly_those_in_any_collation(postgres15_url: str, collation: str) -> None:
    # Debian's server: the embedded one is built without ICU.
    with fresh_database(postgres15_url, collation) as url, platform_on(url) as platform:
        expected = {}
        for seeding in LOOK_ALIKES:
            expected[seeding] = {f"{seeding}.custom-{n}" for n in (1, 10, 2)} | {f"{seeding}.canned-1"}
            queued(platform.history, *expected[seeding])
        nights = Nights(platform.databases, "reporting")
        assert {seeding: {run.run_id for run in nights.runs(seeding)} for seeding in expected} == expected
        assert {one.runs for one in nights.counts(list(expected)).values()} == {4}


def test_a_schema_of_any_name_is_quoted(postgres_url: str) -> None:
    schema = 'Über "Berichte" {x}; --'
    with fresh_database(postgres_url) as url:
        platform = Platform(url)
        quoted = '"' + schema.replace('"', '""') + '"'
        with platform_on(url):
            platform.sql(f"alter schema reporting rename to {quoted}")
        history = HistoryRepository(platform.databases, schema)
        finished(history, "n1.custom-1")
        history.refuse([Refusal(new_run("n2.custom-1"), "no")])
        assert {run.run_id for run in history.runs_of_table("sales")} == {"n1.custom-1", "n2.custom-1"}
        assert history.jobs() == []
        platform.close()
