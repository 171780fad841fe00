"""Delayed runs, kept in Redis outside any worker until a point in time, or until their turn is called.

A message that a worker itself delays (Celery's countdown) is stranded when that worker dies. Here a delayed
run's complete message is stored in Redis, every worker moves due messages to their queues, and each move is
one script, so that of several workers one wins and a crash loses nothing. Redis' own clock decides.

``seeder.deferred``            sorted set: run_id → the moment it is due
``seeder.deferred.messages``   hash: run_id → [list, message] as JSON; whoever takes it out moves the run
``seeder.deferred.turn.NAME``  sorted set: run_id → rank; who waits for that turn, the lowest rank first
``seeder.deferred.turns``      sorted set: name of a turn → when its first is tried unasked
"""

import json
import random
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Self

KEY = "seeder.deferred"

#: A run that releases a matview or a slot calls the next one. If that call is lost (a worker died), the first
#: in line is tried after so many seconds without a call; only the first, not hundreds.
TURN_SECONDS = 2.0

#: Runs moved by one call of the script, so that Redis isn't held up.
BATCH = 500

# The scripts, those that only read too, derive every key from the first: kombu's client puts a deployment's
# key prefix before that one only, and before none of HKEYS or ZCARD (5.7). A float becomes text with 17
# digits by string.format, with 14 by Lua's own conversion.
BEGIN = """
local deferred = KEYS[1]
local messages, turns, turn = deferred .. '.messages', deferred .. '.turns', deferred .. '.turn.'
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local function number(value) return string.format('%.17g', value) end
local function move(run_id, push)
    local kept = redis.call('HGET', messages, run_id)
    if not kept then return false end
    redis.call('HDEL', messages, run_id)
    local place = cjson.decode(kept)
    redis.call(push, place[1], place[2])
    return true
end
-- A called run goes to the front of its queue: it has waited there once already.
local function call(name)
    while true do
        local first = redis.call('ZPOPMIN', turn .. name)
        if #first == 0 then return false end
        if move(first[1], 'RPUSH') then return true end
    end
end
"""

DEFER = (
    BEGIN
    + """
local run_id, seconds, kept = ARGV[1], ARGV[2], ARGV[3]
redis.call('HSET', messages, run_id, kept)
redis.call('ZADD', deferred, number(now + seconds), run_id)
"""
)

PARK = (
    BEGIN
    + """
local name, rank, run_id, kept, seconds = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
redis.call('HSET', messages, run_id, kept)
redis.call('ZADD', turn .. name, rank, run_id)
redis.call('ZADD', turns, 'NX', number(now + seconds), name)
"""
)

CALL = (
    BEGIN
    + """
local moved = 0
for _, name in ipairs(ARGV) do
    if call(name) then moved = moved + 1 end
    if redis.call('EXISTS', turn .. name) == 0 then redis.call('ZREM', turns, name) end
end
return moved
"""
)

MOVE_DUE = (
    BEGIN
    + """
local seconds, batch = ARGV[1], ARGV[2]
for _, run_id in ipairs(redis.call('ZRANGEBYSCORE', deferred, '-inf', number(now), 'LIMIT', 0, batch)) do
    redis.call('ZREM', deferred, run_id)
    move(run_id, 'LPUSH')
end
for _, name in ipairs(redis.call('ZRANGEBYSCORE', turns, '-inf', number(now), 'LIMIT', 0, batch)) do
    call(name)
    if redis.call('EXISTS', turn .. name) == 1 then
        redis.call('ZADD', turns, number(now + seconds), name)
    else
        redis.call('ZREM', turns, name)
    end
end
local soonest = nil
for _, key in ipairs({deferred, turns}) do
    local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
    if #first > 0 and (not soonest or tonumber(first[2]) < soonest) then soonest = tonumber(first[2]) end
end
return soonest and number(math.max(0, soonest - now))
"""
)

COUNT_TURNS = "return redis.call('ZCARD', KEYS[1] .. '.turns')"

#: Until when a run is delayed; or for which of these turns it waits, and how many runs are ahead of it.
WHEREABOUTS = (
    BEGIN
    + """
local run_id = ARGV[1]
if redis.call('HEXISTS', messages, run_id) == 0 then return false end
local due = redis.call('ZSCORE', deferred, run_id)
if due then return {'until', number(due)} end
for place = 2, #ARGV do
    local before = redis.call('ZRANK', turn .. ARGV[place], run_id)
    if before then return {ARGV[place], tostring(before)} end
end
return {'', '0'}
"""
)

RUN_IDS = "return redis.call('HKEYS', KEYS[1] .. '.messages')"


@dataclass(frozen=True)
class Ready:
    """A run's message as kombu would write it, and the Redis list of its queue and priority."""

    run_id: str
    key: str
    message: str

    def kept(self) -> str:
        return json.dumps([self.key, self.message])


@dataclass(frozen=True)
class Kept:
    """What a delayed run waits for: a time, or a turn (both None: for a turn that wasn't asked about)."""

    #: As a Unix time.
    until: float | None = None
    turn: str | None = None
    #: How many runs for the same turn are ahead of it.
    before: int = 0


class Deferral:
    """The delayed runs. ``acquire`` lends a Redis client, whose errors are passed on to the caller."""

    def __init__(self, acquire: Callable[[], AbstractContextManager[Any]]) -> None:
        self._acquire = acquire
        # kombu's pool lends ten connections and then raises; a call takes a fraction of a millisecond.
        self._one_at_a_time = threading.Lock()

    @classmethod
    def over(cls, channel: Any) -> Self:
        """Through a channel of kombu's."""
        return cls(channel.conn_or_acquire)

    def defer(self, ready: Ready, seconds: float) -> None:
        """Delay a run for so many seconds."""
        self._call(DEFER, ready.run_id, seconds, ready.kept())

    def park(self, ready: Ready, turn: str, rank: float) -> None:
        """Delay a run until its turn is called; of several the lowest rank is called first."""
        self._call(PARK, turn, rank, ready.run_id, ready.kept(), TURN_SECONDS)

    def call(self, turns: Sequence[str]) -> int:
        """Queue the first that waits for each of the turns; returns how many did."""
        return int(self._call(CALL, *turns))

    def move_due(self) -> float | None:
        """Queue what is due; returns the seconds until there is more, or None where nothing waits."""
        seconds = self._call(MOVE_DUE, TURN_SECONDS, BATCH)
        return None if seconds is None else float(seconds)

    def anyone_waits_for_a_turn(self) -> bool:
        return bool(self._call(COUNT_TURNS))

    def whereabouts(self, run_id: str, turns: Sequence[str]) -> Kept | None:
        """What a run waits for, if it is one of these turns; None if the run isn't delayed."""
        found = self._call(WHEREABOUTS, run_id, *turns)
        if not found:
            return None
        place, value = (one.decode() for one in found)
        if place == "until":
            return Kept(until=float(value))
        return Kept(turn=place, before=int(value)) if place else Kept()

    def run_ids(self) -> set[str]:
        """All delayed runs."""
        return {run_id.decode() for run_id in self._call(RUN_IDS)}

    def _call(self, script: str, *arguments: str | float) -> Any:
        with self._one_at_a_time, self._acquire() as client:
            return client.register_script(script)(keys=[KEY], args=arguments)


def backoff_seconds(tries: int, longest: float) -> float:
    """How long to wait after so many failed tries: from 1 s doubling up to ``longest``, with full jitter, so
    that runs which failed together aren't tried again together."""
    # 2.0 ** 1024 is an OverflowError.
    return random.uniform(0, min(longest, 2.0 ** min(tries - 1, 60)))  # noqa: S311 - no secret is drawn here
