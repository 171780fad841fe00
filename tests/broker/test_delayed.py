"""Waiting runs in Redis: none is queued early, none twice, and none is forgotten."""

import json
import threading
import time
from collections.abc import Iterator

import pytest
from celery import Celery
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis
from support.emptied import fresh_broker

from seeder.broker.delayed import Deferral, Ready, backoff_seconds


class Room:
    """The waiting runs, and a look into their Redis."""

    def __init__(self, url: str, prefix: str = "") -> None:
        self.redis = Redis.from_url(url, decode_responses=True)
        app = Celery("test", broker=url, set_as_current=False)
        self._connection = app.connection_for_write(transport_options={"global_keyprefix": prefix})
        self._channel = self._connection.channel()
        self.deferral = Deferral(self._channel.conn_or_acquire)

    def queue(self, key: str = "queue") -> list[str]:
        """Messages in the order in which a worker takes them."""
        return self.redis.lrange(key, 0, -1)[::-1]

    def close(self) -> None:
        self._channel.close()
        self._connection.release()
        self.redis.close()


@pytest.fixture(scope="module")
def room_of_module(redis_url: str) -> Iterator[Room]:
    with fresh_broker(redis_url) as url:
        room = Room(url)
        yield room
        room.close()


@pytest.fixture
def room(room_of_module: Room) -> Iterator[Room]:
    yield room_of_module
    room_of_module.redis.flushdb()


def ready(run_id: str, key: str = "queue") -> Ready:
    return Ready(run_id, key, f"message of {run_id}")


def test_a_run_is_queued_when_it_is_due_and_not_before(room: Room) -> None:
    room.deferral.defer(ready("soon"), 0.2)
    room.deferral.defer(ready("late"), 3600)
    due_in = room.deferral.move_due()
    assert due_in is not None
    assert 0 < due_in <= 0.2
    assert room.queue() == []
    assert room.deferral.run_ids() == {"soon", "late"}
    time.sleep(due_in)
    due_in = room.deferral.move_due()
    assert due_in is not None
    assert 3590 < due_in < 3600
    assert room.queue() == ["message of soon"]
    assert room.deferral.run_ids() == {"late"}


def test_where_nothing_waits_nothing_is_due(room: Room) -> None:
    assert room.deferral.move_due() is None
    assert room.deferral.anyone_waits_for_a_turn() is False
    room.deferral.defer(ready("a"), 0)
    assert room.deferral.move_due() is None
    assert room.redis.keys() == ["queue"]


def test_of_many_that_move_at_once_one_moves_each_run(room: Room) -> None:
    for number in range(200):
        room.deferral.defer(ready(f"run {number}"), 0)
    barrier = threading.Barrier(8)

    def move() -> None:
        barrier.wait(timeout=30)
        room.deferral.move_due()

    threads = [threading.Thread(target=move) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(room.queue()) == len(set(room.queue())) == 200


def test_more_than_a_batch_is_moved_batch_by_batch(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seeder.broker.delayed.BATCH", 2)
    for number in range(5):
        room.deferral.defer(ready(f"run {number}"), 0)
    assert [room.deferral.move_due() for _ in range(3)] == [0, 0, None]
    assert len(room.queue()) == 5


def test_a_run_put_away_twice_waits_once_with_its_last_message(room: Room) -> None:
    room.deferral.defer(ready("a"), 0)
    room.deferral.defer(Ready("a", "queue", "second"), 0)
    room.deferral.move_due()
    assert room.queue() == ["second"]


@given(
    parked=st.dictionaries(st.text(min_size=1, max_size=5), st.floats(-1e6, 0), max_size=8),
    calls=st.integers(0, 10),
)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_call_queues_the_one_of_lowest_rank(room: Room, parked: dict[str, float], calls: int) -> None:
    room.redis.flushdb()
    for run_id, rank in parked.items():
        room.deferral.park(ready(run_id), "turn", rank)
    assert room.deferral.anyone_waits_for_a_turn() is bool(parked)
    called = [room.deferral.call(["turn", "another turn"]) for _ in range(calls)]
    assert called == [1] * min(calls, len(parked)) + [0] * (calls - len(parked))
    in_order = sorted(parked, key=lambda run_id: (parked[run_id], run_id.encode()))
    # Whose turn it is stands before what waits in the queue, so the last called is taken first.
    assert room.queue()[::-1] == [f"message of {run_id}" for run_id in in_order[:calls]]
    assert room.deferral.run_ids() == set(in_order[calls:])
    assert room.deferral.anyone_waits_for_a_turn() is (calls < len(parked))


def test_a_called_run_goes_before_what_is_queued_and_a_due_one_behind_it(room: Room) -> None:
    room.redis.lpush("queue", "queued before")
    room.deferral.park(ready("called"), "turn", 0)
    room.deferral.defer(ready("due"), 0)
    room.deferral.call(["turn"])
    room.deferral.move_due()
    assert room.queue() == ["message of called", "queued before", "message of due"]


def test_if_nobody_calls_only_the_first_tries_unasked(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seeder.broker.delayed.TURN_SECONDS", 0)
    for number in range(3):
        room.deferral.park(ready(f"run {number}"), "turn", number)
    left = []
    while room.deferral.move_due() is not None:
        left.append(len(room.deferral.run_ids()))
    assert left == [2, 1]
    assert room.queue("queue")[::-1] == [f"message of run {number}" for number in range(3)]
    assert room.redis.keys() == ["queue"]


def test_a_turn_is_passed_on_where_its_first_has_left_meanwhile(room: Room) -> None:
    room.deferral.park(ready("twice"), "turn", 1)
    # A second message of the run: put away until a moment, and due before its turn.
    room.deferral.defer(ready("twice"), 0)
    room.deferral.move_due()
    room.deferral.park(ready("next"), "turn", 2)
    assert room.deferral.call(["turn"]) == 1
    assert sorted(room.queue()) == ["message of next", "message of twice"]


@given(message=st.text(), run_id=st.text(min_size=1))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_message_comes_out_as_it_went_in(room: Room, message: str, run_id: str) -> None:
    room.redis.flushdb()
    sent = json.dumps({"body": message})
    room.deferral.defer(Ready(run_id, "queue:3", sent), 0)
    assert room.deferral.run_ids() == {run_id}
    room.deferral.move_due()
    assert room.queue("queue:3") == [sent]


def test_all_keys_bear_the_prefix_of_a_shared_redis(broker_url: str) -> None:
    room = Room(broker_url, prefix="ours:")
    try:
        room.deferral.defer(ready("a", "ours:queue"), 3600)
        room.deferral.park(ready("b", "ours:queue"), "turn", 0)
        assert room.deferral.run_ids() == {"a", "b"}
        room.deferral.call(["turn"])
        room.deferral.move_due()
        assert sorted(room.redis.keys()) == [
            "ours:queue", "ours:seeder.deferred", "ours:seeder.deferred.messages",
        ]  # fmt: skip
    finally:
        room.close()


# --- how long a run waits for its next try ----------------------------------------------------------------


@given(tries=st.integers(1, 10**6), longest=st.floats(0, 1e6))
def test_a_pause_is_never_longer_than_it_may_be(tries: int, longest: float) -> None:
    pause = backoff_seconds(tries, longest)
    assert isinstance(pause, float)
    assert 0 <= pause <= min(longest, 2.0 ** min(tries - 1, 1000))


@given(tries=st.integers(1, 9))
def test_pauses_double_and_fill_their_whole_length(tries: int) -> None:
    pauses = [backoff_seconds(tries, 300) for _ in range(200)]
    longest = min(300, 2 ** (tries - 1))
    # A whole quarter that none of 200 falls into: one case in 10^24.
    for quarter in range(4):
        assert any(quarter * longest / 4 <= pause <= (quarter + 1) * longest / 4 for pause in pauses)
    assert len(set(pauses)) > 100
