"""The timeline of a night: a bar for each run, and above the bars the number of runs at work."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC

from seeder.history import Standing
from seeder.models import RunStatus
from seeder.monitoring.night import Bar, Night, load_of
from seeder.web.drawing.scales import Scale, ticks, whole
from seeder.wording import brief

WIDTH = 960
#: How many ran side by side, on top.
LOAD_HEIGHT = 56
LOAD_PARTS = 240
LANES_AT = LOAD_HEIGHT + 26

#: Bars drawn one by one: those that failed or are at work, then the longest. The others of a lane are drawn
#: together where they follow each other closely.
MOST_BARS = 600
CLOSE = 1.5

#: All lanes together have about this height; a lane is not thinner or thicker than that.
LANES_HEIGHT = 420
THINNEST, THICKEST = 4.0, 20.0
#: More lanes than that make no picture.
MOST_LANES = 150

#: A bar has its table's name in it if so many letters fit.
LEAST_LETTERS = 8
LETTER = 6.6
#: Neither a short run nor a failed one gets lost.
NARROWEST = 1.5
NARROWEST_ERROR = 3.0
TALLER = 1.5

#: What is usual is known in whole seconds, rounded up; and marks closer to a bar's end than that don't show.
LEAST_DIFFERENCE_SECONDS = 1.0
LEAST_DIFFERENCE = 3.0


@dataclass(frozen=True)
class Box:
    x: float
    y: float
    width: float
    height: float
    #: success, error, cancelled, running; many for runs that are drawn together.
    kind: str
    title: str
    label: str = ""
    #: Where such a run usually ends: inside the bar of a slow one, behind that of a quick one.
    usual: float | None = None
    #: Whether it is of the chain that decided the end.
    critical: bool = False


@dataclass(frozen=True)
class Tick:
    x: float
    label: str


@dataclass(frozen=True)
class Timeline:
    width: int
    height: float
    boxes: tuple[Box, ...]
    #: The outline of the load, and the number its top stands for.
    load: str
    load_top: int
    ticks: tuple[Tick, ...]
    #: Runs that have no bar of their own, and runs that have none at all.
    together: int
    left_out: int

    @property
    def has_chain(self) -> bool:
        return any(box.critical for box in self.boxes)

    @property
    def marked(self) -> bool:
        """Whether any run took noticeably longer, or less long, than usual."""
        return any(box.usual is not None for box in self.boxes)


def timeline(night: Night, critical: Collection[str] = ()) -> Timeline:
    """``critical``: the run_ids of the chain that decided the end, which is marked."""
    across = Scale(0, max(night.seconds, 1.0), WIDTH)
    lane_height = min(max(LANES_HEIGHT / max(night.lane_count, 1), THINNEST), THICKEST)
    shown_lanes = min(night.lane_count, MOST_LANES)
    single = _single(night.bars, critical)
    free = _free_until(night)
    boxes: list[Box] = []
    rest: dict[int, list[Bar]] = defaultdict(list)
    left_out = 0
    for number, (bar, lane) in enumerate(zip(night.bars, night.lanes, strict=True)):
        if lane >= shown_lanes:
            left_out += 1
        elif number in single:
            box = _box(bar, lane, lane_height, across, free[number])
            boxes.append(replace(box, critical=bar.run.run_id in critical))
        else:
            rest[lane].append(bar)
    together = [box for lane, bars in rest.items() for box in _together(bars, lane, lane_height, across)]
    load = load_of([(bar.start, bar.end) for bar in night.bars], max(night.seconds, 1.0), LOAD_PARTS)
    top = max(1, night.lane_count)
    return Timeline(
        WIDTH,
        LANES_AT + shown_lanes * lane_height + 4,
        # What is alone is drawn over what isn't.
        (*together, *boxes),
        _outline(load, top),
        top,
        tuple(
            Tick(across.at(moment), whole(moment) if moment else "0")
            for moment in ticks(max(night.seconds, 1.0), 8)
        ),
        together=sum(len(bars) for bars in rest.values()),
        left_out=left_out,
    )


def _single(bars: Sequence[Bar], critical: Collection[str]) -> set[int]:
    def order(number: int) -> tuple[bool, bool, float]:
        bar = bars[number]
        return bar.run.run_id not in critical, bar.run.status == RunStatus.SUCCESS, -bar.seconds

    return set(sorted(range(len(bars)), key=order)[:MOST_BARS])


def _free_until(night: Night) -> list[float]:
    """For each bar, when the next one of its lane begins, or the picture ends."""
    free = [night.seconds] * len(night.bars)
    following: dict[int, float] = {}
    for number in sorted(range(len(free)), key=lambda one: night.bars[one].start, reverse=True):
        lane = night.lanes[number]
        free[number] = following.get(lane, night.seconds)
        following[lane] = night.bars[number].start
    return free


def _usual_end(bar: Bar, across: Scale, free_until: float) -> float | None:
    """None where it is not known, too near to tell, or another run's bar is there. When a run fails
    or is cancelled says nothing of how long it takes."""
    if bar.usual_seconds is None or bar.run.status == RunStatus.ERROR:
        return None
    usual = bar.start + bar.usual_seconds
    if usual > free_until or abs(usual - bar.end) <= LEAST_DIFFERENCE_SECONDS:
        return None
    x = across.at(usual)
    return x if abs(x - across.at(bar.end)) >= LEAST_DIFFERENCE else None


def _box(bar: Bar, lane: int, lane_height: float, across: Scale, free_until: float) -> Box:
    x = across.at(bar.start)
    failed = bar.run.standing is Standing.ERROR
    least = NARROWEST_ERROR if failed else NARROWEST
    width = max(across.at(bar.end) - x, least)
    x = min(x, WIDTH - width)
    letters = int(width / LETTER)
    name = bar.run.table_name
    label = ""
    if lane_height >= 12 and letters >= LEAST_LETTERS:
        label = name if len(name) <= letters else f"{name[: letters - 1]}…"
    height = round(lane_height - 1 if lane_height < 8 else lane_height - 3, 2)
    y = round(LANES_AT + lane * lane_height, 2)
    if failed:
        # Taller than its lane's others, for a thin one has no room for hatching.
        y, height = y - TALLER, height + 2 * TALLER
    usual = _usual_end(bar, across, free_until)
    return Box(x, y, round(width, 2), height, bar.run.standing, title_of(bar), label, usual)


def title_of(bar: Bar) -> str:
    """A run in one line of text."""
    run = bar.run
    took = f"{'at work for' if bar.is_running else 'took'} {brief(bar.seconds)}"
    usual = f", usually {brief(bar.usual_seconds)}" if bar.usual_seconds is not None else ""
    return (
        f"{run.table_name} ({run.agency_slug}): {run.standing.words}, {took}{usual}; "
        f"began {run.start_time.astimezone(UTC):%H:%M:%S} UTC, {brief(bar.waited)} in the queue"
    )


def _together(bars: Sequence[Bar], lane: int, lane_height: float, across: Scale) -> list[Box]:
    """Blocks of runs that follow each other; bars come in the order of their beginning."""
    blocks: list[list[Bar]] = []
    end = float("-inf")
    for bar in bars:
        if across.at(bar.start) - end > CLOSE:
            blocks.append([])
        blocks[-1].append(bar)
        end = max(across.at(bar.end), across.at(bar.start) + NARROWEST)
    height = round(lane_height - 1 if lane_height < 8 else lane_height - 3, 2)
    y = round(LANES_AT + lane * lane_height, 2)
    made = []
    for block in blocks:
        x = across.at(block[0].start)
        width = max(across.at(block[-1].end) - x, NARROWEST)
        longest = max(bar.seconds for bar in block)
        what = f"{len(block)} runs" if len(block) > 1 else title_of(block[0])
        title = f"{what}, none over {brief(longest)}" if len(block) > 1 else what
        made.append(Box(x, y, round(width, 2), height, "many", title))
    return made


def _outline(load: Sequence[float], top: int) -> str:
    up = Scale(0, top, LOAD_HEIGHT)
    width = WIDTH / len(load)
    steps = [f"V{LOAD_HEIGHT - up.at(value):g}H{(part + 1) * width:g}" for part, value in enumerate(load)]
    return f"M0 {LOAD_HEIGHT}{''.join(steps)}V{LOAD_HEIGHT}Z"
