"""Runs of a seeding that read each other: which wait, go and end; and what the sweep makes of a loss."""

from collections.abc import Iterator

import pytest
from celery import Celery
from redis import Redis
from support.contract import Platform, as_it_is

from seeder.app import celery_settings
from seeder.broker.messages import on_their_way
from seeder.broker.queues import REFRESH_QUEUE
from seeder.config.settings import Settings
from seeder.equipment import Equipment
from seeder.history import Figures
from seeder.maintenance.sweep import sweep_and_requeue
from seeder.seedings import fan_out
from seeder.seedings.fan_out import Seeding, seed
from seeder.seedings.planning import Selection
from seeder.seedings.release import Release


class Night:
    """A platform without workers: a test says how runs end."""

    def __init__(self, platform: Platform, broker_url: str, **settings: str) -> None:
        self.platform = platform
        self.settings = Settings(**settings)  # type: ignore[arg-type]
        self.app = Celery("seeder", set_as_current=False)
        self.app.conf.update(celery_settings(self.settings, broker_url))
        self.equipment = Equipment(self.settings, platform.url)
        self.redis = Redis.from_url(broker_url)
        self._numbers: dict[str, int] = {}

    def report(self, name: str, query: str = "select 1 as one") -> None:
        self._numbers[name] = len(self._numbers) + 1
        self.platform.custom(self._numbers[name], table_name=name, query=query)

    def chain(self, *names: str) -> None:
        """Each reads the one before."""
        for before, name in zip((None, *names), names, strict=False):
            self.report(name, f"select * from {before}" if before else "select 1 as one")

    def seed(self, *names: str) -> Seeding:
        wanted = frozenset(f"custom-{self._numbers[name]}" for name in names) if names else None
        return seed(self.app, self.equipment, Selection(identities=wanted))

    def run_id(self, seeding: Seeding, name: str) -> str:
        return f"{seeding.seeding_id}.custom-{self._numbers[name]}"

    def start(self, seeding: Seeding, name: str) -> None:
        self.equipment.history.start(self.run_id(seeding, name), name)
        with self.app.connection_for_write() as connection, connection.channel() as channel:
            for step in channel.priority_steps:
                key = channel._q_for_pri(REFRESH_QUEUE, step)
                for text in channel.client.lrange(key, 0, -1):
                    if self.run_id(seeding, name) in text.decode():
                        channel.client.lrem(key, 0, text)

    def end(self, seeding: Seeding, name: str, errors: str | None = None, *, quietly: bool = False) -> None:
        """As a worker would; ``quietly``: which dies in the next moment."""
        self.start(seeding, name)
        history, run_id = self.equipment.history, self.run_id(seeding, name)
        seen = as_it_is(history, run_id)
        if errors is None:
            history.succeed(seen, Figures(1, 8192))
        else:
            history.fail(seen, errors)
        if not quietly:
            Release(self.app, self.equipment).after(run_id)

    def queued(self, seeding: Seeding) -> set[str]:
        """The tables whose message lies in the queue."""
        waiting = Release(self.app, self.equipment).upstreams.every()
        there = on_their_way(self.app, [REFRESH_QUEUE]) - waiting.keys()
        return {name for name in self._numbers if self.run_id(seeding, name) in there}

    def waits(self, seeding: Seeding) -> dict[str, set[str]]:
        """Of each table whose run waits, for which run_ids."""
        every = Release(self.app, self.equipment).upstreams.every()
        return {
            name: set(every[run_id])
            for name in self._numbers
            if (run_id := self.run_id(seeding, name)) in every
        }

    def sweep(self) -> dict[str, int]:
        return sweep_and_requeue(self.app, self.equipment, quiet_seconds=0)

    def run(self, seeding: Seeding, name: str) -> object:
        return self.platform.run(self.run_id(seeding, name))

    def statuses(self, seeding: Seeding) -> dict[str, str]:
        return {
            name: row.status
            for name in self._numbers
            if (row := self.platform.run(self.run_id(seeding, name)))
        }

    def close(self) -> None:
        self.app.close()
        self.equipment.databases.dispose()
        self.redis.close()


@pytest.fixture
def night(platform: Platform, broker_url: str) -> Iterator[Night]:
    night = Night(platform, broker_url)
    yield night
    night.close()


def test_only_what_may_begin_is_queued_and_the_rest_as_soon_as_it_may(night: Night) -> None:
    night.chain("a", "b", "c")
    night.report("d", "select * from a, c")
    seeding = night.seed()
    assert (seeding.queued, seeding.waiting) == (4, 3)
    assert night.statuses(seeding) == dict.fromkeys("abcd", "pending")
    assert night.queued(seeding) == {"a"}
    night.end(seeding, "a")
    assert night.queued(seeding) == {"b"}
    night.end(seeding, "b")
    assert night.queued(seeding) == {"c"}
    night.end(seeding, "c")
    assert night.queued(seeding) == {"d"}
    night.end(seeding, "d")
    assert [key for key in night.redis.scan_iter() if b"deferred" in key] == []


def test_what_is_selected_does_not_wait_for_what_is_not(night: Night) -> None:
    night.chain("a", "b", "c")
    seeding = night.seed("a", "c")
    assert night.queued(seeding) == {"a", "c"}
    night.end(seeding, "a")
    assert night.queued(seeding) == {"c"}


def test_a_retry_lets_nobody_go(night: Night) -> None:
    night.chain("a", "b")
    seeding = night.seed()
    night.start(seeding, "a")
    night.equipment.history.retry(
        as_it_is(night.equipment.history, night.run_id(seeding, "a")), "08006: gone"
    )
    Release(night.app, night.equipment).after(night.run_id(seeding, "a"))
    assert night.waits(seeding) == {"b": {night.run_id(seeding, "a")}}


def test_a_run_waits_for_what_another_seeding_is_refreshing(night: Night) -> None:
    night.chain("a", "b")
    earlier = night.seed("a")
    night.start(earlier, "a")
    later = night.seed("b")
    assert night.waits(later) == {"b": {night.run_id(earlier, "a")}}
    night.end(earlier, "a")
    assert night.queued(later) == {"b"}


def test_a_run_waits_for_the_one_that_is_queued_in_the_place_of_its_own_seedings(night: Night) -> None:
    night.chain("a", "b")
    earlier = night.seed("a")
    later = night.seed()
    assert later.already_queued == {"a": night.run_id(earlier, "a")}
    assert night.waits(later) == {"b": {night.run_id(earlier, "a")}}
    night.end(earlier, "a", "22012: division by zero")
    assert night.statuses(later) == {"b": "error"}


def test_a_run_that_waits_elsewhere_will_not_do_where_what_it_reads_is_refreshed_after_it(
    night: Night,
) -> None:
    night.chain("a", "b", "c")
    earlier = night.seed("b", "c")
    assert night.waits(earlier) == {"c": {night.run_id(earlier, "b")}}
    later = night.seed()
    # Else b and c would end this seeding without what a brings.
    assert later.already_queued == {}
    assert night.waits(later) == {
        "b": {night.run_id(later, "a")},
        "c": {night.run_id(later, "b")},
    }
    again = night.seed()
    assert again.already_queued.keys() == {"a", "b", "c"}


def test_one_that_failed_is_the_only_failure_and_all_that_read_it_name_it(night: Night) -> None:
    night.chain("a", "b", "c", "d")
    night.report("e", "select * from b, other")
    night.report("other")
    first = night.seed()
    for name in ("a", "b", "c"):
        night.end(first, name)
    night.end(first, "d", "22012: division by zero")
    night.end(first, "other")
    night.end(first, "e")
    seeding = night.seed()
    night.end(seeding, "a")
    night.end(seeding, "b", '42P01: relation "gone" does not exist\nLINE 1: …')
    assert night.statuses(seeding) == {
        "a": "success", "b": "error", "c": "error", "d": "error", "e": "error", "other": "pending",
    }  # fmt: skip
    for name, failures in (("b", 1), ("c", 0), ("d", 1), ("e", 0)):
        row, status = night.run(seeding, name), night.platform.status(name)
        assert (row.consecutive_failures, status.consecutive_failures) == (failures, failures), name
        assert status.status == "error"
        if name != "b":
            assert row.errors.startswith(
                "Not run: b (agency ua), which it reads, ended in an error: 42P01: relation"
                ' "gone" does not exist. Mend'
            )
            assert "LINE" not in row.errors
    # What d itself failed with still stands.
    assert "The last failure before that: 22012" in night.platform.status("d").last_errors
    assert night.waits(seeding) == {}
    # Nothing is left that could bring them back.
    night.end(seeding, "other")
    assert night.queued(seeding) == set()


def test_where_it_is_wished_what_reads_a_failed_one_is_run_all_the_same(
    platform: Platform, broker_url: str
) -> None:
    night = Night(platform, broker_url, on_upstream_error="refresh")
    night.chain("a", "b")
    night.report("broken", "select 1; select 2")
    seeding = night.seed()
    night.end(seeding, "a", "22012: division by zero")
    assert night.queued(seeding) == {"b", "broken"}
    night.close()


def test_what_reads_one_that_cannot_be_used_is_not_run(night: Night) -> None:
    night.report("a")
    night.platform.sql("update reporting.seeder_custom_report_manifest set database_id = 99")
    night.report("b", "-- seeder: after=(a)\nselect 1 as one")
    night.report("c", "select * from b")
    seeding = night.seed()
    assert list(seeding.refused) == [night.run_id(seeding, "a")]
    assert seeding.not_run.keys() == {night.run_id(seeding, "b"), night.run_id(seeding, "c")}
    assert night.statuses(seeding) == dict.fromkeys("abc", "error")
    assert [night.platform.status(name).consecutive_failures for name in "abc"] == [1, 0, 0]
    assert "Not run: a (agency ua)" in night.platform.status("c").last_errors
    # Where it isn't asked for, its readers are.
    alone = night.seed("c")
    assert night.queued(alone) == {"c"}


def test_a_circle_is_an_error_that_spells_it_however_it_is_asked_for(night: Night) -> None:
    night.report("a", "-- seeder: after=(c)\nselect 1 as one")
    night.report("b", "select * from a")
    night.report("c", "select * from b")
    night.report("d", "select * from c")
    night.report("e", "-- seeder: after=(e)\nselect 1 as one")
    seeding = night.seed()
    assert night.statuses(seeding) == {**dict.fromkeys("abcd", "error"), "e": "pending"}
    assert "a reads c, c reads b, b reads a" in night.run(seeding, "a").errors
    assert "b reads a, a reads c, c reads b" in night.run(seeding, "b").errors
    assert night.run(seeding, "d").errors.startswith("Not run: ")
    assert [night.platform.status(name).consecutive_failures for name in "abcd"] == [1, 1, 1, 0]
    assert "a reads c" in night.seed("a").refused.popitem()[1]


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
    seeding = Seeding(seeding_id, 0, 0, {}, {}, {}, frozenset(), {}, {}, ())
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
    night.equipment.history.cancel(as_it_is(night.equipment.history, night.run_id(seeding, "b")), "ann.")
    Release(night.app, night.equipment).after(night.run_id(seeding, "b"))
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
