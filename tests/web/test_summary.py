"""Counts, seedings, schedule; and the flags behind them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from support.contract import Platform, new_run
from test_jobs import run

from seeder.config.settings import Settings, load_settings
from seeder.history.pages import SeedingCounts
from seeder.history.watching import WatchedJob
from seeder.monitoring.jobs import Clock, MonitoredJob, Size, Successes, monitored
from seeder.monitoring.seedings import Left, expected_end
from seeder.run_ids import tick_seeding_id
from seeder.schedule.ticks import GRACE, latest_tick, latest_ticks

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
CLOCK = Clock(
    now=NOW,
    last_tick=datetime(2026, 11, 24, 2, 0, tzinfo=UTC),
    stale_before=datetime(2026, 11, 23, 2, 0, tzinfo=UTC),
    next_run=datetime(2026, 11, 25, 2, 0, tzinfo=UTC),
    long_running_seconds=1800,
)
JOB = WatchedJob(
    "custom", 1, "sales", "Sales", 7, "ua", None, True, "success", 40, NOW - timedelta(hours=10),
    NOW - timedelta(hours=9), 1, 1, 0, "x", None, NOW,
)  # fmt: skip
USUAL_40 = Successes(NOW - timedelta(hours=9), (40, 300, 40, 41, 39))


def judged(successes: Successes = USUAL_40, **changes: object) -> MonitoredJob:
    return monitored(replace(JOB, **changes), successes, CLOCK)  # type: ignore[arg-type]


# --- flags -------------------------------------------------------------------------------------------------


def test_what_is_usual_is_the_median_of_the_last_successes() -> None:
    assert judged().usual_seconds == 40
    assert judged(Successes()).usual_seconds is None


def test_what_is_there_is_what_the_last_success_left_however_old() -> None:
    newest, before = Size(3, 30), Size(2, 20)
    known = Successes(NOW, (1, 1), (newest, before))
    assert (judged(known).size, judged(known).size_before) == (newest, before)
    assert (judged(Successes()).size, judged(Successes()).size_before) == (Size(1, 1), None)
    assert judged(Successes(), status="error").size is None


@pytest.mark.parametrize(
    ("seconds", "successes", "is_long"),
    [
        (119, USUAL_40, False),
        (121, USUAL_40, True),
        (1799, Successes(), False),
        (1801, Successes(), True),
        (1801, Successes(NOW, (1000,)), True),
        (1799, Successes(NOW, (1000,)), False),
    ],
)
def test_a_run_is_long_after_three_times_its_usual_duration_or_the_setting(
    seconds: int, successes: Successes, is_long: bool
) -> None:
    began = NOW - timedelta(seconds=seconds)
    assert judged(successes, status="running", start_time=began).is_long_running is is_long
    assert not judged(successes, status="pending", start_time=began).is_long_running


@pytest.mark.parametrize(
    ("last", "changes", "is_stale"),
    [
        (NOW - timedelta(hours=33), {}, False),
        (NOW - timedelta(hours=35), {"status": "error", "consecutive_failures": 2}, True),
        (NOW - timedelta(hours=33), {"status": "error", "consecutive_failures": 1}, False),
        (None, {"status": "error", "consecutive_failures": 1}, True),
        (None, {"status": "pending", "consecutive_failures": 0}, False),
        (NOW - timedelta(hours=35), {"status": "error", "enabled": False}, False),
        (None, {"status": None}, False),
    ],
)
def test_a_job_is_stale_when_its_last_success_is_older_than_two_ticks(
    last: datetime | None, changes: dict[str, object], is_stale: bool
) -> None:
    usual = {"status": "error", "finish_time": None}
    assert judged(Successes(last, (1,) * bool(last)), **{**usual, **changes}).is_stale is is_stale


def test_what_is_switched_off_is_not_failing() -> None:
    assert judged(consecutive_failures=3).is_failing
    assert not judged(consecutive_failures=3, enabled=False).is_failing


# --- seedings ----------------------------------------------------------------------------------------------


def counts(**more: object) -> SeedingCounts:
    usual = {
        "runs": 10,
        "pending": 2,
        "running": 2,
        "success": 6,
        "error": 0,
        "cancelled": 0,
        "not_run": 0,
        "finish_time": None,
    }
    return SeedingCounts(
        **{**usual, "recorded_at": NOW - timedelta(seconds=100), "worked_seconds": 400, **more}  # type: ignore[arg-type]
    )


def test_the_end_is_expected_from_what_is_left_and_how_many_ran_side_by_side() -> None:
    left = [Left(100, None), Left(100, None), Left(100, NOW - timedelta(seconds=50)), Left(150, NOW)]
    assert expected_end(counts(), left, NOW) == NOW + timedelta(seconds=150)
    assert expected_end(counts(worked_seconds=100), left, NOW) == NOW + timedelta(seconds=400)
    assert expected_end(counts(worked_seconds=0), left, NOW) == NOW + timedelta(seconds=200)


def test_no_end_is_expected_of_what_is_over_or_unknown() -> None:
    assert expected_end(counts(), [], NOW) is None
    assert expected_end(counts(success=0, worked_seconds=0), [Left(None, None)], NOW) is None
    assert expected_end(counts(success=4, worked_seconds=40), [Left(None, None)], NOW) == NOW + timedelta(
        seconds=10
    )


@given(
    st.lists(
        st.builds(Left, st.integers(1, 10_000), st.none() | st.just(NOW - timedelta(seconds=9))), min_size=1
    ),
    st.integers(0, 10**6),
)
def test_the_end_is_never_before_now_nor_before_the_longest_run_left(left: list[Left], worked: int) -> None:
    end = expected_end(counts(worked_seconds=worked), left, NOW)
    assert end is not None
    longest = max(one.usual_seconds - (9 if one.began else 0) for one in left if one.usual_seconds)
    assert end >= NOW + timedelta(seconds=max(0, longest))


def test_a_summary_counts_and_tells_of_the_running_and_the_last_seeding(
    platform: Platform, client: TestClient
) -> None:
    for number in range(1, 5):
        platform.custom(number, table_name=f"t{number}")
    platform.custom(5, table_name="off", enabled=False)
    run(platform, 1, "t1", "20261123T0200Z")
    run(platform, 2, "t2", "20261123T0200Z", errors="42P01: missing")
    run(platform, 1, "t1", "20261124T0200Z")
    now = "20261124T091502Z-k3f9"
    platform.history.queue([new_run(f"{now}.custom-{n}", f"t{n}", manifest_id=n) for n in (1, 3)])
    platform.history.start(f"{now}.custom-1", "t1")
    told = client.get("/api/summary").json()
    assert told["jobs"] == 5
    assert told["status"] == {
        "pending": 1, "running": 1, "success": 0, "error": 1, "cancelled": 0, "notRun": 0, "neverRun": 1,
    }  # fmt: skip
    assert told["flags"] == {"isFailing": 1, "isLongRunning": 0, "isStale": 1, "neverRun": 2, "enabled": 4}
    running = told["running"]
    assert (running["seedingId"], running["scheduled"], running["finishTime"]) == (now, False, None)
    assert (running["runs"], running["pending"], running["running"]) == (2, 1, 1)
    assert running["expectedEnd"] > running["recordedAt"]
    last = told["last"]
    assert (last["seedingId"], last["scheduled"], last["expectedEnd"]) == ("20261123T0200Z", True, None)
    assert (last["success"], last["error"]) == (1, 1)
    assert last["finishTime"]


def test_the_last_seeding_is_known_while_another_has_all_tables(
    platform: Platform, client: TestClient
) -> None:
    platform.custom(1, table_name="t1")
    for night in ("20261122T0200Z", "20261123T0200Z"):
        run(platform, 1, "t1", night)
    platform.history.queue([new_run("20261124T0200Z.custom-1", "t1")])
    told = client.get("/api/summary").json()
    assert told["running"]["seedingId"] == "20261124T0200Z"
    assert (told["last"]["seedingId"], told["last"]["success"]) == ("20261123T0200Z", 1)


# --- the schedule ------------------------------------------------------------------------------------------


def test_ticks_are_told_newest_first() -> None:
    settings = load_settings(timezone="Europe/Berlin")
    found = latest_ticks(settings.schedule, settings.zone, datetime(2026, 3, 29, 12, tzinfo=UTC), 3)
    assert [f"{tick:%d %H:%M}" for tick in found] == ["29 01:00", "28 01:00", "27 01:00"]


@pytest.mark.parametrize(
    ("catch_up", "missed", "told_as"), [("2d", False, "lateTick"), ("0", True, "missedTick")]
)
def test_a_summary_tells_of_a_night_that_nothing_ran_until_something_has(
    platform: Platform, client: TestClient, settings: Settings, missed: bool, told_as: str
) -> None:
    def schedule() -> dict[str, Any]:
        client.portal.call(client.app.state.services.live.look)  # type: ignore[union-attr]
        told: dict[str, Any] = client.get("/api/summary").json()["schedule"]
        return told

    platform.custom(1, table_name="t1")
    on_time = {"missed": False, "missedTick": None, "lateTick": None}
    assert on_time.items() <= schedule().items()
    run(platform, 1, "t1", "20261101T0200Z")
    platform.sql(
        "update reporting.seeder_run_history"
        " set created_at = now() - interval '5 days', start_time = now() - interval '5 days'"
    )
    due = latest_tick(settings.schedule, settings.zone, datetime.now(UTC) - GRACE)
    told = schedule()
    assert told.items() >= {**on_time, "missed": missed, told_as: due.isoformat()}.items()
    assert told["lastTick"] < told["nextTick"]
    run(platform, 1, "t1", tick_seeding_id(due))
    assert on_time.items() <= schedule().items()
