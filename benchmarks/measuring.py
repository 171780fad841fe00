"""Measures one workload: runs the contestants in turn several times, and compares throughput pair by pair."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from benchmarks import counting
from benchmarks.alone import celery_alone
from benchmarks.arena import Arena, connect
from benchmarks.contestants import BareLoop, Leg, SeederWorker, worker
from benchmarks.counting import Counted
from benchmarks.workload import Workload

#: What `celery -A seeder worker` runs with if nobody says otherwise; see seeder/app.py.
DEFAULT_POOL = "threads"

#: Tells a person what is being done.
Say = Callable[[str], None]


@dataclass(frozen=True)
class Spread:
    """Of several measurements."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True)
class Result:
    """One workload: the legs of the bare loop, of each pool and, where it was asked for, of Celery alone, in
    the order they were run."""

    workload: str
    title: str
    goal: float
    views: int
    concurrency: int
    bare: list[Leg] = field(default_factory=list)
    pools: dict[str, list[Leg]] = field(default_factory=dict)
    alone: list[Leg] = field(default_factory=list)
    counted_bare: Counted | None = None
    counted_seeder: Counted | None = None

    def ratios(self, pool: str) -> list[float]:
        """Seeder's throughput over the bare loop's of the same repetition."""
        return self.ratios_of(self.pools[pool])

    def ratios_of(self, legs: Sequence[Leg]) -> list[float]:
        return [bare.seconds / leg.seconds for bare, leg in zip(self.bare, legs, strict=True)]

    def per_second(self, legs: Sequence[Leg]) -> Spread:
        return Spread.of([self.views / leg.seconds for leg in legs])

    def cpu_ms_per_view(self, legs: Sequence[Leg]) -> Mapping[str, float]:
        """Medians, by who used it."""
        return {
            name: 1000 * statistics.median(leg.cpu_seconds[name] for leg in legs) / self.views
            for name in legs[0].cpu_seconds
        }


def measure(
    arena: Arena,
    workload: Workload,
    pools: Sequence[str],
    repetitions: int,
    concurrency: int,
    first_broker: int,
    say: Say,
    *,
    with_celery_alone: bool = False,
) -> Result:
    """``pools`` begins with the default one. ``first_broker`` is the first of its free Redis databases."""
    views = len(workload.matviews)
    result = Result(workload.name, workload.title, workload.goal, views, concurrency)
    with ExitStack() as running:
        contestants: dict[str, SeederWorker] = {}
        for number, pool in enumerate(pools, start=first_broker):
            chosen = None if pool == DEFAULT_POOL else pool
            contestants[pool] = running.enter_context(
                worker(arena, workload, pool, number, concurrency, chosen)
            )
            result.pools[pool] = []
        say(f"{workload.name}: creating {views} views")
        created = contestants[pools[0]].run()
        say(f"{workload.name}: created in {created.seconds:.1f} s; warming up")
        for contestant in contestants.values():
            contestant.run()
        order = contestants[pools[0]].last_order()
        loop = BareLoop(arena, workload, concurrency)
        running.callback(loop.close)
        loop.run(order)
        others = first_broker + len(pools)
        alone = with_celery_alone and running.enter_context(
            celery_alone(arena, workload, others, concurrency)
        )
        if alone:
            alone.run(order)
        for repetition in range(1, repetitions + 1):
            result.bare.append(_from_checkpoint(workload, lambda: loop.run(order)))
            for pool, contestant in contestants.items():
                result.pools[pool].append(_from_checkpoint(workload, contestant.run))
            if alone:
                result.alone.append(_from_checkpoint(workload, lambda one=alone: one.run(order)))
            said = ", ".join(f"{pool} {result.ratios(pool)[-1]:.2f}" for pool in pools)
            say(f"{workload.name}: {repetition} of {repetitions}: {said} of the bare loop")
    return result


def count(arena: Arena, workload: Workload, result: Result, broker: int, say: Say) -> Result:
    """The round trips and waiting commits of a view, beside what was measured."""
    say(f"{workload.name}: counting round trips and commits")
    counted = counting.bare(arena, workload), counting.seeded(arena, workload, broker)
    return Result(**{**vars(result), "counted_bare": counted[0], "counted_seeder": counted[1]})


def _from_checkpoint(workload: Workload, run: Callable[[], Leg]) -> Leg:
    """Every leg begins right after a checkpoint, so that none has to do another's."""
    connection = connect(workload.database_url)
    connection.cursor().execute("checkpoint")
    connection.close()
    return run()
