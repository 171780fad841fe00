"""Runs that wait for what they read, when something is lost, held or changed; what the sweep makes of it."""

import time
from contextlib import closing

import pytest
from support.contract import Platform, as_it_is
from support.night import Night
from support.sessions import person

from seeder.maintenance.waiting_runs import planned_again
from seeder.seedings import fan_out
from seeder.seedings.fan_out import Seeding, seed
from seeder.seedings.planning import Selection
from seeder.seedings.release import Release


def cancel(night: Night, seeding: Seeding, name: str) -> None:
    """As the command does."""
    history = night.equipment.history
    history.cancel(as_it_is(history, night.run_id(seeding, name)), "ann.")
    Release(night.app, night.equipment).after(night.run_id(seeding, name))


def test_an_emptied_redis_is_put_in_order_by_the_sweep(night: Night) -> None:
    night.chain("a", "b", "c")
    night.report("d", "select * from a")
    seeding = night.seed()
    night.end(seeding, "a")
    night.start(seeding, "b")
    night.redis.flushdb()
    # Nobody holds the lock of b's matview here, so its run is lost, too.
    assert night.sweep() == {"requeued": 2, "ended": 0}
    assert night.queued(seeding) == {"b", "d"}
    assert night.run(seeding, "c").attempts is None
    assert night.waits(seeding) == {"c": {night.run_id(seeding, "b")}}


def test_a_sweep_leaves_those_alone_that_rightly_wait(night: Night) -> None:
    night.chain("a", "b", "c")
    seeding = night.seed()
    before = [night.run(seeding, name) for name in "abc"]
    assert night.sweep() == night.sweep() == {"requeued": 0, "ended": 0}
    assert [night.run(seeding, name) for name in "abc"] == before
    assert night.queued(seeding) == {"a"}


def test_the_sweep_lets_go_of_those_whom_a_dead_worker_did_not(night: Night) -> None:
    night.chain("a", "b", "c")
    night.report("x")
    night.report("y", "select * from x")
    seeding = night.seed()
    night.end(seeding, "a", quietly=True)
    night.end(seeding, "x", "22012: division by zero", quietly=True)
    assert night.queued(seeding) == set()
    assert night.sweep() == {"requeued": 0, "ended": 1}
    assert night.queued(seeding) == {"b"}
    assert night.run(seeding, "y").errors.startswith("Not run: x ")
    assert night.platform.status("y").consecutive_failures == 0


def test_after_a_failure_whose_readers_redis_has_lost_they_end_all_the_same(night: Night) -> None:
    night.chain("a", "b", "c")
    seeding = night.seed()
    night.redis.flushdb()
    night.end(seeding, "a", "22012: division by zero")
    night.sweep()
    night.sweep()
    assert night.statuses(seeding) == dict.fromkeys("abc", "error")
    assert [night.platform.status(name).consecutive_failures for name in "abc"] == [1, 0, 0]
    assert night.run(seeding, "c").errors.startswith("Not run: a ")


def test_a_fan_out_that_died_before_anything_waited_is_put_in_order(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    night.chain("a", "b", "c")

    class Killed(BaseException):
        pass

    def dies(*_: object) -> None:
        raise Killed

    monkeypatch.setattr(Release, "hold", dies)
    with pytest.raises(Killed):
        night.seed()
    monkeypatch.undo()
    (seeding_id,) = {run_id.partition(".")[0] for run_id, in night.platform.sql(
        "select run_id from reporting.seeder_run_history")}  # fmt: skip
    seeding = Seeding(seeding_id, 0, 0, {}, frozenset(), {}, {}, frozenset(), {}, {}, ())
    assert night.sweep() == {"requeued": 1, "ended": 0}
    assert night.queued(seeding) == {"a"}
    assert night.waits(seeding).keys() == {"b", "c"}


def test_what_was_made_to_wait_in_two_orders_does_not_wait_for_ever(night: Night) -> None:
    night.chain("a", "b")
    seeding = night.seed()
    # While they wait the other way round comes to be right, and one message is lost.
    night.platform.sql(
        "update reporting.seeder_custom_report_manifest set query = 'select * from b' where id = 1"
    )
    night.platform.sql(
        "update reporting.seeder_custom_report_manifest set query = 'select 1 as one' where id = 2"
    )
    night.start(seeding, "a")
    night.platform.sql("update reporting.seeder_run_history set status = 'pending' where manifest_id = 1")
    night.sweep()
    assert night.queued(seeding) == {"a"}
    assert night.waits(seeding).keys() == {"b"}


def test_a_run_that_was_cancelled_while_it_waited_is_forgotten(night: Night) -> None:
    night.chain("a", "b", "c")
    seeding = night.seed()
    cancel(night, seeding, "b")
    assert night.run(seeding, "c").errors.startswith("Not run: b (agency ua), which it reads")
    night.sweep()
    assert night.waits(seeding) == {}


def test_a_scheduled_seeding_that_is_begun_again_completes_its_order(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    night.chain("a", "b", "c")
    monkeypatch.setattr(fan_out, "scheduled_seeding_id", lambda *_: "20261123T0200Z")
    first = seed(night.app, night.equipment, Selection(), scheduled=True)
    night.end(first, "a")
    night.redis.flushdb()
    second = seed(night.app, night.equipment, Selection(), scheduled=True)
    assert (second.queued, second.seeding_id) == (2, first.seeding_id)
    assert night.queued(first) == {"b"}
    assert night.waits(first) == {"c": {night.run_id(first, "b")}}


@pytest.mark.parametrize("table", ["seeder_job_status", "seeder_run_history"])
def test_a_reader_whose_row_somebody_holds_while_its_upstream_fails_is_not_run_later_either(
    night: Night, table: str
) -> None:
    night.chain("a", "b", "c")
    night.report("x")
    night.report("y", "select * from x")
    seeding = night.seed()
    held = f"select from reporting.{table} where table_name = 'b' for update"
    with person(night.platform, held):
        night.end(seeding, "a", "22012: division by zero")
        night.end(seeding, "x", quietly=True)
        began = time.monotonic()
        night.sweep()
        assert time.monotonic() - began < 3
        # Nobody else waits for whoever holds the row, and b isn't taken for one that may begin.
        assert night.statuses(seeding) == {
            "a": "error", "b": "pending", "c": "error", "x": "success", "y": "pending",
        }  # fmt: skip
        assert night.queued(seeding) == {"y"}
        assert night.waits(seeding) == {"b": {night.run_id(seeding, "a")}}
    assert night.sweep() == {"requeued": 0, "ended": 1}
    assert night.run(seeding, "b").errors.startswith("Not run: a ")
    assert night.waits(seeding) == {}


def test_a_lost_message_of_an_upstream_costs_it_one_try_and_its_readers_none(night: Night) -> None:
    night.chain("a", "b", "c")
    seeding = night.seed()
    night.lose_message(seeding, "a")
    assert night.queued(seeding) == set()
    assert night.sweep() == {"requeued": 1, "ended": 0}
    assert night.queued(seeding) == {"a"}
    assert [night.run(seeding, name).attempts for name in "abc"] == [1, None, None]
    assert night.waits(seeding).keys() == {"b", "c"}


def test_an_upstream_that_is_given_up_takes_its_readers_with_it_in_the_same_sweep(
    platform: Platform, broker_url: str
) -> None:
    with closing(Night(platform, broker_url, max_retries="1")) as night:
        night.chain("a", "b", "c")
        seeding = night.seed()
        night.lose_message(seeding, "a")
        assert night.sweep() == {"requeued": 1, "ended": 0}
        night.lose_message(seeding, "a")
        assert night.sweep() == {"requeued": 0, "ended": 3}
        assert night.run(seeding, "c").errors.startswith("Not run: a ")


def test_of_two_readers_the_one_that_is_cancelled_does_not_keep_the_other(night: Night) -> None:
    night.report("a")
    for name in ("b", "c"):
        night.report(name, "select * from a")
    night.report("d", "select * from b, c")
    seeding = night.seed()
    cancel(night, seeding, "b")
    night.end(seeding, "a")
    assert night.statuses(seeding) == {"a": "success", "b": "error", "c": "pending", "d": "error"}
    # b's message is dropped when it arrives.
    assert night.queued(seeding) == {"b", "c"}
    assert night.run(seeding, "d").errors.startswith("Not run: b ")
    night.end(seeding, "c")
    night.sweep()
    assert night.waits(seeding) == {}


def test_an_upstream_that_is_switched_off_meanwhile_is_still_waited_for(night: Night) -> None:
    night.chain("a", "b")
    seeding = night.seed()
    night.platform.sql("update reporting.seeder_custom_report_manifest set enabled = false where id = 1")
    assert night.sweep() == {"requeued": 0, "ended": 0}
    assert night.waits(seeding) == {"b": {night.run_id(seeding, "a")}}
    # What nobody keeps any more can't be known as an upstream once Redis has forgotten that it is one.
    night.redis.flushdb()
    assert night.sweep() == {"requeued": 2, "ended": 0}
    assert night.queued(seeding) == {"a", "b"}


def test_a_reader_that_is_removed_meanwhile_holds_nobody_up(night: Night) -> None:
    night.chain("a", "b", "c")
    seeding = night.seed()
    night.platform.sql("delete from reporting.seeder_custom_report_manifest where id = 2")
    night.sweep()
    night.end(seeding, "a")
    assert night.queued(seeding) == {"b"}
    # A worker finds no manifest of it.
    night.end(seeding, "b", "The manifest custom-2 is gone")
    assert night.statuses(seeding) == {"a": "success", "b": "error", "c": "error"}


def test_an_upstream_that_backs_off_is_waited_for_whatever_becomes_of_redis(night: Night) -> None:
    night.chain("a", "b")
    seeding = night.seed()
    night.start(seeding, "a")
    history = night.equipment.history
    history.retry(as_it_is(history, night.run_id(seeding, "a")), "08006: gone", attempts=1)
    night.redis.flushdb()
    assert night.sweep() == {"requeued": 1, "ended": 0}
    assert night.queued(seeding) == {"a"}
    assert night.waits(seeding) == {"b": {night.run_id(seeding, "a")}}
    night.end(seeding, "a")
    assert night.queued(seeding) == {"b"}


def test_a_run_whose_upstreams_record_was_deleted_waits_only_for_the_rest(night: Night) -> None:
    night.report("a")
    night.report("b")
    night.report("c", "select * from a, b")
    seeding = night.seed()
    night.platform.sql("delete from reporting.seeder_run_history where table_name = 'a'")
    night.sweep()
    assert night.waits(seeding) == {"c": {night.run_id(seeding, "b")}}
    night.end(seeding, "b")
    assert night.queued(seeding) >= {"c"}


def test_what_is_made_to_wait_when_it_has_ended_already_leaves_nothing_behind(night: Night) -> None:
    night.chain("a", "b", "c")
    seeding = night.seed()
    late = [night.equipment.history.run(night.run_id(seeding, name)) for name in "bc"]
    night.end(seeding, "a", "22012: division by zero")
    # As a fan-out does that is repeated, and saw them pending and then without a message.
    release = Release(night.app, night.equipment)
    release.hold(
        [
            (planned_again(run, {}, {}), [night.run_id(seeding, before)])
            for run, before in zip(late, "ab", strict=True)
            if run
        ]
    )
    release.close()
    assert night.waits(seeding) == {}
    assert [key for key in night.redis.scan_iter() if b"deferred" in key] == []
