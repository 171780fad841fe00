"""All jobs at one moment. A snapshot never changes; what was worked out from it is kept with it."""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from seeder.monitoring.jobs import FLAGS, Clock, MonitoredJob
from seeder.monitoring.listing import JobQuery, Listing, listing

#: Answers kept with a snapshot. Viewers of one moment mostly ask the same few things.
KEPT_ANSWERS = 512


@dataclass(frozen=True)
class Snapshot:
    """``version`` counts up within one process; equal versions hold equal jobs."""

    version: int
    clock: Clock
    jobs: Sequence[MonitoredJob]
    by_table: Mapping[str, Sequence[int]]
    _kept: dict[Hashable, Any] = field(default_factory=dict, repr=False, compare=False)

    def of_table(self, table_name: str) -> list[MonitoredJob]:
        """The jobs that name this table, its owner first."""
        return [self.jobs[number] for number in self.by_table.get(table_name, ())]

    def find(self, query: JobQuery) -> Listing:
        found: Listing = self.kept(query, lambda: listing(self.jobs, query))
        return found

    def known(self, key: Hashable) -> Any:
        """What ``kept`` has under that key, or None."""
        return self._kept.get(key)

    def kept(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What ``make`` returns, made once per snapshot."""
        # Threads do this at a time; the worst is that something is made twice.
        made = self._kept.get(key)
        if made is not None:
            return made
        made = make()
        if len(self._kept) >= KEPT_ANSWERS:
            self._kept.clear()
        self._kept[key] = made
        return made

    @cached_property
    def status_counts(self) -> Mapping[str | None, int]:
        """Enabled jobs by the status of their last run; None is never run."""
        return Counter(one.job.status for one in self.jobs if one.enabled)

    @cached_property
    def flag_counts(self) -> Mapping[str, int]:
        return {flag: sum(getattr(one, name) for one in self.jobs) for flag, name in FLAGS.items()}


@dataclass(frozen=True)
class Look:
    """What a look found: the snapshot after it, and the jobs that are other than before (None: maybe all)."""

    snapshot: Snapshot
    changed: Sequence[MonitoredJob] | None
    at: datetime
