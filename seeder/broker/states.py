"""States in which a Redis that answers takes no message: it is a replica, can't write to its disk, runs
somebody's script, or forbids it.

kombu knows a Redis that is there and one that isn't. Whatever else Redis replies is an error of a channel,
which ends Celery's worker, or has it connect again at once, for ever, as ``broker_channel_error_retry`` says
(Celery and kombu 5.7). So a worker that has connected looks first whether Redis takes anything in, and waits.
"""

from collections.abc import Callable
from typing import Any

import structlog
from redis.exceptions import ConnectionError, OutOfMemoryError, RedisError, TimeoutError

from seeder.postgres.failures import one_line

log = structlog.get_logger(__name__)

#: Written, for a millisecond, to see whether Redis takes anything in.
ROOM = "seeder.room"

#: Between two looks of who waits.
PAUSE_SECONDS = 1.0


def wait_until_writable(client: Any, pause: Callable[[float], None]) -> None:
    """Return once Redis takes what is written, or is full: taking messages makes room.

    ``pause`` waits for so many seconds, and raises where that is to end. Raises what `client` raises where
    Redis is gone altogether.
    """
    told = False
    while refusal := _refusal(client):
        if not told:
            log.warning("Redis takes no message; the worker waits until it does", reason=one_line(refusal))
            told = True
        pause(PAUSE_SECONDS)
    if told:
        log.warning("Redis takes messages again")


def _refusal(client: Any) -> RedisError | None:
    try:
        client.set(ROOM, "", px=1)
    except OutOfMemoryError:
        return None
    except (ConnectionError, TimeoutError):
        # Gone, or as good as: who connects again finds out when it is back.
        raise
    except RedisError as error:
        return error
    return None


def reply_in(error: BaseException) -> str:
    """What Redis said, for people; redis-py puts the command before it where it was part of a pipeline."""
    return one_line(error).rpartition(" of pipeline caused error: ")[2]
