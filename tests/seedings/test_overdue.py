"""A tick that nothing ran: found from the schedule and the record, run in time, and told of afterwards."""

from datetime import UTC, datetime, timedelta

import pytest
from celery import Celery
from redis import Redis
from structlog.testing import capture_logs
from support.contract import Platform, new_run

from seeder.config.settings import Settings, load_settings
from seeder.equipment import Equipment
from seeder.maintenance.sweep_requests import ask_for_sweep, note_sweep
from seeder.maintenance.watchdog import Watchdog
from seeder.run_ids import tick_seeding_id
from seeder.schedule.ticks import GRACE
from seeder.seedings.catching_up import catch_up
from seeder.seedings.overdue import DueTicks, LateTick

HOUR = timedelta(hours=1)
NOW = datetime.now(UTC)
#: An hour ago, so that it is late by the database's own clock too.
TICK = (NOW - HOUR).replace(second=0, microsecond=0)
SEEDING = tick_seeding_id(TICK)


@pytest.fixture
def settings() -> Settings:
    return load_settings(schedule=f"{TICK.minute} {TICK.hour} * * *", timezone="UTC", catch_up="6h")


@pytest.fixture
def due_ticks(equipment: Equipment) -> DueTicks:
    return DueTicks.of(equipment)


def record(platform: Platform, run_id: str, created: datetime, started: datetime | None = None) -> None:
    """A run of report_1, created and, if it has, begun at those moments."""
    platform.history.queue([new_run(run_id, table_name="report_1")])
    platform.sql(
        f"update reporting.seeder_run_history set created_at = '{created}',"
        f" start_time = '{started or created}'"
        + (", status = 'success'" if started else "")
        + f" where run_id = '{run_id}'"
    )


def run_ids(platform: Platform) -> list[str]:
    return [
        run_id for (run_id,) in platform.sql("select run_id from reporting.seeder_run_history order by id")
    ]


@pytest.fixture
def night_before(platform: Platform) -> datetime:
    """A manifest, and its run of the tick before."""
    platform.custom(1)
    before = TICK - timedelta(days=1)
    record(platform, f"{tick_seeding_id(before)}.custom-1", before, before)
    return before


# --- the rule --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (GRACE - timedelta(seconds=1), None),
        (GRACE, LateTick(TICK, SEEDING, missed=False)),
        (6 * HOUR, LateTick(TICK, SEEDING, missed=False)),
        (6 * HOUR + timedelta(seconds=1), LateTick(TICK, SEEDING, missed=True)),
        (23 * HOUR, LateTick(TICK, SEEDING, missed=True)),
    ],
)
def test_a_tick_without_a_run_is_first_beats_then_late_then_missed(
    due_ticks: DueTicks, night_before: datetime, age: timedelta, expected: LateTick | None
) -> None:
    assert due_ticks.late_tick(TICK + age) == expected


def test_a_tick_with_a_run_is_not_late(
    platform: Platform, due_ticks: DueTicks, night_before: datetime
) -> None:
    record(platform, f"{SEEDING}.custom-1", TICK, TICK)
    assert due_ticks.late_tick(NOW) is None


def test_an_ad_hoc_run_is_not_the_ticks(
    platform: Platform, due_ticks: DueTicks, night_before: datetime
) -> None:
    record(platform, f"{TICK:%Y%m%dT%H%M%SZ}-k3f9.custom-1", TICK, TICK)
    assert due_ticks.late_tick(NOW) == LateTick(TICK, SEEDING, missed=False)


def test_a_new_installation_has_missed_nothing_but_what_came_while_it_was_there(
    platform: Platform, due_ticks: DueTicks
) -> None:
    platform.custom(1)
    assert due_ticks.late_tick(NOW) is None
    assert due_ticks.late_tick(NOW, here_since=TICK + timedelta(minutes=1)) is None
    assert due_ticks.late_tick(NOW, here_since=TICK) == LateTick(TICK, SEEDING, missed=False)
    record(platform, "n1-k3f9.custom-1", TICK + HOUR / 2, TICK + HOUR / 2)
    assert due_ticks.late_tick(NOW) is None
    assert due_ticks.late_tick(NOW, here_since=TICK) == LateTick(TICK, SEEDING, missed=False)


def test_nothing_is_late_where_no_manifest_is_enabled(
    platform: Platform, due_ticks: DueTicks, night_before: datetime
) -> None:
    platform.sql("update reporting.seeder_custom_report_manifest set enabled = false")
    assert due_ticks.late_tick(NOW) is None


@pytest.mark.parametrize("begun", [None, TICK + HOUR / 2])
def test_a_tick_that_found_every_run_of_an_earlier_one_waiting_came(
    platform: Platform, due_ticks: DueTicks, begun: datetime | None
) -> None:
    platform.custom(1)
    before = TICK - timedelta(days=1)
    record(platform, f"{tick_seeding_id(before)}.custom-1", before, begun)
    assert due_ticks.late_tick(NOW) is None
    platform.custom(2)
    assert due_ticks.late_tick(NOW) == LateTick(TICK, SEEDING, missed=False), "the other one has no run"


def test_a_schedule_finer_than_beats_grace_is_late_when_no_later_tick_was_run_either(
    platform: Platform, equipment: Equipment, night_before: datetime
) -> None:
    every_minute = load_settings(schedule="* * * * *", timezone="UTC", catch_up="6h")
    due_ticks = DueTicks(equipment.databases, equipment.history, equipment.manifests, every_minute)
    now = TICK + timedelta(minutes=5, seconds=30)
    due = TICK + timedelta(minutes=3)
    assert due_ticks.late_tick(now) == LateTick(due, tick_seeding_id(due), missed=False)
    later = due + timedelta(minutes=1)
    record(platform, f"{tick_seeding_id(later)}.custom-1", later, later)
    assert due_ticks.late_tick(now) is None
    assert due_ticks.late_tick(now + timedelta(minutes=2)) is not None


# --- what is done about it -------------------------------------------------------------------------------


def test_a_late_tick_is_run_once_however_often_it_is_noticed(
    platform: Platform, app: Celery, equipment: Equipment, night_before: datetime
) -> None:
    for _ in range(2):
        catch_up(app, equipment, NOW)
    assert run_ids(platform) == [f"{tick_seeding_id(night_before)}.custom-1", f"{SEEDING}.custom-1"]


@pytest.mark.parametrize("redis_is", ["there", "away"])
def test_a_missed_tick_is_told_of_and_not_run(
    platform: Platform, app: Celery, equipment: Equipment, night_before: datetime, redis_is: str
) -> None:
    if redis_is == "away":
        app.conf.broker_url = "redis://127.0.0.1:1/0"
    with capture_logs() as logs:
        for _ in range(2):
            catch_up(app, equipment, TICK + 7 * HOUR)
    told = [one for one in logs if one["event"].startswith("missed")]
    # Without Redis nobody knows whether another process has told already.
    assert len(told) == (1 if redis_is == "there" else 2)
    assert told[0]["seeding_id"] == SEEDING
    assert run_ids(platform) == [f"{tick_seeding_id(night_before)}.custom-1"]


SPRING, AUTUMN = "2026-03-29T01:00", "2026-10-25T01:00"


@pytest.mark.parametrize(
    ("expression", "change", "ticks"),
    [
        # By UTC's clock. In spring Berlin's goes from 02:00 to 03:00, in autumn from 03:00 to 02:00.
        ("30 2 * * *", SPRING, ["0100"]),
        ("0 3 * * *", SPRING, ["0100"]),
        ("*/30 1-3 * * *", SPRING, ["0000", "0030", "0100", "0130"]),
        ("0 * * * *", SPRING, ["2300", "0000", "0100", "0200", "0300"]),
        ("30 2 * * *", AUTUMN, ["0030"]),
        ("0 3 * * *", AUTUMN, ["0200"]),
        ("*/30 1-3 * * *", AUTUMN, ["2300", "2330", "0000", "0030", "0100", "0130", "0200", "0230"]),
        ("0 * * * *", AUTUMN, ["2300", "0000", "0100", "0200", "0300"]),
    ],
)
def test_without_any_beat_each_tick_is_run_once_over_both_changes_of_the_clocks(
    platform: Platform,
    app: Celery,
    monkeypatch: pytest.MonkeyPatch,
    expression: str,
    change: str,
    ticks: list[str],
) -> None:
    """Somebody looks every three minutes of the night; each run is over at the next look."""
    platform.custom(1)
    record(platform, "n0-k3f9.custom-1", datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))
    settings = load_settings(schedule=expression, timezone="Europe/Berlin", catch_up="6h")
    equipment = Equipment(settings, platform.url)
    middle = datetime.fromisoformat(change).replace(tzinfo=UTC)
    begin, end = middle - 3 * HOUR, middle + 3 * HOUR
    now = begin
    monkeypatch.setattr(DueTicks, "now", lambda _: now)
    # The tick before the night was run.
    before = tick_seeding_id(DueTicks.of(equipment).due_tick(begin + GRACE))
    record(platform, f"{before}.custom-1", begin, begin)
    already = run_ids(platform)
    while now <= end:
        catch_up(app, equipment, now)
        platform.sql(
            f"update reporting.seeder_run_history set status = 'success', created_at = '{now}',"
            f" start_time = '{now}' where status = 'pending'"
        )
        now += timedelta(minutes=3)
    equipment.databases.dispose()
    ran = run_ids(platform)[len(already) :]
    assert [run_id.partition("T")[2] for run_id in ran] == [f"{tick}Z.custom-1" for tick in ticks]


# --- the watchdog -----------------------------------------------------------------------------------------


def watchdog_that_is_here_for_long(app: Celery, equipment: Equipment) -> Watchdog:
    watchdog = Watchdog(app, equipment)
    watchdog._began = float("-inf")
    return watchdog


def test_a_watchdog_runs_what_is_late_and_after_a_while_asks_for_sweeps(
    platform: Platform, app: Celery, equipment: Equipment, night_before: datetime, broker_url: str
) -> None:
    with Redis.from_url(broker_url) as redis:
        for watchdog, asked in (
            (Watchdog(app, equipment), 0),
            (watchdog_that_is_here_for_long(app, equipment), 1),
        ):
            watchdog.start()
            watchdog.stop(patience=30)
            assert redis.llen("seeder.control") == asked
    assert run_ids(platform)[1:] == [f"{SEEDING}.custom-1"]


def test_a_manifest_that_comes_after_its_tick_waits_for_the_next(
    platform: Platform, app: Celery, equipment: Equipment, night_before: datetime
) -> None:
    platform.sql("update reporting.seeder_custom_report_manifest set enabled = false")
    watchdog = Watchdog(app, equipment)
    watchdog.look()
    platform.sql("update reporting.seeder_custom_report_manifest set enabled = true")
    watchdog.look()
    assert run_ids(platform) == [f"{tick_seeding_id(night_before)}.custom-1"]


def test_a_watchdog_tells_once_that_the_database_is_away_and_goes_on(
    platform: Platform, app: Celery, equipment: Equipment, night_before: datetime
) -> None:
    watchdog = watchdog_that_is_here_for_long(app, equipment)
    with pytest.MonkeyPatch.context() as patch, capture_logs() as logs:
        patch.setattr(equipment, "databases", Equipment(Settings(), AWAY).databases)
        for _ in range(3):
            watchdog.look()
    assert [one["event"] for one in logs] == [
        "whether the schedule is kept can't be told",
        "no sweep for a while: is beat running? This process asks for them meanwhile",
    ]
    assert "Connection refused" in logs[0]["reason"]
    watchdog.look()
    assert run_ids(platform)[1:] == [f"{SEEDING}.custom-1"]


AWAY = "postgresql://nobody@127.0.0.1:1/nothing"


def test_a_sweep_is_asked_for_once_where_there_was_none(app: Celery, broker_url: str) -> None:
    with Redis.from_url(broker_url) as redis:
        assert [ask_for_sweep(app) for _ in range(3)] == [True, False, False]
        assert redis.llen("seeder.control") == 1
        redis.delete("seeder.swept")
        note_sweep(app)
        assert ask_for_sweep(app) is False
