"""How often each run was tried, kept in Redis for a history that has no column ``attempts``.

A message carries the number too (its header ``retries``), but a run whose worker died has no message. If
Redis loses these numbers as well, such a run starts counting again.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Self

#: Followed by the run's id.
KEY = "seeder.attempts."

#: Longer than any sweep looks back (seeder.history.WINDOW_DAYS).
KEPT_SECONDS = 8 * 86_400

#: Scripts, since kombu's client puts its key prefix before the keys of these, but not of MGET (kombu 5.7).
NOTE = """
for place, key in ipairs(KEYS) do redis.call('SET', key, ARGV[place + 1], 'EX', ARGV[1]) end
"""

READ = "return redis.call('MGET', unpack(KEYS))"

#: Keys at a time: unpack() takes some 8,000.
BATCH = 1000


class Attempts:
    """``acquire`` lends a Redis client; its errors are left to the caller."""

    def __init__(self, acquire: Callable[[], AbstractContextManager[Any]]) -> None:
        self._acquire = acquire

    @classmethod
    def over(cls, channel: Any) -> Self:
        """Through a channel of kombu's."""
        return cls(channel.conn_or_acquire)

    def note(self, attempts: Mapping[str, int]) -> None:
        """Store, per run_id, how many of its tries have failed or were lost so far."""
        for batch in _batches(list(attempts)):
            self._call(NOTE, batch, KEPT_SECONDS, *(attempts[run_id] for run_id in batch))

    def of(self, run_ids: Iterable[str]) -> dict[str, int]:
        """The noted attempts of these runs; a run that was never tried has no entry."""
        found: dict[str, int] = {}
        for batch in _batches(list(run_ids)):
            values = self._call(READ, batch)
            found |= {run_id: int(value) for run_id, value in zip(batch, values, strict=True) if value}
        return found

    def _call(self, script: str, run_ids: list[str], *arguments: int) -> Any:
        with self._acquire() as client:
            return client.register_script(script)(keys=[KEY + one for one in run_ids], args=arguments)


def _batches(run_ids: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(run_ids), BATCH):
        yield run_ids[start : start + BATCH]
