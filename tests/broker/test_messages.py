"""Messages: what is published is found again wherever it waits, and a broker that is away is told as such."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from redis import Redis
from support.contract import new_run

from seeder.app import celery_settings
from seeder.broker import messages
from seeder.broker.messages import on_their_way, publish
from seeder.broker.planned import Planned
from seeder.broker.queues import REFRESH_QUEUE, RUN_PRIORITIES, TASK
from seeder.config.settings import Settings
from seeder.errors import BrokerUnreachable


def app_on(broker_url: str) -> Celery:
    app = Celery("seeder", set_as_current=False)
    app.conf.update(celery_settings(Settings(), broker_url))
    return app


@pytest.fixture
def app(broker_url: str) -> Iterator[Celery]:
    app = app_on(broker_url)
    yield app
    app.close()


@pytest.fixture
def redis(broker_url: str) -> Iterator[Any]:
    with Redis.from_url(broker_url) as client:
        yield client


def planned(number: int, priority: int = RUN_PRIORITIES[0], database_id: int | None = None) -> Planned:
    return Planned(new_run(f"n1.custom-{number}", manifest_id=number), database_id, priority)


def all_messages(redis: Any) -> list[dict[str, Any]]:
    return [
        json.loads(text)
        for key in sorted(redis.keys(f"{REFRESH_QUEUE}*"))
        for text in redis.lrange(key, 0, -1)
    ]


def test_a_message_says_which_run_and_where_and_no_more(app: Celery, redis: Any) -> None:
    publish(app, [planned(3, database_id=7)])
    (message,) = all_messages(redis)
    assert message["headers"]["task"] == TASK
    assert message["headers"]["id"] == "n1.custom-3"
    assert "SEEDER" not in str(message)
    assert message["headers"]["kwargsrepr"] == str(
        {"report_type": "custom", "manifest_id": 3, "table_name": "sales", "database_id": 7}
    )


def test_every_priority_has_a_list_of_its_own_and_all_are_looked_through(
    app: Celery, redis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "PAGE", 2)
    runs = [planned(number, RUN_PRIORITIES[number % 3]) for number in range(15)]
    publish(app, runs)
    assert sorted(redis.llen(key) for key in redis.keys(f"{REFRESH_QUEUE}*")) == [5, 5, 5]
    assert on_their_way(app, [REFRESH_QUEUE]) == {one.run.run_id for one in runs}
    assert on_their_way(app, ["seeder.control"]) == set()


def test_a_message_that_a_worker_has_taken_is_not_on_its_way_any_more(app: Celery) -> None:
    publish(app, [planned(1), planned(2)])
    with app.connection_for_read() as connection:
        connection.SimpleQueue(app.amqp.queues[REFRESH_QUEUE]).get(timeout=10).ack()
    assert on_their_way(app, [REFRESH_QUEUE]) == {"n1.custom-2"}


def test_what_is_no_message_of_celerys_is_passed_over(app: Celery, redis: Any) -> None:
    publish(app, [planned(1)])
    foreign = (
        "nonsense", b"\xff\xfe", "null", "7", "[1]", "{}", "[" * 50_000,
        '{"headers": null}', '{"headers": [1]}', '{"headers": "id"}',
        '{"headers": {}}', '{"headers": {"id": null}}', '{"headers": {"id": {}}}',
    )  # fmt: skip
    for text in foreign:
        redis.lpush(REFRESH_QUEUE, text)
    assert on_their_way(app, [REFRESH_QUEUE]) == {"n1.custom-1"}


def test_nothing_to_publish_needs_no_broker() -> None:
    publish(app_on("redis://:S3cr3t@127.0.0.1:1/0"), [])


def test_a_broker_out_of_reach_is_told_without_its_password() -> None:
    app = app_on("redis://:S3cr3t@127.0.0.1:1/0")
    app.conf.broker_transport_options = {**app.conf.broker_transport_options, "max_retries": 0}
    app.conf.task_publish_retry = False
    with pytest.raises(BrokerUnreachable) as unreachable:
        publish(app, [planned(1)])
    assert "redis://:***@127.0.0.1:1/0" in str(unreachable.value)
    assert "refused" in str(unreachable.value)
    assert "S3cr3t" not in str(unreachable.value)
