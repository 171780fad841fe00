"""The jobs in memory are those of the database, whatever happens there and in whatever order."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.contract import Platform, as_it_is, new_run
from test_jobs import FIGURES

from seeder.config.settings import load_settings
from seeder.history import Refusal
from seeder.monitoring import Monitor
from seeder.monitoring import monitor as monitoring
from seeder.monitoring.snapshot import KEPT_ANSWERS

TABLES = ("own", "shared", "shared", "lone")


@pytest.fixture
def monitor(platform: Platform) -> Monitor:
    return Monitor(platform.databases, load_settings())


def seen(monitor: Monitor) -> list:
    """What every job is like, apart from what only time changes."""
    look = monitor.look()
    return sorted(
        (one.job.report_type, one.job.manifest_id, one.job, one.usual_seconds, one.size, one.size_before)
        for one in look.snapshot.jobs
    )


def test_a_look_at_an_unchanged_record_changes_nothing(platform: Platform, monitor: Monitor) -> None:
    platform.custom(1, table_name="sales")
    first = monitor.look()
    assert (first.snapshot.version, first.changed) == (1, None)
    second = monitor.look()
    assert second.snapshot is first.snapshot
    assert second.changed == ()


def test_a_look_tells_which_jobs_have_changed(platform: Platform, monitor: Monitor) -> None:
    for number in range(3):
        platform.custom(number, table_name=f"t{number}")
    before = monitor.look().snapshot
    platform.history.queue([new_run("n1.custom-1", "t1", manifest_id=1)])
    look = monitor.look()
    assert look.changed is not None
    assert [(one.job.table_name, one.job.status) for one in look.changed] == [("t1", "pending")]
    assert before.of_table("t1")[0].job.status is None
    assert look.snapshot.version == before.version + 1


def test_what_everybody_asks_for_outlives_many_searches(monitor: Monitor) -> None:
    kept = monitor.look().snapshot
    made = []
    for number in range(2 * KEPT_ANSWERS):
        kept.kept("summary", lambda: made.append("summary") or made)
        kept.kept(("search", number), lambda: [number])  # noqa: B023 - called at once
    assert made == ["summary"]
    assert kept.known(("search", KEPT_ANSWERS)) is None
    assert kept.known(("search", 2 * KEPT_ANSWERS - 1)) is not None


def test_a_manifest_that_is_new_changed_or_gone_is_noticed(
    platform: Platform, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitoring, "MANIFESTS_EVERY", timedelta(0))
    assert monitor.look().snapshot.jobs == []
    platform.custom(1, table_name="a")
    assert [one.job.table_name for one in monitor.look().snapshot.jobs] == ["a"]
    platform.sql("update reporting.seeder_custom_report_manifest set report_name = 'Other', enabled = false")
    (one,) = monitor.look().snapshot.jobs
    assert (one.job.report_name, one.enabled) == ("Other", False)
    platform.sql("delete from reporting.seeder_custom_report_manifest")
    assert monitor.look().snapshot.jobs == []


def test_a_fan_out_that_was_slow_to_become_visible_is_noticed(
    platform: Platform, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.custom(1, table_name="sales")
    monitor.look()
    monkeypatch.setattr(monitoring, "LONG_MARGIN_EVERY", timedelta(0))
    platform.history.queue([new_run("n1.custom-1", "sales")])
    platform.sql("update reporting.seeder_job_status set updated_at = now() - interval '1 minute'")
    platform.sql("update reporting.seeder_run_history set updated_at = now() - interval '1 minute'")
    assert monitor.look().snapshot.jobs[0].job.status == "pending"


def test_a_run_becomes_long_without_any_change_in_the_record(platform: Platform, monitor: Monitor) -> None:
    platform.custom(1, table_name="sales")
    platform.history.queue([new_run("n1.custom-1", "sales")])
    platform.history.start("n1.custom-1", "sales")
    platform.sql("update reporting.seeder_job_status set start_time = now() - interval '1799.5 seconds'")
    assert not monitor.look().snapshot.jobs[0].is_long_running
    one = monitor.snapshot.jobs[0]  # type: ignore[union-attr]
    assert one.long_after is not None
    while datetime.now(UTC) <= one.long_after:
        monitor.look()
    (changed,) = monitor.look().changed or [monitor.snapshot.jobs[0]]  # type: ignore[union-attr]
    assert changed.is_long_running


STEP = st.tuples(
    st.sampled_from(["queue", "start", "succeed", "fail", "retry", "refuse"]),
    st.integers(0, 3),
    st.integers(0, 2),
)


@given(st.lists(st.lists(STEP, max_size=4), max_size=4))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_looks_between_any_steps_see_what_reading_everything_sees(platform: Platform, looks: list) -> None:
    platform.empty()
    for number, table in enumerate(TABLES):
        platform.custom(number, table_name=table, query=f"select {number} as n")
    monitor = Monitor(platform.databases, load_settings())
    monitor.look()
    history, records = platform.history, itertools.count()
    for steps in looks:
        for what, number, night in steps:
            table = TABLES[number]
            run = new_run(f"n{night}.custom-{number}", table, manifest_id=number)
            match what:
                case "queue":
                    history.queue([run])
                case "start":
                    history.start(run.run_id, table)
                case "succeed":
                    history.succeed(as_it_is(history, run.run_id), replace(FIGURES, records=next(records)))
                case "refuse":
                    history.refuse([Refusal(run, "no", shown=number != 2)])
                case _:
                    getattr(history, what)(as_it_is(history, run.run_id), "22012: no")
        assert seen(monitor) == seen(Monitor(platform.databases, load_settings()))
