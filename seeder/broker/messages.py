"""The messages of runs: published in batches, prepared to be delayed, and looked up in Redis by the sweep."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from celery import Celery
from kombu import serialization
from kombu.connection import Connection
from kombu.exceptions import KombuError
from redis.exceptions import OutOfMemoryError, RedisError

from seeder.broker.attempts import Attempts
from seeder.broker.delayed import Deferral, Ready
from seeder.broker.planned import Planned
from seeder.broker.queues import PRIORITY_STEPS, RUN_PRIORITIES, TASK
from seeder.broker.states import ROOM, reply_in
from seeder.config.urls import masked_broker
from seeder.errors import BrokerFull, BrokerUnreachable

#: What kombu and Redis' client raise when Redis can't be reached, or is full.
TROUBLE = (RedisError, KombuError, OSError)

#: The message's header that says how long the table's last run took.
USUAL_SECONDS = "usual_seconds"
AWAITED = "awaited"

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
            declared: set[int | None] = set()
            for one in planned:
                kwargs = _arguments(one)
                # To find out that a queue is declared takes a quarter of the whole: once for each is enough.
                more = {"declare": ()} if one.database_id in declared else {}
                declared.add(one.database_id)
                app.send_task(
                    TASK,
                    kwargs=kwargs,
                    # Celery's own, which guards against what isn't in there, takes a quarter of the whole.
                    argsrepr="()",
                    kwargsrepr=repr(kwargs),
                    task_id=one.run.run_id,
                    retries=one.retries,
                    priority=one.priority,
                    headers=_headers(one.usual_seconds, awaited=one.awaited),
                    producer=producer,
                    **more,
                )
    except (*TROUBLE, RuntimeError) as error:
        # RuntimeError: kombu had to connect anew within the batch (5.7, messaging.py, _get_session).
        raise broker_trouble(app, error) from error


def ready_to_wait(app: Celery, channel: Any, one: Planned) -> Ready:
    """The message of a run as ``publish`` would have it, for the queue that it goes to when it has waited."""
    kwargs = _arguments(one)
    sent = app.amqp.as_task_v2(
        one.run.run_id,
        TASK,
        (),
        kwargs,
        retries=one.retries,
        ignore_result=None,
        argsrepr="()",
        kwargsrepr=repr(kwargs),
    )
    # A queue's own exchange is the nameless one to kombu, whose messages bear the queue's name (kombu 5.7).
    place = {"priority": one.priority, "exchange": "", "routing_key": queue_of_run(app, one.database_id)}
    return _ready(channel, one.run.run_id, sent, place, _headers(one.usual_seconds, awaited=one.awaited))


def _arguments(one: Planned) -> dict[str, Any]:
    return {
        "report_type": str(one.run.report_type),
        "manifest_id": one.run.manifest_id,
        "table_name": one.run.table_name,
        "database_id": one.database_id,
    }


def verify_room(app: Celery) -> None:
    """Raises BrokerUnreachable if Redis can't be reached, or is full."""
    try:
        with app.connection_for_write() as connection, connection.channel() as channel:
            channel.client.set(ROOM, "", px=1)
    except TROUBLE as error:
        raise broker_trouble(app, error) from error


def broker_trouble(app: Celery, error: BaseException) -> BrokerUnreachable:
    """The error as a user sees it. kombu's own errors have Redis' error as their cause."""
    reason = error
    while not isinstance(reason, RedisError) and (cause := reason.__cause__ or reason.__context__):
        reason = cause
    kind = BrokerFull if isinstance(reason, OutOfMemoryError) else BrokerUnreachable
    told = reason if isinstance(reason, RedisError) else error
    return kind(url=masked_broker(app.conf.broker_url), reason=reply_in(told))


def not_on_their_way(app: Celery, planned: Sequence[Planned], queues: Iterable[str]) -> list[Planned]:
    """The runs that have no message in the queues, and aren't delayed. Raises BrokerUnreachable."""
    there = on_their_way(app, queues)
    return [one for one in planned if one.run.run_id not in there]


def ready_again(app: Celery, channel: Any, request: Any, retries: int) -> Ready:
    """The message of a task's request as kombu would write it, for the same queue and priority."""
    sent = app.amqp.as_task_v2(request.id, TASK, request.args, request.kwargs, retries=retries)
    return _ready(channel, request.id, sent, request.delivery_info, _headers_of(request))


def _ready(
    channel: Any, run_id: str, sent: Any, place: Mapping[str, Any], headers: Mapping[str, Any]
) -> Ready:
    sent.headers.update(headers)
    content_type, encoding, body = serialization.dumps(sent.body, serializer="json")
    message = channel.prepare_message(
        body, place.get("priority"), content_type, encoding, sent.headers, sent.properties
    )
    # What basic_publish does before it puts a message into its list (kombu 5.7, virtual/base.py).
    channel._inplace_augment_message(message, place["exchange"], place["routing_key"])
    queue = channel._q_for_pri(place["routing_key"], message["properties"]["priority"])
    return Ready(run_id, channel.global_keyprefix + queue, json.dumps(message))


def usual_seconds(request: Any) -> int:
    return int(request.get(USUAL_SECONDS) or 0)


def is_awaited(request: Any) -> bool:
    """Whether another run of its seeding may wait for this one; yes where the message doesn't say."""
    return bool(request.get(AWAITED, True))


def _headers(usual_seconds: int, *, awaited: bool) -> dict[str, Any]:
    """Those of a run's message that are seeder's own."""
    return {USUAL_SECONDS: usual_seconds, AWAITED: awaited}


def _headers_of(request: Any) -> dict[str, Any]:
    return _headers(usual_seconds(request), awaited=is_awaited(request))


def publish_again(app: Celery, request: Any, connection: Connection) -> None:
    """Queue an interrupted run, ahead of all others and as the same try."""
    app.send_task(
        TASK,
        kwargs=dict(request.kwargs),
        task_id=request.id,
        retries=request.retries,
        priority=RUN_PRIORITIES[0],
        headers=_headers_of(request),
        producer=app.amqp.Producer(connection),
    )


def queue_of_run(app: Celery, database_id: int | None) -> str:
    """The queue that a run of this database goes to, an operator's own routes considered."""
    routed = app.amqp.router.route({}, TASK, kwargs={"database_id": database_id})
    return str(routed["queue"].name)


def queued_messages(channel: Any, queue: str) -> int:
    """How many messages are in a queue, of all priorities."""
    return sum(int(channel.client.llen(channel._q_for_pri(queue, step))) for step in PRIORITY_STEPS)


def on_their_way(app: Celery, queues: Iterable[str]) -> set[str]:
    """The run_ids of all messages in the queues, and of the delayed runs.

    Unacknowledged messages aren't considered: a message is acknowledged as soon as a worker has taken it.
    Raises BrokerUnreachable.
    """
    try:
        return _on_their_way(app, queues)
    except TROUBLE as error:
        raise broker_trouble(app, error) from error


def noted_attempts(app: Celery, run_ids: Iterable[str]) -> dict[str, int]:
    """How often runs were tried, according to Redis. Raises BrokerUnreachable."""
    try:
        with app.connection_for_read() as connection, connection.channel() as channel:
            return Attempts.over(channel).of(run_ids)
    except TROUBLE as error:
        raise broker_trouble(app, error) from error


def note_attempts(app: Celery, attempts: Mapping[str, int]) -> None:
    """Store how often runs were tried, for the next sweep that finds them lost. Raises BrokerUnreachable."""
    if not attempts:
        return
    try:
        with app.connection_for_write() as connection, connection.channel() as channel:
            Attempts.over(channel).note(attempts)
    except TROUBLE as error:
        raise broker_trouble(app, error) from error


def _on_their_way(app: Celery, queues: Iterable[str]) -> set[str]:
    with app.connection_for_read() as connection, connection.channel() as channel:
        deferral = Deferral.over(channel)
        # Before and after, since a run moves between the two in both directions.
        found = deferral.run_ids()
        for queue in queues:
            for step in PRIORITY_STEPS:
                found.update(_ids_in_list(channel.client, channel._q_for_pri(queue, step)))
        return found | deferral.run_ids()


def _ids_in_list(redis: object, key: str) -> Iterable[str]:
    start = 0
    while page := redis.lrange(key, start, start + PAGE - 1):  # type: ignore[attr-defined]
        for text in page:
            if task_id := _task_id(text):
                yield task_id
        start += PAGE


def _task_id(text: bytes) -> str | None:
    """The run_id of a list's entry; None for what isn't a message of Celery's: anybody may write there."""
    try:
        found = json.loads(text)["headers"]["id"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return found if isinstance(found, str) else None
