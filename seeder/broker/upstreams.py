"""Runs that wait until others have ended, kept in Redis outside any worker.

Beside what seeder.broker.delayed keeps, whose hash holds their messages too:

``seeder.deferred.upstreams``         set: the run_ids of all that wait so
``seeder.deferred.upstreams.RUN_ID``  set: the run_ids that this one waits for
``seeder.deferred.readers.RUN_ID``    set: the run_ids that wait for this one

A run is taken from its last upstream and put into its queue by one script, so that it is either here or
there, whoever dies meanwhile. What Redis itself loses the sweep puts back from the record.
"""

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Self

from seeder.broker.delayed import BEGIN, KEY, Ready

#: Runs in one call of a script.
BATCH = 200

_BEGIN = (
    BEGIN
    + """
local all, upstreams, readers = deferred .. '.upstreams', deferred .. '.upstreams.', deferred .. '.readers.'
local function leave(run_id, upstream)
    redis.call('SREM', readers .. upstream, run_id)
    redis.call('SREM', upstreams .. run_id, upstream)
end
local function leave_all(run_id)
    for _, upstream in ipairs(redis.call('SMEMBERS', upstreams .. run_id)) do leave(run_id, upstream) end
    redis.call('SREM', all, run_id)
end
-- Whoever waits for nobody any more goes to its queue.
local function go(run_id)
    if redis.call('SCARD', upstreams .. run_id) > 0 then return 0 end
    redis.call('SREM', all, run_id)
    return move(run_id, 'LPUSH') and 1 or 0
end
"""
)

#: A run, its message, how many it waits for, and these; the next run.
HOLD = (
    _BEGIN
    + """
local place = 1
while place <= #ARGV do
    local run_id, count = ARGV[place], tonumber(ARGV[place + 2])
    leave_all(run_id)
    redis.call('HSET', messages, run_id, ARGV[place + 1])
    redis.call('SADD', all, run_id)
    for which = place + 3, place + 2 + count do
        redis.call('SADD', upstreams .. run_id, ARGV[which])
        redis.call('SADD', readers .. ARGV[which], run_id)
    end
    place = place + 3 + count
end
"""
)

RELEASE = (
    _BEGIN
    + """
local moved = 0
for _, upstream in ipairs(ARGV) do
    for _, run_id in ipairs(redis.call('SMEMBERS', readers .. upstream)) do
        leave(run_id, upstream)
        moved = moved + go(run_id)
    end
end
return moved
"""
)

#: One run and those that it needn't wait for any more, whether or not they know of it.
LET_GO = (
    _BEGIN
    + """
for place = 2, #ARGV do leave(ARGV[1], ARGV[place]) end
return go(ARGV[1])
"""
)

DROP = (
    _BEGIN
    + """
for _, run_id in ipairs(ARGV) do
    leave_all(run_id)
    redis.call('HDEL', messages, run_id)
end
"""
)

READERS = (
    _BEGIN
    + """
local found, seen, pending = {}, {}, {}
for _, run_id in ipairs(ARGV) do pending[#pending + 1] = run_id end
while #pending > 0 do
    local run_id = table.remove(pending)
    for _, reader in ipairs(redis.call('SMEMBERS', readers .. run_id)) do
        if not seen[reader] then
            seen[reader] = true
            found[#found + 1] = reader
            pending[#pending + 1] = reader
        end
    end
end
return found
"""
)

HAS_WAITING = _BEGIN + "return redis.call('EXISTS', all)"

HAS_READERS = _BEGIN + "return redis.call('EXISTS', readers .. ARGV[1])"

UPSTREAMS = _BEGIN + "return redis.call('SMEMBERS', upstreams .. ARGV[1])"

#: What a run waits for at any depth, and waits for nobody itself.
FOREMOST = (
    _BEGIN
    + """
local found, seen, pending = {}, {[ARGV[1]] = true}, {ARGV[1]}
while #pending > 0 do
    local ahead = redis.call('SMEMBERS', upstreams .. table.remove(pending))
    for _, upstream in ipairs(ahead) do
        if not seen[upstream] then
            seen[upstream] = true
            pending[#pending + 1] = upstream
            if redis.call('EXISTS', upstreams .. upstream) == 0 then found[#found + 1] = upstream end
        end
    end
end
return found
"""
)

#: A page of those that wait, each with what it waits for; first where the next page begins.
PAGE = (
    _BEGIN
    + """
local page = redis.call('SSCAN', all, ARGV[1], 'COUNT', ARGV[2])
local found = {page[1]}
for _, run_id in ipairs(page[2]) do
    found[#found + 1] = {run_id, redis.call('SMEMBERS', upstreams .. run_id)}
end
return found
"""
)


class Upstreams:
    """The runs that wait for others. ``acquire`` lends a Redis client; its errors are left to the caller."""

    def __init__(self, acquire: Callable[[], AbstractContextManager[Any]]) -> None:
        self._acquire = acquire
        # kombu's pool lends ten connections and then raises.
        self._one_at_a_time = threading.Lock()

    @classmethod
    def over(cls, channel: Any) -> Self:
        """Through a channel of kombu's."""
        return cls(channel.conn_or_acquire)

    def hold(self, runs: Iterable[tuple[Ready, Collection[str]]]) -> None:
        """Keep each run until all those have ended; what it waited for before is forgotten."""
        batch: list[str] = []
        for count, (ready, upstreams) in enumerate(runs, 1):
            batch += [ready.run_id, ready.kept(), str(len(upstreams)), *upstreams]
            if count % BATCH == 0:
                self._call(HOLD, batch)
                batch = []
        if batch:
            self._call(HOLD, batch)

    def release(self, ended: Sequence[str]) -> int:
        """Nobody waits for these any more; returns how many runs went to their queues for it."""
        return sum(int(self._call(RELEASE, batch)) for batch in _batches(ended))

    def let_go(self, run_id: str, of: Collection[str]) -> bool:
        """Have one run wait for these no more; says whether it went to its queue."""
        return bool(self._call(LET_GO, [run_id, *of]))

    def drop(self, run_ids: Sequence[str]) -> None:
        """Forget runs that wait, as they have ended themselves."""
        for batch in _batches(run_ids):
            self._call(DROP, batch)

    def anyone_waits(self) -> bool:
        """For whichever run."""
        return bool(self._call(HAS_WAITING, []))

    def anyone_waits_for(self, run_id: str) -> bool:
        return bool(self._call(HAS_READERS, [run_id]))

    def waiting_for(self, run_ids: Sequence[str]) -> frozenset[str]:
        """The runs that wait for these, or for one that does, at any depth."""
        return frozenset(_text(one) for one in self._call(READERS, run_ids)) if run_ids else frozenset()

    def of(self, run_id: str) -> frozenset[str]:
        """What a run waits for."""
        return frozenset(map(_text, self._call(UPSTREAMS, [run_id])))

    def foremost(self, run_id: str) -> frozenset[str]:
        """The runs that all it waits for begins with: those at work, or that only wait for a worker."""
        return frozenset(map(_text, self._call(FOREMOST, [run_id])))

    def every(self) -> Mapping[str, frozenset[str]]:
        """All that wait, each with what it waits for."""
        found: dict[str, frozenset[str]] = {}
        cursor = "0"
        while True:
            at, *page = self._call(PAGE, [cursor, str(BATCH)])
            found |= {_text(run_id): frozenset(map(_text, upstreams)) for run_id, upstreams in page}
            cursor = _text(at)
            if cursor == "0":
                return found

    def _call(self, script: str, arguments: Sequence[str]) -> Any:
        with self._one_at_a_time, self._acquire() as client:
            return client.register_script(script)(keys=[KEY], args=arguments)


def _batches(run_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(run_ids), BATCH):
        yield run_ids[start : start + BATCH]


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
