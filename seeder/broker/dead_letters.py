"""Dead letters: messages that can't be processed, kept in Redis for a person to look at, cut and bounded.

``seeder.poison``        list, the newest first: JSON of when, queue, why, bytes, message
``seeder.poison.count``  how many there ever were
"""

import json
from datetime import UTC, datetime
from typing import Any

import structlog
from kombu.exceptions import OperationalError
from redis.exceptions import DataError, RedisError

log = structlog.get_logger(__name__)

KEY = "seeder.poison"

#: A message of seeder's has about 1 kB. Longer ones are not even read.
LONGEST_BYTES = 65_536

#: What is kept: so many messages, and so much of each, 4 MB in all at most.
KEPT = 1000
KEPT_BYTES = 4000

#: How much of an error is told: some quote the whole message.
LONGEST_REASON = 300

# One key, since kombu's client puts a deployment's key prefix before the first only.
SET_ASIDE = """
redis.call('LPUSH', KEYS[1], ARGV[1])
redis.call('LTRIM', KEYS[1], 0, ARGV[2] - 1)
redis.call('INCR', KEYS[1] .. '.count')
"""

COUNT = "return redis.call('LLEN', KEYS[1])"


def set_aside(redis: Any, text: bytes, queue: str, why: str) -> None:
    """Log a message and keep its beginning. One that Redis can't store is only logged, without an error."""
    why = why[:LONGEST_REASON]
    entry = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "queue": queue,
        "why": why,
        "bytes": len(text),
        "message": text[:KEPT_BYTES].decode(errors="replace"),
    }
    kept = True
    try:
        redis.register_script(SET_ASIDE)(keys=[KEY], args=[json.dumps(entry), KEPT])
    except (RedisError, OSError):
        kept = False
    log.error("message set aside", queue=queue, why=why, bytes=len(text), kept=kept)


def count(redis: Any) -> int:
    """How many dead letters are kept."""
    return int(redis.register_script(COUNT)(keys=[KEY]))


def is_redis_own(error: Exception) -> bool:
    """Whether an error is about Redis and not about a message. DataError is about a message's contents."""
    return isinstance(error, RedisError | OperationalError | OSError) and not isinstance(error, DataError)


def told(error: BaseException) -> str:
    """An error of some library's as one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
