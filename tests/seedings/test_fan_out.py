"""A seeding: recorded first, then queued, and complete however often and from wherever it is begun again."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import Celery
from redis import Redis
from structlog.testing import capture_logs
from support.contract import Platform, as_it_is

from seeder.broker.messages import on_their_way
from seeder.broker.queues import REFRESH_QUEUE
from seeder.equipment import Equipment
from seeder.errors import BrokerUnreachable, NotPublished, TableSwitchedOff, UnknownAgency, UnknownTable
from seeder.history import Figures, fan_outs
from seeder.seedings import fan_out
from seeder.seedings.fan_out import seed
from seeder.seedings.planning import Selection, scheduled_seeding_id


def statuses(platform: Platform) -> dict[str, str]:
    return dict(platform.sql("select run_id, status from reporting.seeder_run_history"))


def waiting(app: Celery) -> set[str]:
    return on_their_way(app, [REFRESH_QUEUE])


def test_each_run_is_recorded_and_queued_and_the_rest_are_errors(
    platform: Platform, app: Celery, equipment: Equipment
) -> None:
    platform.custom(1)
    platform.custom(2)
    platform.custom(3, table_name="a b")
    told = seed(app, equipment, Selection())
    good, bad = {f"{told.seeding_id}.custom-{n}" for n in (1, 2)}, f"{told.seeding_id}.custom-3"
    assert statuses(platform) == {**dict.fromkeys(good, "pending"), bad: "error"}
    assert waiting(app) == set(told.run_ids) == good
    assert told.as_dict() == {
        "seeding_id": told.seeding_id, "queued": 2, "waiting": 0, "refused": told.refused, "unchanged": 0,
        "not_run": {}, "not_recorded": {}, "already_queued": {}, "held": {},
    }  # fmt: skip
    assert list(told.refused) == [bad]
    assert "can't be used" in told.refused[bad]


def test_a_scheduled_seeding_that_is_begun_twice_is_one(
    platform: Platform, app: Celery, equipment: Equipment, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.custom(1)
    platform.custom(2)
    monkeypatch.setattr(fan_out, "scheduled_seeding_id", lambda *_: "20261123T0200Z")
    first = seed(app, equipment, Selection(), scheduled=True)
    # One of the runs is taken before the second.
    equipment.history.start("20261123T0200Z.custom-1", "report_1")
    with app.connection_for_write() as connection:
        connection.default_channel.client.flushdb()
    second = seed(app, equipment, Selection(), scheduled=True)
    assert first.run_ids == second.run_ids
    assert (first.queued, second.queued) == (2, 1)
    assert statuses(platform) == {
        "20261123T0200Z.custom-1": "running", "20261123T0200Z.custom-2": "pending",
    }  # fmt: skip
    assert waiting(app) == {"20261123T0200Z.custom-2"}


def test_a_scheduled_seeding_that_is_begun_again_says_how_much_it_queued_and_not_how_much_there_is(
    platform: Platform, app: Celery, equipment: Equipment, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        platform.custom(number)
    monkeypatch.setattr(fan_out, "scheduled_seeding_id", lambda *_: "20261123T0200Z")
    first = seed(app, equipment, Selection(), scheduled=True)
    with capture_logs() as logs:
        waits = seed(app, equipment, Selection(), scheduled=True)
        for run_id in first.run_ids:
            equipment.history.succeed(as_it_is(equipment.history, run_id), Figures(1, 8192))
        over = seed(app, equipment, Selection(), scheduled=True)
        platform.custom(3)
        grown = seed(app, equipment, Selection(), scheduled=True)
    assert [one.queued for one in (first, waits, over, grown)] == [3, 0, 0, 1]
    assert [line["queued"] for line in logs if line["event"] == "seeding queued"] == [0, 0, 1]
    assert set(grown.run_ids) == {*first.run_ids, "20261123T0200Z.custom-3"}


def test_many_fan_outs_of_one_tick_at_once_queue_each_run_once(
    platform: Platform, app: Celery, equipment: Equipment, broker_url: str
) -> None:
    for number in range(50):
        platform.custom(number)
    with ThreadPoolExecutor(5) as threads:
        told = list(threads.map(lambda _: seed(app, equipment, Selection(), scheduled=True), range(10)))
    assert len(statuses(platform)) == len({one.seeding_id for one in told}) * 50 == 50
    assert sum(one.queued for one in told) == 50, "two beats don't both say that they queued them"
    with Redis.from_url(broker_url) as redis:
        assert sum(redis.llen(key) for key in redis.keys("seeder.refresh*")) == 50


def test_a_fan_out_does_not_wait_for_ever_for_another_that_hangs(
    platform: Platform, app: Celery, equipment: Equipment, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.custom(1)
    monkeypatch.setattr(fan_out, "scheduled_seeding_id", lambda *_: "20261123T0200Z")
    monkeypatch.setattr(fan_outs, "LOCK_FAN_OUT", fan_outs.LOCK_FAN_OUT.replace("30s", "50ms"))
    with equipment.history.one_fan_out("20261123T0200Z"):
        assert seed(app, equipment, Selection(), scheduled=True).queued == 1
    assert waiting(app) == {"20261123T0200Z.custom-1"}


def test_which_tick_it_is_the_databases_clock_says_and_not_this_hosts(
    platform: Platform, app: Celery, equipment: Equipment, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ahead(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + timedelta(days=2)

    before = scheduled_seeding_id(equipment.settings, datetime.now(UTC))
    monkeypatch.setattr(fan_out, "datetime", Ahead)
    told = seed(app, equipment, Selection(), scheduled=True)
    assert before <= told.seeding_id <= scheduled_seeding_id(equipment.settings, datetime.now(UTC))


def test_a_table_whose_run_waits_already_is_not_queued_twice(
    platform: Platform, app: Celery, equipment: Equipment
) -> None:
    platform.custom(1)
    one, other = (seed(app, equipment, Selection()) for _ in range(2))
    assert one.seeding_id != other.seeding_id
    assert (other.queued, other.already_queued) == (0, {"report_1": one.run_ids[0]})
    assert set(statuses(platform)) == waiting(app) == set(one.run_ids)


def test_what_can_not_be_queued_is_recorded_all_the_same(
    platform: Platform, app: Celery, equipment: Equipment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> None:
        raise BrokerUnreachable(url="redis://127.0.0.1:1/0", reason="refused")

    platform.custom(1)
    monkeypatch.setattr(fan_out, "publish", away)
    with pytest.raises(NotPublished, match=r"is recorded, but its runs \(1\) can't be queued.*refused"):
        seed(app, equipment, Selection())
    assert list(statuses(platform).values()) == ["pending"]


def test_a_row_that_the_database_will_not_hold_is_told_and_not_queued(
    platform: Platform, app: Celery, equipment: Equipment
) -> None:
    platform.custom(1)
    platform.custom(2, agency_id=13)
    platform.sql("alter table reporting.seeder_run_history add constraint no_13 check (agency_id <> 13)")
    try:
        told = seed(app, equipment, Selection())
    finally:
        platform.sql("alter table reporting.seeder_run_history drop constraint no_13")
    assert (told.queued, list(told.not_recorded)) == (1, [f"{told.seeding_id}.custom-2"])
    assert "no_13" in next(iter(told.not_recorded.values()))
    assert waiting(app) == set(told.run_ids) == {f"{told.seeding_id}.custom-1"}


def test_an_unknown_selection_records_nothing(platform: Platform, app: Celery, equipment: Equipment) -> None:
    platform.custom(1)
    with pytest.raises(UnknownAgency):
        seed(app, equipment, Selection(agency_slug="nobody"))
    assert statuses(platform) == {}


def test_a_manifest_whose_table_is_anothers_stays_refused_when_the_other_alone_runs(
    platform: Platform, app: Celery, equipment: Equipment
) -> None:
    platform.canned_report(1, table_name="can_{agency_slug}", query="select :agency_slug as agency")
    platform.canned(1, 1, agency_slug="A B")
    platform.canned(2, 1, agency_slug="A-B")
    everything, owners = seed(app, equipment, Selection()), None
    for _ in range(2):
        (run_id,) = (owners or everything).run_ids
        equipment.history.succeed(as_it_is(equipment.history, run_id), Figures(1, 8192))
        owner, other = sorted(equipment.history.jobs(), key=lambda job: job.manifest_id)
        assert (owner.status, owner.last_run_id) == ("success", run_id)
        assert (other.status, other.last_run_id) == ("error", f"{everything.seeding_id}.canned-2")
        assert "belongs to canned-1" in (other.last_errors or "")
        owners = seed(app, equipment, Selection(agency_slug="A B"))


def test_a_table_that_is_switched_off_is_told_as_that(
    platform: Platform, app: Celery, equipment: Equipment
) -> None:
    platform.custom(1, enabled=False)
    with pytest.raises(TableSwitchedOff, match="'report_1' is switched off"):
        seed(app, equipment, Selection(table_name="report_1"))
    with pytest.raises(UnknownTable, match="No enabled manifest has the table 'nowhere'"):
        seed(app, equipment, Selection(table_name="nowhere"))
    assert statuses(platform) == {}


def test_the_runs_of_a_night_without_manifests_are_none(app: Celery, equipment: Equipment) -> None:
    told = seed(app, equipment, Selection())
    assert (told.queued, told.run_ids, told.refused, told.not_recorded) == (0, (), {}, {})
