"""Charts of a job's duration and number of rows over its last runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median_low

from seeder.history import Run, Standing
from seeder.models import RunStatus
from seeder.web.drawing.scales import Scale, round_up_seconds, whole
from seeder.wording import brief, lasted, number, took

#: The plot, in the picture's own units; it is stretched to the width there is.
HEIGHT = 100
COLUMN = 10

#: Above the highest and below the lowest place of a line, as a share of what is between them.
ROOM = 0.06

#: With fewer runs a column would be as wide as a bar of another chart.
LEAST_COLUMNS = 30


@dataclass(frozen=True)
class Column:
    """One run: its bar, or its piece of the line, and whether it failed."""

    x: float
    y: float
    height: float
    status: str
    title: str


@dataclass(frozen=True)
class Chart:
    width: int
    columns: tuple[Column, ...]
    #: What the axis says at the top and at the bottom.
    top: str
    bottom: str
    #: The line, for a chart that has one.
    path: str
    #: The same in words.
    summary: str
    first: datetime
    last: datetime

    @property
    def is_short(self) -> bool:
        """Its first run isn't at the left end."""
        return len(self.columns) * COLUMN < self.width


def durations(newest_first: Sequence[Run]) -> Chart | None:
    """Bars from 0, for the runs that ended; None where there is none."""
    runs = [run for run in reversed(newest_first) if run.duration_seconds is not None]
    if not runs:
        return None
    seconds = [run.duration_seconds or 0 for run in runs]
    top = round_up_seconds(max(*seconds, 1))
    scale = Scale(0, top, HEIGHT)
    columns = tuple(
        Column(
            x=x,
            y=HEIGHT - max(scale.at(run.duration_seconds or 0), 1.0),
            height=max(scale.at(run.duration_seconds or 0), 1.0),
            status=run.standing,
            title=f"{_when(run)}: {_took(run)}, {run.standing.words}",
        )
        for x, run in zip(_places(len(runs)), runs, strict=True)
    )
    failed = sum(run.standing is Standing.ERROR for run in runs)
    cancelled = sum(run.standing is Standing.CANCELLED for run in runs)
    good = [_seconds(run) for run in runs if run.status == RunStatus.SUCCESS]
    not_run = sum(run.standing is Standing.NOT_RUN for run in runs)
    ended = f"{failed or 'none'} failed" + (f", {cancelled} cancelled" if cancelled else "")
    ended += f", {not_run} not run" if not_run else ""
    words = [f"{_count(len(runs), 'run')}, {ended}."]
    if good:
        least, most = brief(min(good)), brief(max(good))
        words.append(
            f"Those that succeeded took {least}."
            if least == most
            else f"Those that succeeded took {least} to {most}, "
            f"{brief(median_low(good))} in the middle, {brief(good[-1])} last."
        )
    return _chart(runs, columns, whole(top), "0", " ".join(words))


def _took(run: Run) -> str:
    return took(run.duration_seconds, run.start_time, run.finish_time)


def _seconds(run: Run) -> float:
    return lasted(run.duration_seconds, run.start_time, run.finish_time) or 0


def rows(newest_first: Sequence[Run]) -> Chart | None:
    """A line between the fewest and the most rows; None where no run's rows are known."""
    runs = [run for run in reversed(newest_first) if run.status in (RunStatus.SUCCESS, RunStatus.ERROR)]
    known = [run for run in runs if _rows(run) is not None]
    if not known:
        return None
    counts = [run.records_processed or 0 for run in known]
    low, high = min(counts), max(counts)
    # Its ends keep off the edges, and a line that never moves belongs into the middle.
    room = (high - low) * ROOM or 1
    scale = Scale(low - room, high + room, HEIGHT)
    columns: list[Column] = []
    path: list[str] = []
    for x, run in zip(_places(len(runs)), runs, strict=True):
        count = _rows(run)
        y = round(HEIGHT - scale.at(count), 2) if count is not None else HEIGHT
        if count is not None:
            path.append(f"{'L' if path else 'M'}{x} {y}H{x + COLUMN}")
        told = f"{number(count)} rows" if count is not None else run.standing.words
        columns.append(Column(x, y, HEIGHT - y, run.standing, f"{_when(run)}: {told}"))
    if low == high:
        summary = f"{number(low)} rows after each of them."
    else:
        summary = (
            f"{number(low)} to {number(high)} rows; {number(counts[0])} after the first of these runs, "
            f"{number(counts[-1])} after the last."
        )
    return _chart(runs, tuple(columns), number(high), number(low), summary, "".join(path))


def _chart(
    runs: Sequence[Run], columns: tuple[Column, ...], top: str, bottom: str, summary: str, path: str = ""
) -> Chart:
    width = max(len(runs), LEAST_COLUMNS) * COLUMN
    return Chart(width, columns, top, bottom, path, summary, runs[0].start_time, runs[-1].start_time)


def _places(count: int) -> list[int]:
    """Where each column begins: the newest is always at the right end."""
    empty = max(LEAST_COLUMNS - count, 0)
    return [(empty + place) * COLUMN for place in range(count)]


def _rows(run: Run) -> int | None:
    return run.records_processed if run.status == RunStatus.SUCCESS else None


def _when(run: Run) -> str:
    return f"{run.start_time:%Y-%m-%d %H:%M} UTC"


def _count(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
