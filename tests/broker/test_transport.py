"""What a worker has taken: noted in Redis, unless the record stands behind it; and put back on request."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from kombu import Connection, Consumer, Queue
from redis import Redis
from support.homes import new_home, serving

from seeder.broker import transport

QUEUE = "transport.test"


@pytest.fixture(scope="module")
def own_url() -> Iterator[str]:
    """A Redis that may be full for a while."""
    with new_home() as home, serving(home, with_postgres=False) as servers:
        assert servers.broker_url is not None
        yield servers.broker_url


@pytest.fixture
def redis(own_url: str) -> Iterator[Any]:
    with Redis.from_url(own_url) as client:
        client.flushdb()
        yield client


@pytest.fixture
def connection(own_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    monkeypatch.setattr(transport.QoS, "unnoted_task", "recorded")
    with Connection(own_url, transport=transport.Transport) as one:
        yield one


@contextmanager
def full(redis: Any) -> Iterator[None]:
    redis.config_set("maxmemory", "1")
    try:
        yield
    finally:
        redis.config_set("maxmemory", "0")


def send(connection: Connection, task: str, number: int = 1) -> None:
    with connection.channel() as channel:
        connection.Producer(channel).publish(
            {"number": number}, routing_key=QUEUE, declare=[Queue(QUEUE)], headers={"task": task}
        )


def take(connection: Connection, count: int = 1) -> tuple[Any, list[Any]]:
    """A channel, and the messages it has taken."""
    taken: list[Any] = []
    channel = connection.channel()
    with Consumer(channel, [Queue(QUEUE)], callbacks=[lambda _, message: taken.append(message)]):
        while len(taken) < count:
            connection.drain_events(timeout=5)
    return channel, taken


def noted(redis: Any) -> tuple[int, int]:
    return redis.hlen("unacked"), redis.zcard("unacked_index")


def numbers(redis: Any) -> list[int]:
    """What lies in the queue, the next to be taken first."""
    found = [json.loads(text) for text in reversed(redis.lrange(QUEUE, 0, -1))]
    return [json.loads(_body(one))["number"] for one in found]


def _body(message: Any) -> bytes:
    return base64.b64decode(message["body"])


@pytest.mark.parametrize(("task", "notes"), [("recorded", 0), ("another", 1)])
def test_only_a_message_that_no_record_stands_behind_is_noted(
    connection: Connection, redis: Any, task: str, notes: int
) -> None:
    send(connection, task)
    channel, (message,) = take(connection)
    assert noted(redis) == (notes, notes)
    message.ack()
    assert noted(redis) == (0, 0)
    assert not channel.qos._unnoted
    channel.close()
    assert numbers(redis) == []


@pytest.mark.parametrize("task", ["recorded", "another"])
def test_what_is_rejected_goes_back_to_the_end_or_is_gone(
    connection: Connection, redis: Any, task: str
) -> None:
    send(connection, task, 1)
    send(connection, task, 2)
    channel, (message,) = take(connection)
    message.requeue()
    assert (numbers(redis), noted(redis)) == ([2, 1], (0, 0))
    channel.close()
    _, (message,) = take(connection)
    message.reject()
    assert (numbers(redis), noted(redis)) == ([1], (0, 0))


@pytest.mark.parametrize("task", ["recorded", "another"])
def test_what_isnt_acknowledged_goes_back_when_the_channel_closes(
    connection: Connection, redis: Any, task: str
) -> None:
    for number in (1, 2):
        send(connection, task, number)
    channel, (first, _) = take(connection, 2)
    first.ack()
    channel.close()
    assert (numbers(redis), noted(redis)) == ([2], (0, 0))


@pytest.mark.parametrize("task", ["recorded", "another"])
def test_a_full_redis_is_emptied(connection: Connection, redis: Any, task: str) -> None:
    for number in (1, 2):
        send(connection, task, number)
    channel, (before,) = take(connection)
    with full(redis):
        while_full, (during,) = take(connection)
        assert numbers(redis) == []
        before.ack()
        during.ack()
        assert noted(redis) == (0, 0)
    channel.close()
    while_full.close()
    assert numbers(redis) == []


def test_what_is_sent_by_a_channel_whose_connection_has_gone_is_sent_by_the_next(
    connection: Connection, redis: Any
) -> None:
    """Without a queue to declare, which would notice it: as after a declaration that connected anew."""
    send(connection, "another", 1)
    producer = connection.Producer(auto_declare=False)
    producer.channel.close()
    producer.publish({"number": 2}, routing_key=QUEUE, headers={"task": "another"}, retry=True)
    assert numbers(redis) == [1, 2]
