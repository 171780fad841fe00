"""Waits for a Redis that answers but accepts no message: a replica, one that can't write to its disk, one
that is busy with a script, or one whose access rules forbid it.

kombu knows only whether Redis can be reached. Any other error reply is an error of a channel, which ends
Celery's worker, or makes it reconnect at once, for ever, as ``broker_channel_error_retry`` says (Celery and
kombu 5.7). So a worker that has connected first checks that Redis accepts writes, and waits until it does.
"""

from collections.abc import Callable
from typing import Any

import structlog
from redis.exceptions import ConnectionError, OutOfMemoryError, RedisError, TimeoutError

from seeder.postgres.failures import one_line

log = structlog.get_logger(__name__)

#: Written, for a millisecond, to see whether Redis accepts writes.
ROOM = "seeder.room"

#: Between two checks while waiting.
PAUSE_SECONDS = 1.0


def wait_until_writable(client: Any, pause: Callable[[float], None]) -> None:
    """Return once Redis accepts writes, or is full: consuming messages makes room.

    ``pause`` sleeps for so many seconds, and raises to stop waiting. Raises what `client` raises if Redis
    can't be reached at all.
    """
    told = False
    while refusal := _refusal(client):
        if not told:
            log.warning("Redis accepts no messages; the worker waits until it does", reason=one_line(refusal))
            told = True
        pause(PAUSE_SECONDS)
    if told:
        log.warning("Redis accepts messages again")


def _refusal(client: Any) -> RedisError | None:
    try:
        client.set(ROOM, "", px=1)
    except OutOfMemoryError:
        return None
    except (ConnectionError, TimeoutError):
        # Out of reach: reconnecting finds out when it is back.
        raise
    except RedisError as error:
        return error
    return None


def reply_in(error: BaseException) -> str:
    """Redis' own message. redis-py puts the command before it if that was part of a pipeline."""
    return one_line(error).rpartition(" of pipeline caused error: ")[2]
