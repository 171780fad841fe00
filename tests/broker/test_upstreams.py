"""Runs that wait for others in Redis: each goes when its last upstream has ended, and goes once."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis
from support.emptied import fresh_broker

from seeder.app import celery_settings
from seeder.broker.delayed import Deferral, Ready
from seeder.broker.messages import publish, ready_to_wait
from seeder.broker.planned import Planned
from seeder.broker.upstreams import Upstreams
from seeder.config.settings import Settings
from seeder.history import NewRun


class Place:
    """The waiting runs, and a look into their Redis."""

    def __init__(self, url: str, prefix: str = "") -> None:
        self.redis = Redis.from_url(url, decode_responses=True)
        app = Celery("test", broker=url, set_as_current=False)
        self._connection = app.connection_for_write(transport_options={"global_keyprefix": prefix})
        self._channel = self._connection.channel()
        self.upstreams = Upstreams(self._channel.conn_or_acquire)
        self.deferral = Deferral(self._channel.conn_or_acquire)

    def hold(self, **waits: str) -> None:
        """``c="ab"``: c waits for a and b."""
        self.upstreams.hold(
            (Ready(run_id, "queue", f"message of {run_id}"), list(upstreams))
            for run_id, upstreams in waits.items()
        )

    @property
    def queue(self) -> list[str]:
        """Runs in the order in which a worker takes them."""
        return [text.removeprefix("message of ") for text in self.redis.lrange("queue", 0, -1)[::-1]]

    def close(self) -> None:
        self._channel.close()
        self._connection.release()
        self.redis.close()


@pytest.fixture(scope="module")
def place_of_module(redis_url: str) -> Iterator[Place]:
    with fresh_broker(redis_url) as url:
        place = Place(url)
        yield place
        place.close()


@pytest.fixture
def place(place_of_module: Place) -> Iterator[Place]:
    yield place_of_module
    place_of_module.redis.flushdb()


def test_a_run_goes_when_its_last_upstream_has_ended_and_leaves_nothing_behind(place: Place) -> None:
    place.hold(c="ab", d="c")
    assert place.deferral.run_ids() == {"c", "d"}
    assert place.upstreams.release(["a"]) == 0
    assert place.upstreams.of("c") == {"b"}
    assert place.upstreams.release(["a", "b"]) == 1
    assert place.queue == ["c"]
    assert place.upstreams.release(["b"]) == 0
    assert (place.upstreams.anyone_waits_for("c"), place.upstreams.anyone_waits_for("d")) == (True, False)
    assert place.upstreams.release(["c"]) == 1
    assert place.queue == ["c", "d"]
    assert place.redis.keys() == ["queue"]


def test_who_waits_for_a_run_is_known_at_any_depth_and_may_be_forgotten(place: Place) -> None:
    place.hold(b="a", c="b", d="bx", e="x")
    assert place.upstreams.waiting_for(["a"]) == {"b", "c", "d"}
    place.upstreams.drop(["b", "c", "d"])
    assert place.upstreams.every() == {"e": {"x"}}
    assert place.upstreams.release(["a", "b", "x"]) == 1
    assert place.queue == ["e"]


def test_the_head_of_what_a_run_waits_for_is_what_waits_for_nobody(place: Place) -> None:
    place.hold(b="a", c="bx", d="cb", y="x", e="f", f="e")
    assert place.upstreams.foremost("d") == {"a", "x"}
    assert place.upstreams.foremost("b") == {"a"}
    assert place.upstreams.foremost("a") == frozenset()
    # A circle, should one ever come about, ends all the same.
    assert place.upstreams.foremost("e") == frozenset()


def test_a_run_that_is_held_again_waits_for_what_is_said_last(place: Place) -> None:
    place.hold(c="ab")
    place.hold(c="xb")
    assert place.upstreams.release(["a", "b"]) == 0
    assert place.upstreams.release(["x"]) == 1
    assert place.queue == ["c"]


def test_one_run_is_let_go_of_though_its_upstream_knows_nothing_of_it(place: Place) -> None:
    place.hold(c="ab", d="a")
    place.redis.delete("seeder.deferred.readers.a")
    assert not place.upstreams.let_go("c", ["a"])
    assert place.upstreams.let_go("c", ["b"])
    # Redis had lost this one's set, too.
    place.redis.delete("seeder.deferred.upstreams.d")
    assert place.upstreams.every() == {"d": set()}
    assert place.upstreams.let_go("d", [])
    assert place.queue == ["c", "d"]
    assert place.upstreams.every() == {}


def test_more_runs_than_go_into_one_call_all_wait(place: Place) -> None:
    many = {f"r{number}": frozenset({"a", f"r{number - 1}"}) for number in range(1, 1001)}
    place.upstreams.hold((Ready(one, "queue", f"message of {one}"), found) for one, found in many.items())
    assert place.upstreams.every() == many
    assert len(place.upstreams.waiting_for(["r500"])) == 500


def test_all_keys_bear_the_prefix_of_a_deployment(place: Place, redis_url: str) -> None:
    with fresh_broker(redis_url) as url:
        prefixed = Place(url, "other:")
        prefixed.hold(c="a")
        assert prefixed.upstreams.every() == {"c": {"a"}}
        assert all(key.startswith("other:") for key in prefixed.redis.scan_iter())
        prefixed.close()


@given(
    waits=st.dictionaries(
        st.sampled_from("fghij"), st.frozensets(st.sampled_from("abcdefghi"), min_size=1), max_size=5
    ),
    ended=st.permutations("abcdefghij"),
    twice=st.sampled_from("abc"),
)
@settings(max_examples=50)
def test_in_whatever_order_others_end_each_run_goes_once_and_after_its_last(
    place_of_module: Place, waits: dict[str, frozenset[str]], ended: list[str], twice: str
) -> None:
    place = place_of_module
    place.redis.flushdb()
    place.hold(**{run_id: "".join(sorted(upstreams)) for run_id, upstreams in waits.items()})
    gone: list[str] = []
    for number, one in enumerate([*ended, twice]):
        place.upstreams.release([one])
        assert place.queue[: len(gone)] == gone
        new = set(place.queue) - set(gone)
        assert len(place.queue) == len(gone) + len(new)
        assert new == {run_id for run_id, found in waits.items() if found <= {*ended[: number + 1]}} - set(
            gone
        )
        gone = place.queue
    assert place.redis.keys() in ([], ["queue"])


def test_a_message_that_waits_is_the_one_that_would_have_been_queued_at_once(broker_url: str) -> None:
    app = Celery("seeder", set_as_current=False)
    app.conf.update(
        celery_settings(Settings(databases={7: "postgresql://h/d"}, route_by_database=True), broker_url)
    )
    runs = [
        Planned(
            NewRun(f"s.custom-{number}", "custom", number, "t", "r", 1, "a"), number or None, priority, 12, 2
        )
        for number, priority in ((0, 3), (7, 9))
    ]
    publish(app, runs)
    with (
        app.connection_for_write() as connection,
        connection.channel() as channel,
        Redis.from_url(broker_url) as redis,
    ):
        for one in runs:
            ready = ready_to_wait(app, channel, one)
            (published,) = redis.lrange(ready.key, 0, -1)
            assert _same(published) == _same(ready.message)
    app.close()


def _same(message: Any) -> Any:
    """Without what is another one in each message."""
    found = json.loads(message)
    found["properties"].pop("delivery_tag")
    found["properties"].pop("reply_to", None)
    # What no worker reads: the last is RabbitMQ's.
    for name in ("argsrepr", "kwargsrepr", "delivery_mode"):
        found["properties"].pop(name, None)
    return found
