"""All jobs at one moment. A snapshot never changes; what was worked out from it is kept with it."""

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from threading import Lock
from typing import TypeVar, cast

from seeder.history import Standing
from seeder.monitoring.jobs import FLAGS, Clock, MonitoredJob
from seeder.monitoring.listing import JobQuery, Listing, listing

#: Answers kept with a snapshot. Viewers of one moment mostly ask the same few things.
KEPT_ANSWERS = 512


T = TypeVar("T")


@dataclass(frozen=True)
class Snapshot:
    """``version`` counts up within one process; equal versions hold equal jobs."""

    version: int
    clock: Clock
    jobs: Sequence[MonitoredJob]
    by_table: Mapping[str, Sequence[int]]
    _kept: OrderedDict[Hashable, object] = field(default_factory=OrderedDict, repr=False, compare=False)
    _lock: Lock = field(default_factory=Lock, repr=False, compare=False)

    def of_table(self, table_name: str) -> list[MonitoredJob]:
        """The jobs that name this table, its owner first."""
        return [self.jobs[number] for number in self.by_table.get(table_name, ())]

    def taken(self, query: JobQuery) -> Sequence[MonitoredJob]:
        """The jobs that a query takes, in no order of its own."""
        filters = query.unsorted
        return self.kept(("taken", filters), lambda: filters.taken(self.jobs))

    def find(self, query: JobQuery) -> Listing:
        """Those jobs in the query's order."""
        return self.kept(query, lambda: listing(self.taken(query), query))

    def known(self, key: Hashable) -> object:
        """What ``kept`` has under that key, or None."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def kept(self, key: Hashable, make: Callable[[], T]) -> T:
        """What ``make`` returns, made once per snapshot."""
        made = self.known(key)
        if made is not None:
            return cast("T", made)
        # Threads do this at a time; the worst is that something is made twice.
        new = make()
        with self._lock:
            self._kept[key] = new
            if len(self._kept) > KEPT_ANSWERS:
                # What everybody asks for outlives the many searches that are asked for once.
                self._kept.popitem(last=False)
        return new

    @cached_property
    def standing_counts(self) -> Mapping[Standing | None, int]:
        """Enabled jobs by the standing of their last run; None is never run."""
        return Counter(one.job.standing for one in self.jobs if one.enabled)

    @cached_property
    def flag_counts(self) -> Mapping[str, int]:
        return {flag: sum(getattr(one, name) for one in self.jobs) for flag, name in FLAGS.items()}


@dataclass(frozen=True)
class Look:
    """What a look found: the snapshot after it, and the jobs that are other than before (None: maybe all)."""

    snapshot: Snapshot
    changed: Sequence[MonitoredJob] | None
    at: datetime
