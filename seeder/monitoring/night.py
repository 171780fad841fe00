"""One seeding in retrospect: which runs overlapped, and what delayed its end.

Times are seconds since the seeding was recorded. Nothing here asks a database.
"""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from seeder.history.nights import NightRun
from seeder.models import RunStatus


@dataclass(frozen=True, slots=True)
class Bar:
    """A run that has begun. ``end`` of one still at work is now."""

    run: NightRun
    waited: float
    start: float
    end: float
    usual_seconds: float | None

    @property
    def seconds(self) -> float:
        return self.end - self.start

    @property
    def is_running(self) -> bool:
        return self.run.status == RunStatus.RUNNING


@dataclass(frozen=True)
class Tail:
    """What held the end back: the run that ended last."""

    last: Bar
    #: For how long at the end it ran without any other.
    alone_seconds: float
    #: From when on at least half of the lanes that were ever in use were empty, to the end.
    slack_seconds: float


@dataclass(frozen=True)
class Night:
    """A seeding's runs in lanes: those that ran side by side are in different ones."""

    began: datetime
    #: When the last run ended; None while any hasn't.
    ended: datetime | None
    #: From the recording to the end, or to now.
    seconds: float
    bars: tuple[Bar, ...]
    #: The lane of each bar, from 0.
    lanes: tuple[int, ...]
    lane_count: int
    #: Runs that have not begun.
    pending: int
    tail: Tail | None

    @property
    def worked_seconds(self) -> float:
        """The durations of all runs together."""
        return sum(bar.seconds for bar in self.bars)

    @property
    def least_seconds(self) -> float:
        """No order of the runs over as many lanes could have taken less."""
        if not self.bars:
            return 0.0
        return max(self.worked_seconds / self.lane_count, *(bar.seconds for bar in self.bars))


def night_of(runs: Sequence[NightRun], usual: Mapping[str, float | None], now: datetime) -> Night | None:
    """None for a seeding without runs. ``usual`` has a table's usual duration."""
    if not runs:
        return None
    began = min(run.created_at for run in runs)

    def seconds(moment: datetime) -> float:
        return (moment - began).total_seconds()

    bars = tuple(
        Bar(
            run,
            waited=max(0.0, (run.start_time - run.created_at).total_seconds()),
            start=seconds(run.start_time),
            end=max(seconds(run.start_time), seconds(run.finish_time or now)),
            usual_seconds=usual.get(run.table_name),
        )
        for run in runs
        if run.status != RunStatus.PENDING
    )
    unfinished = any(run.finish_time is None for run in runs)
    ended = None if unfinished else max(run.finish_time for run in runs if run.finish_time)
    lanes = lanes_of([(bar.start, bar.end) for bar in bars])
    lane_count = max(lanes, default=-1) + 1
    whole = seconds(ended or now)
    return Night(
        began=began,
        ended=ended,
        seconds=max(whole, *(bar.end for bar in bars), 0.0) if bars else max(whole, 0.0),
        bars=bars,
        lanes=lanes,
        lane_count=lane_count,
        pending=sum(run.status == RunStatus.PENDING for run in runs),
        tail=_tail(bars, lane_count) if ended else None,
    )


def lanes_of(intervals: Sequence[tuple[float, float]]) -> tuple[int, ...]:
    """A lane for each interval, from 0, so that no two in a lane overlap and no lane is more than needed.

    Each interval is taken by its beginning and put into the lowest lane that is free; it is free at the
    moment its last one ends. https://en.wikipedia.org/wiki/Interval_graph has why that needs the fewest.
    """
    order = sorted(range(len(intervals)), key=lambda number: (intervals[number], number))
    lanes = [0] * len(intervals)
    busy: list[tuple[float, int]] = []
    free: list[int] = []
    for number in order:
        start, end = intervals[number]
        while busy and busy[0][0] <= start:
            heapq.heappush(free, heapq.heappop(busy)[1])
        lane = heapq.heappop(free) if free else len(busy)
        lanes[number] = lane
        heapq.heappush(busy, (end, lane))
    return tuple(lanes)


def load_of(intervals: Iterable[tuple[float, float]], whole: float, parts: int) -> list[float]:
    """How many ran side by side, on average over each of so many equal parts of the time up to ``whole``."""
    if whole <= 0:
        return [0.0] * parts
    width = whole / parts
    # A difference of what begins and ends in each part, summed up afterwards: 10,000 runs in one pass.
    change = [0.0] * (parts + 1)
    within = [0.0] * parts
    for start, end in intervals:
        first, last = (min(max(int(moment / width), 0), parts - 1) for moment in (start, end))
        if first == last:
            within[first] += end - start
            continue
        within[first] += (first + 1) * width - start
        within[last] += end - last * width
        change[first + 1] += width
        change[last] -= width
    load, full = [], 0.0
    for part in range(parts):
        full += change[part]
        load.append(max(0.0, (full + within[part]) / width))
    return load


def _tail(bars: Sequence[Bar], lane_count: int) -> Tail | None:
    if not bars:
        return None
    last = max(bars, key=lambda bar: (bar.end, bar.seconds))
    others = max((bar.end for bar in bars if bar is not last), default=0.0)
    ends = sorted((bar.end for bar in bars), reverse=True)
    # After the last begin of any run, every end leaves one lane more empty.
    begun = max(bar.start for bar in bars)
    half = ends[lane_count // 2] if lane_count // 2 < len(ends) else 0.0
    return Tail(
        last,
        alone_seconds=max(0.0, last.end - max(others, last.start)),
        slack_seconds=max(0.0, last.end - max(half, begun)),
    )
