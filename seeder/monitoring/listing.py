"""Filtering, sorting and paging jobs that are in memory."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from seeder.monitoring.jobs import FLAGS, MonitoredJob

#: A key that orders: values that JSON can hold, so that a page's end can be told as text.
Key = tuple[int | float | str, ...]


def _number(value: float | None) -> Key:
    """What is unknown sorts below everything known."""
    return (0, 0) if value is None else (1, value)


def _moment(value: datetime | None) -> Key:
    return _number(None if value is None else value.astimezone(UTC).timestamp())


def _word(value: str | None) -> Key:
    return (0, "") if value is None else (1, value)


#: What jobs can be sorted by, under the API's names.
SORTS: dict[str, Callable[[MonitoredJob], Key]] = {
    "attention": lambda one: _number(one.attention),
    "tableName": lambda one: _word(one.job.table_name),
    "reportName": lambda one: _word(one.job.report_name.casefold()),
    "agencySlug": lambda one: _word(one.job.agency_slug),
    "status": lambda one: _word(one.job.standing),
    "startTime": lambda one: _moment(one.job.start_time),
    "finishTime": lambda one: _moment(one.job.finish_time),
    "lastSuccess": lambda one: _moment(one.last_success),
    "durationSeconds": lambda one: _number(one.job.duration_seconds),
    "consecutiveFailures": lambda one: _number(one.job.consecutive_failures),
    "recordsProcessed": lambda one: _number(one.job.records_processed),
    "bytesProcessed": lambda one: _number(one.job.bytes_processed),
}


@dataclass(frozen=True)
class JobQuery:
    """Which jobs, in which order. Empty and None are no filter; all given filters must hold."""

    agency: str | None = None
    report_type: str | None = None
    #: Any of these.
    standings: tuple[str, ...] = ()
    #: All of these.
    flags: tuple[str, ...] = ()
    text: str | None = None
    started_since: datetime | None = None
    started_until: datetime | None = None
    sort: str = "attention"
    descending: bool = False

    @property
    def unsorted(self) -> "JobQuery":
        """The same filters in the usual order."""
        return replace(self, sort="attention", descending=False)

    def taken(self, jobs: Sequence[MonitoredJob]) -> Sequence[MonitoredJob]:
        """The jobs it takes, as they come: a pass for each filter that is on, mostly one or none."""
        if self.agency is not None:
            jobs = [one for one in jobs if one.job.agency_slug == self.agency]
        if self.report_type is not None:
            jobs = [one for one in jobs if one.job.report_type == self.report_type]
        if self.standings:
            jobs = [one for one in jobs if one.job.standing in self.standings]
        for flag in self.flags:
            jobs = [one for one in jobs if getattr(one, FLAGS[flag])]
        if self.text is not None:
            text = self.text.casefold()
            jobs = [one for one in jobs if text in one.text]
        if (since := self.started_since) is not None:
            jobs = [one for one in jobs if (began := one.job.start_time) is not None and began >= since]
        if (until := self.started_until) is not None:
            jobs = [one for one in jobs if (began := one.job.start_time) is not None and began < until]
        return jobs

    def key(self, one: MonitoredJob) -> Key:
        """Where a job stands in this order; no two jobs stand at the same place."""
        return (*SORTS[self.sort](one), one.job.table_name, one.job.report_type, one.job.manifest_id)


@dataclass(frozen=True)
class Listing:
    """The jobs a query takes, in its order, with their keys ascending."""

    jobs: Sequence[MonitoredJob]
    keys: Sequence[Key]
    descending: bool

    @property
    def total(self) -> int:
        return len(self.jobs)

    def page(self, after: Key | None, limit: int) -> tuple[Sequence[MonitoredJob], Key | None]:
        """The jobs behind that place, and where this page ends if there are more.

        Raises TypeError for a key that is of no such order.
        """
        if self.descending:
            end = self.total if after is None else bisect_left(self.keys, after)
            start = max(0, end - limit)
            return self.jobs[start:end][::-1], self.keys[start] if start > 0 else None
        start = 0 if after is None else bisect_right(self.keys, after)
        end = min(self.total, start + limit)
        return self.jobs[start:end], self.keys[end - 1] if end < self.total and end > start else None


def listing(jobs: Sequence[MonitoredJob], query: JobQuery) -> Listing:
    """These jobs, which the query takes, in its order."""
    keyed = sorted(((query.key(one), one) for one in jobs), key=lambda pair: pair[0])
    return Listing([one for _, one in keyed], [key for key, _ in keyed], query.descending)
