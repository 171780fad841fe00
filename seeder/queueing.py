"""Messages for runs: published in batches, and looked up in Redis by the sweep."""

import json
from collections.abc import Iterable, Sequence

from celery import Celery
from kombu.exceptions import OperationalError as BrokerError

from seeder.database import masked_broker
from seeder.errors import BrokerUnreachable
from seeder.failures import one_line
from seeder.planning import PRIORITY_STEPS, Planned

TASK = "seeder.refresh_manifest"

#: Messages read from Redis at a time when the queue is looked through: about 1 MB.
PAGE = 1000


def publish(app: Celery, planned: Sequence[Planned]) -> None:
    """Queue one message per run, whose task id is the run_id.

    In one batch: 0.21 to 0.28 ms each instead of 0.61 (kombu 5.7, 10,000 messages). A batch that fails may
    have been delivered in part; publishing it again is harmless, since a message whose run is over or alive
    is dropped.

    Raises BrokerUnreachable; the runs stay pending, and the sweep queues them once Redis is back.
    """
    if not planned:
        return
    try:
        with app.producer_or_acquire() as producer, producer.batch():
            for one in planned:
                app.send_task(
                    TASK,
                    kwargs={
                        "report_type": str(one.run.report_type),
                        "manifest_id": one.run.manifest_id,
                        "table_name": one.run.table_name,
                        "database_id": one.database_id,
                    },
                    task_id=one.run.run_id,
                    priority=one.priority,
                    producer=producer,
                )
    except BrokerError as error:
        raise BrokerUnreachable(url=masked_broker(app.conf.broker_url), reason=one_line(error)) from error


def on_their_way(app: Celery, queues: Iterable[str]) -> set[str]:
    """The run_ids of all messages that wait in the queues, or with a worker for the time of their retry."""
    found: set[str] = set()
    with app.connection_for_read() as connection, connection.channel() as channel:
        redis = channel.client
        for queue in queues:
            for step in PRIORITY_STEPS:
                found.update(_ids_in_list(redis, channel._q_for_pri(queue, step)))
        for _tag, held in redis.hscan_iter(channel.unacked_key, count=PAGE):
            # kombu keeps [message, exchange, routing key] there.
            found.add(_task_id(json.loads(held)[0]))
    return found


def _ids_in_list(redis: object, key: str) -> Iterable[str]:
    start = 0
    while page := redis.lrange(key, start, start + PAGE - 1):  # type: ignore[attr-defined]
        for text in page:
            try:
                yield _task_id(json.loads(text))
            except ValueError:
                continue
        start += PAGE


def _task_id(message: object) -> str:
    headers = message.get("headers", {}) if isinstance(message, dict) else {}
    return str(headers.get("id", ""))
