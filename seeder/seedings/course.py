"""The course of a seeding if each run takes as long as usual: when each begins and ends, and why."""

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from seeder.seedings.critical_path import in_order, unlimited
from seeder.seedings.graph import Graph


@dataclass(frozen=True)
class Leg:
    """A run from its beginning to its end, in seconds from now; one at work has begun before."""

    begins: float
    ends: float
    #: What it could not begin before had ended: the last of what it reads, or the run whose place it takes.
    #: None: nothing.
    after: str | None = None


@dataclass(frozen=True)
class Course:
    """Each run's leg, by the run's name."""

    legs: Mapping[str, Leg] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Until the last has ended; 0 where there is none."""
        return max((leg.ends for leg in self.legs.values()), default=0.0)

    @cached_property
    def critical_path(self) -> tuple[str, ...]:
        """The runs, first to last, each of which began when the one before had ended, up to the last of all:
        whatever makes one of them quicker makes the seeding shorter."""
        path: list[str] = []
        if self.legs:
            last: str | None = max(self.legs, key=lambda one: (self.legs[one].ends, one))
            while last is not None:
                path.append(last)
                last = self.legs[last].after
        return tuple(reversed(path))


def course(
    graph: Graph,
    seconds: Mapping[str, float],
    places: int,
    databases: Mapping[str, int | None] | None = None,
    limit_of: Callable[[int | None], int] = unlimited,
    at_work: Mapping[str, float] | None = None,
) -> Course:
    """The course of the runs that haven't ended.

    ``seconds`` is how long each usually takes, ``at_work`` for how long those have been at it that have
    begun; one that takes longer than usual may end any moment. ``places`` is how many run side by side, at
    least 1.
    A run whose database has no room waits without a place, as in a worker, and goes before those behind it as
    soon as there is some. Runs in a circle, and what reads them, aren't part of it.
    """
    where = databases or dict.fromkeys(seconds)
    begun = at_work or {}
    ordered = in_order(graph, seconds, where, limit_of)
    return _Simulation(graph.within(seconds), seconds, max(places, 1), where, limit_of).of(ordered, begun)


class _Simulation:
    """A queue by priority, of one priority the first come first, and workers that take what is first."""

    def __init__(
        self,
        graph: Graph,
        seconds: Mapping[str, float],
        places: int,
        databases: Mapping[str, int | None],
        limit_of: Callable[[int | None], int],
    ) -> None:
        self._graph = graph
        self._seconds = seconds
        self._databases = databases
        self._limit_of = limit_of
        self._places = places
        self._busy: dict[int | None, int] = {}
        self._queue: list[tuple[int, int, str]] = []
        self._come = 0
        #: End, then name, of what is at work.
        self._running: list[tuple[float, str]] = []
        self._legs: dict[str, Leg] = {}

    def of(self, ordered: list[tuple[str, int]], at_work: Mapping[str, float]) -> Course:
        priorities = dict(ordered)
        rank = {one: place for place, (one, _) in enumerate(ordered)}
        for one in sorted(at_work.keys() & rank.keys(), key=rank.__getitem__):
            self._begin(one, -at_work[one], None)
        left = {one: len(self._graph.sources(one)) for one in rank}
        for one, priority in ordered:
            if not left[one] and one not in at_work:
                self._come_in(one, priority)
        now, ended = 0.0, None
        while True:
            self._fill(now, ended)
            if not self._running:
                return Course(self._legs)
            now, ended = heapq.heappop(self._running)
            self._busy[self._databases[ended]] -= 1
            for reader in sorted(self._graph.readers(ended), key=rank.__getitem__):
                left[reader] -= 1
                if not left[reader] and reader not in at_work:
                    self._come_in(reader, priorities[reader])

    def _come_in(self, one: str, priority: int) -> None:
        heapq.heappush(self._queue, (priority, self._come, one))
        self._come += 1

    def _fill(self, now: float, ended: str | None) -> None:
        waiting = []
        while self._queue and len(self._running) < self._places:
            found = heapq.heappop(self._queue)
            database_id = self._databases[found[2]]
            limit = self._limit_of(database_id)
            if limit and self._busy.get(database_id, 0) >= limit:
                waiting.append(found)
                continue
            self._begin(found[2], now, ended)
        for found in waiting:
            heapq.heappush(self._queue, found)

    def _begin(self, one: str, at: float, after: str | None) -> None:
        ends = max(at + self._seconds[one], 0.0)
        database_id = self._databases[one]
        self._busy[database_id] = self._busy.get(database_id, 0) + 1
        self._legs[one] = Leg(at, ends, after)
        heapq.heappush(self._running, (ends, one))
