"""When beat fires: ticks of the schedule, days of 23 and 25 hours included, and the seedings they name."""

import pickle
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from celery import Celery, current_app
from celery.beat import PersistentScheduler
from celery.schedules import BaseSchedule, crontab
from hypothesis import example, given, settings
from hypothesis import strategies as st
from redis import Redis

from seeder.app import celery_settings
from seeder.config.settings import Settings
from seeder.maintenance.duties import SWEEP
from seeder.schedule.beat import Ticks, beat_schedule
from seeder.schedule.ticks import GRACE, latest_tick, next_tick
from seeder.seedings.planning import CLOCK_TOLERANCE, scheduled_seeding_id

BERLIN = "Europe/Berlin"

#: By 30 minutes, at midnight, on the southern half of the globe, with summer time in winter, and never.
ZONES = st.sampled_from(
    [BERLIN, "Australia/Lord_Howe", "America/Santiago", "Africa/Casablanca", "America/New_York", "UTC"]
)
FIELDS = (
    ["0", "30", "17", "*/15", "15,45", "5-8"],
    ["2", "0", "1", "23", "*", "*/6", "1-3", "3"],
    ["*", "1", "29", "*/10", "L"],
    ["*", "3,10", "2"],
    ["*", "0", "1-5"],
)
EXPRESSIONS = st.builds(lambda *fields: " ".join(fields), *map(st.sampled_from, FIELDS))

#: Most of them within hours of a day on which one of the zones sets its clocks.
CHANGES = [datetime(2026, *day, tzinfo=UTC) for day in ((2, 15), (3, 8), (3, 29), (4, 5), (9, 6), (10, 25))]
MOMENTS = st.builds(
    lambda day, hours, rest: day + hours + rest,
    st.sampled_from([*CHANGES, datetime(2026, 11, 1, tzinfo=UTC), datetime(2028, 2, 29, tzinfo=UTC)]),
    st.timedeltas(timedelta(hours=-26), timedelta(hours=26)),
    st.sampled_from([timedelta(0), timedelta(microseconds=1), timedelta(seconds=59)]),
)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def ticks_between(expression: str, zone: str, first: str, last: str) -> list[str]:
    """The ticks after the first and up to the last moment, by UTC's clock."""
    found, tick = [], utc(first)
    while (tick := next_tick(expression, ZoneInfo(zone), tick)) <= utc(last):
        found.append(f"{tick:%d %H:%M}")
    return found


@pytest.mark.parametrize(
    ("expression", "ticks"),
    [
        # 02:00 to 03:00 is left out on the 29th: what would run then runs right after.
        ("30 2 * * *", ["28 01:30", "29 01:00", "30 00:30"]),
        ("0 2 * * *", ["28 01:00", "29 01:00", "30 00:00"]),
        ("0 4 * * *", ["28 03:00", "29 02:00", "30 02:00"]),
        ("15,45 2 * * *", ["28 01:15", "28 01:45", "29 01:00", "30 00:15", "30 00:45"]),
    ],
)
def test_in_spring_nothing_is_left_out_and_nothing_runs_twice(expression: str, ticks: list[str]) -> None:
    assert ticks_between(expression, BERLIN, "2026-03-27T12:00", "2026-03-30T12:00") == ticks


@pytest.mark.parametrize(
    ("expression", "ticks"),
    [
        # 02:00 to 03:00 comes twice on the 25th: a night is seeded once, in its first pass.
        ("30 2 * * *", ["24 00:30", "25 00:30", "26 01:30"]),
        ("0 3 * * *", ["24 01:00", "25 02:00", "26 02:00"]),
        # What goes by the hour or finer goes by the time that passes.
        ("*/30 2 * * *", ["24 00:00", "24 00:30", "25 00:00", "25 00:30", "25 01:00", "25 01:30", "26 01:00",
                          "26 01:30"]),
    ],
)  # fmt: skip
def test_in_autumn_a_night_is_seeded_once(expression: str, ticks: list[str]) -> None:
    assert ticks_between(expression, BERLIN, "2026-10-23T12:00", "2026-10-26T12:00") == ticks


def test_a_day_of_25_hours_has_25_hourly_ticks() -> None:
    assert len(ticks_between("0 * * * *", BERLIN, "2026-10-24T22:00", "2026-10-25T23:00")) == 25
    assert len(ticks_between("0 * * * *", BERLIN, "2026-03-28T23:00", "2026-03-29T22:00")) == 23


@pytest.mark.parametrize(
    ("expression", "ticks"),
    [
        # Day of the month or of the week, as in cron: the 1st, and every Monday.
        ("0 2 1 * 1", ["01 02:00", "07 02:00", "14 02:00", "21 02:00", "28 02:00"]),
        ("0 2 * * 1", ["07 02:00", "14 02:00", "21 02:00", "28 02:00"]),
    ],
)
def test_days_of_the_month_and_of_the_week_are_read_as_cron_reads_them(
    expression: str, ticks: list[str]
) -> None:
    assert ticks_between(expression, "UTC", "2026-11-30T12:00", "2026-12-31T12:00") == ticks


# In the repeated hour's second pass: an hour has gone by since a tick that a clock would call next.
@example("30 2 * * *", BERLIN, utc("2026-10-25T01:10"))
@settings(max_examples=50)
@given(EXPRESSIONS, ZONES, MOMENTS)
def test_a_moment_lies_between_its_latest_and_its_next_tick(
    expression: str, zone: str, moment: datetime
) -> None:
    latest = latest_tick(expression, ZoneInfo(zone), moment)
    following = next_tick(expression, ZoneInfo(zone), moment)
    assert latest <= moment < following
    assert next_tick(expression, ZoneInfo(zone), latest) == following
    assert latest_tick(expression, ZoneInfo(zone), following) == following
    assert latest_tick(expression, ZoneInfo(zone), following - timedelta(microseconds=1)) == latest


def test_a_tick_that_comes_once_in_28_years_is_found_both_ways() -> None:
    rare = ("0 0 * 2 MON#5", ZoneInfo("UTC"), utc("2026-11-25T00:00"))
    assert (latest_tick(*rare), next_tick(*rare)) == (utc("2016-02-29T00:00"), utc("2044-02-29T00:00"))


# --- as beat asks ----------------------------------------------------------------------------------------


#: A day and a half, which some of the sleeps below exceed.
DEADLINE = 36 * 3600.0


@example("30 2 * * *", BERLIN, utc("2026-10-25T01:10"), [timedelta(0), timedelta(minutes=1)])
@example("30 2 * * *", BERLIN, utc("2026-10-24T12:00"), [timedelta(hours=13, minutes=-20), timedelta(0)])
@settings(max_examples=50)
@given(
    EXPRESSIONS,
    ZONES,
    MOMENTS,
    st.lists(st.timedeltas(timedelta(0), timedelta(days=3)), min_size=1, max_size=6),
)
def test_beat_fires_once_for_all_the_ticks_it_slept_through_and_then_waits_for_the_next(
    expression: str, zone: str, start: datetime, late: list[timedelta]
) -> None:
    """Beat sleeps for as long as it was told, and then longer: it was down, or the machine was busy."""
    chosen = Settings(schedule=expression, timezone=zone)
    now = last_run = start
    for longer in late:
        ticks = Ticks(expression, zone, DEADLINE, lambda: now)  # noqa: B023 - asked within this round only
        due, seconds = ticks.is_due(last_run)
        tick = latest_tick(expression, ZoneInfo(zone), now)
        slept_through = next_tick(expression, ZoneInfo(zone), last_run) <= now
        assert due == (slept_through and now - tick <= timedelta(seconds=DEADLINE))
        assert seconds > 0
        assert now + timedelta(seconds=seconds) == next_tick(expression, ZoneInfo(zone), now)
        if due:
            # At most the clock's tolerance ahead, and never a tick that was seeded by the firing before.
            named = datetime.strptime(scheduled_seeding_id(chosen, now), "%Y%m%dT%H%M%z")
            assert last_run < named <= now + CLOCK_TOLERANCE < next_tick(expression, ZoneInfo(zone), named)
            last_run = now
        now += timedelta(seconds=seconds) + longer


def test_beat_fires_for_a_tick_it_slept_through_until_the_deadline() -> None:
    tick = utc("2026-11-23T02:00")

    def is_due(now: datetime, last_run: datetime = tick - timedelta(days=1)) -> tuple[bool, float]:
        due, seconds = Ticks("0 2 * * *", "UTC", 3600.0, lambda: now).is_due(last_run)
        return due, seconds

    late, too_late = tick + timedelta(hours=1), tick + timedelta(hours=1, seconds=1)
    assert is_due(tick) == (True, 24 * 3600)
    assert is_due(late) == (True, 23 * 3600)
    assert is_due(too_late) == (False, 23 * 3600 - 1)
    assert is_due(late, last_run=tick) == (False, 23 * 3600)


def test_beat_whose_clock_was_ahead_and_is_set_back_does_not_wait_for_the_day_it_had_fired_on() -> None:
    tick = utc("2026-11-23T02:00")
    now = tick + timedelta(seconds=1)
    due, _ = Ticks("0 2 * * *", "UTC", nowfun=lambda: now).is_due(now + timedelta(days=30))
    assert due


@pytest.mark.parametrize(
    ("expression", "ours", "celerys"), [("*/15 * * * *", 100, 96), ("0 * * * *", 25, 24)]
)
def test_in_autumn_beat_fires_in_both_passes_of_the_repeated_hour_where_celerys_crontab_leaves_one_out(
    expression: str, ours: int, celerys: int
) -> None:
    app = Celery(set_as_current=False)
    app.conf.timezone = BERLIN
    first, last = utc("2026-10-24T22:00"), utc("2026-10-25T23:00")
    now = first

    def fired(schedule: BaseSchedule) -> int:
        """How often, when it is asked each minute of the day of 25 hours."""
        nonlocal now
        count, now, last_run = 0, first, first
        while (now := now + timedelta(minutes=1)) <= last:
            if schedule.is_due(last_run)[0]:
                count, last_run = count + 1, now
        return count

    minute, hour, *_ = expression.split()
    assert fired(Ticks(expression, BERLIN, nowfun=lambda: now)) == ours
    berlin = ZoneInfo(BERLIN)
    assert fired(crontab(minute, hour, nowfun=lambda: now.astimezone(berlin), app=app)) == celerys


@pytest.mark.parametrize("seconds", [-4.9, 0, 0.01, 30, 3600])
@pytest.mark.parametrize("tick", ["2026-11-23T02:00", "2026-10-25T00:00", "2026-03-29T01:00"])
def test_a_seeding_is_named_for_its_tick_although_clocks_differ_and_workers_are_busy(
    tick: str, seconds: float
) -> None:
    chosen = Settings(schedule="0 2 * * *", timezone=BERLIN if "-11-" not in tick else "UTC")
    now = utc(tick) + timedelta(seconds=seconds)
    assert scheduled_seeding_id(chosen, now) == f"{utc(tick):%Y%m%dT%H%MZ}"


def test_a_seeding_that_is_taken_late_in_the_repeated_hour_still_belongs_to_this_night() -> None:
    chosen = Settings(schedule="30 2 * * *", timezone=BERLIN)
    # Beat fired at 00:30 UTC; the worker was busy until the clocks had been set back.
    assert scheduled_seeding_id(chosen, utc("2026-10-25T01:10")) == "20261025T0030Z"


def test_a_schedule_is_the_same_after_beat_has_read_it_back_from_its_file() -> None:
    ticks = Ticks("0 2 * * *", BERLIN, 3600.0)
    read_back = pickle.loads(pickle.dumps(ticks))  # noqa: S301 - our own
    assert (read_back, hash(read_back), repr(read_back)) == (ticks, hash(ticks), repr(ticks))
    assert "0 2 * * * Europe/Berlin" in repr(ticks)
    others = [("0 2 * * *", "UTC", 3600.0), ("0 3 * * *", BERLIN, 3600.0), ("0 2 * * *", BERLIN, 60.0)]
    assert ticks not in (*(Ticks(*other) for other in others), "0 2 * * *")


@pytest.fixture
def app(broker_url: str) -> Iterator[Celery]:
    """What a schedule that beat has read back from its file asks for the time: the current app."""
    before = current_app._get_current_object()
    app = Celery("seeder", set_as_current=False)
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    chosen = Settings(schedule=f"{an_hour_ago.minute} {an_hour_ago.hour} * * *", timezone="UTC")
    app.conf.update(celery_settings(chosen, broker_url))
    app.set_current()
    yield app
    before.set_current()
    app.close()


def test_beat_sends_a_tick_that_it_slept_through_once_when_it_is_back(
    app: Celery, tmp_path: Path, broker_url: str
) -> None:

    def beat() -> PersistentScheduler:
        return PersistentScheduler(app, schedule_filename=str(tmp_path / "beat"), lazy=False)

    first = beat()
    nightly = first.schedule["refresh everything"]
    nightly.last_run_at -= timedelta(days=3)
    first.close()

    second = beat()
    pauses = [second.tick() for _ in range(3)]
    second.close()
    with Redis.from_url(broker_url) as client:
        sent = client.llen("seeder.control")
    assert sent == 1
    assert pauses[-1] > 0


def test_a_tick_is_fired_for_and_taken_however_short_the_time_for_catching_up() -> None:
    everything = beat_schedule(Settings(catch_up="0"))["refresh everything"]
    assert everything["options"]["expires"] == everything["schedule"].deadline == GRACE.total_seconds()


def test_beat_keeps_four_entries_and_the_sweeps_do_not_pile_up() -> None:
    settings = Settings(schedule="5 4 * * *", timezone=BERLIN)
    entries = celery_settings(settings, "redis://127.0.0.1:1/0")["beat_schedule"]
    assert {entry["task"] for entry in entries.values()} == {
        "seeder.refresh_all", "seeder.sweep", "seeder.prune", "seeder.audit",
    }  # fmt: skip
    everything = entries["refresh everything"]
    assert everything["schedule"] == Ticks("5 4 * * *", BERLIN, 21600.0)
    assert (everything["kwargs"], everything["options"]) == ({"scheduled": True}, {"expires": 21600.0})
    sweep = entries["settle lost runs"]
    assert sweep["options"]["expires"] <= sweep["schedule"] == SWEEP.interval
