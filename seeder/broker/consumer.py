"""Celery's consumer, which sets aside messages that are malformed or for none of its tasks.

Celery 5.7 drops unknown tasks and undecodable bodies; other malformed messages end the worker, or fail the
run whose id they carry. Here all of them are set aside before they are processed.
"""

import inspect
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import structlog
from celery.worker.consumer import Consumer as CelerysConsumer
from celery.worker.state import maybe_shutdown
from redis.exceptions import ResponseError

from seeder.broker.dead_letters import is_redis_own, set_aside, told
from seeder.broker.states import PAUSE_SECONDS, reply_in, wait_until_writable

log = structlog.get_logger(__name__)

#: PostgreSQL's integer: every number in an argument of ours is one.
INTEGERS = range(-(2**31), 2**31)

#: JSON can spell it, UTF-8 can't.
LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def _pause(seconds: float) -> None:
    """Sleep. Raises what ends the worker if it is told to stop meanwhile."""
    maybe_shutdown()
    time.sleep(seconds)
    maybe_shutdown()


class Consumer(CelerysConsumer):
    def ensure_connected(self, conn: Any) -> Any:
        """Called for each connection of the worker, at its start and after one was lost, before kombu writes
        anything."""
        connection = super().ensure_connected(conn)
        with connection.channel() as channel, channel.conn_or_acquire() as client:
            wait_until_writable(client, _pause)
        return connection

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        super().on_connection_error_after_connected(exc)
        if isinstance(exc, ResponseError):
            # Celery logs its type only. The problem may be one key, so that Redis accepts messages and
            # returns none.
            log.warning("Redis returns no message", reason=reply_in(exc))
            _pause(PAUSE_SECONDS)

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        handle = super().create_task_handler(*args, **kwargs)

        def on_task_received(message: Any) -> None:
            try:
                if fault := self._fault(message):
                    self._set_aside(message, fault)
                else:
                    handle(message)
            except Exception as error:
                if is_redis_own(error):
                    raise
                self._set_aside(message, told(error))

        return on_task_received

    def on_decode_error(self, message: Any, exc: BaseException) -> None:
        self._set_aside(message, told(exc))

    def on_invalid_task(self, _body: Any, message: Any, exc: BaseException) -> None:
        self._set_aside(message, told(exc))

    def _fault(self, message: Any) -> str | None:
        headers = message.headers
        if fault := fault_of_headers(headers):
            return fault
        task = self.app.tasks.get(headers["task"])
        if task is None:
            return f"there is no task {headers['task']!r}"
        # Decodes it, which raises for whatever isn't JSON.
        return fault_of_payload(task, message.payload)

    def _set_aside(self, message: Any, why: str) -> None:
        text = json.dumps(message._raw).encode()
        queue = message.delivery_info.get("routing_key")
        with message.channel.conn_or_acquire() as client:
            set_aside(client, text, str(queue), why)
        if not message.acknowledged:
            message.reject()


def fault_of_headers(headers: Any) -> str | None:
    """What is wrong with a message's headers that Celery doesn't check, or None."""
    if not isinstance(headers, dict):
        return "its headers are no object"
    for name in ("id", "task"):
        if not _fits(headers.get(name), str) or not headers[name]:
            return f"its header {name} is no text"
    if not _fits(headers.get("retries"), int | None):
        return "its header retries is no number"
    limits = headers.get("timelimit") or [None, None]
    if not (
        isinstance(limits, list) and len(limits) == 2 and all(_fits(n, float | int | None) for n in limits)
    ):
        return "its header timelimit is no pair of numbers"
    return None


def fault_of_payload(task: Any, payload: Any) -> str | None:
    """What is wrong with a message's body, or None. The arguments are checked for seeder's own tasks only."""
    if not (isinstance(payload, list | tuple) and len(payload) == 3):
        return "its body is no list of arguments, keyword arguments and options"
    args, kwargs, options = payload
    if not (isinstance(args, list) and isinstance(kwargs, dict) and isinstance(options, dict | None)):
        return "its body is no list of arguments, keyword arguments and options"
    return fault_of_arguments(task, args, kwargs) if task.name.startswith("seeder.") else None


def fault_of_arguments(task: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str | None:
    signature = _signature(task.run)
    try:
        given = signature.bind(*args, **kwargs).arguments
    except TypeError as error:
        return f"{task.name}: {error}"
    for name, value in given.items():
        if not _fits(value, kind := signature.parameters[name].annotation):
            return f"{task.name}: {name} is no {getattr(kind, '__name__', kind)}"
    return None


#: Making a signature takes three times as long as the rest of the checks.
_signature = cache(inspect.signature)


def _fits(value: object, kind: Any) -> bool:
    """Whether the value has the annotated type, and PostgreSQL can store it."""
    if isinstance(value, bool):
        # In Python a bool is an int too.
        return kind is bool
    if isinstance(value, int):
        return value in INTEGERS and isinstance(value, kind)
    if isinstance(value, str):
        return "\0" not in value and not LONE_SURROGATE.search(value) and isinstance(value, kind)
    return isinstance(value, kind)
