"""The pages of nights: a list of seedings, and the timeline of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException, Path, Query, Request, Response

from seeder.history import Standing
from seeder.history.nights import STEPS, NightRun
from seeder.history.pages import SeedingCounts
from seeder.models import RunStatus
from seeder.monitoring import Snapshot
from seeder.monitoring.critical_chain import critical_chain
from seeder.monitoring.night import Bar, Night, night_of
from seeder.run_ids import is_scheduled, seeding_moment
from seeder.web.api.answers import Asked, Text
from seeder.web.drawing.timeline import Timeline, timeline
from seeder.web.pages.reads import reads_of
from seeder.web.pages.rendering import page, piece
from seeder.web.services import Services, services
from seeder.wording import brief, duration, number

router = APIRouter(include_in_schema=False)

#: Seedings on a page of the list.
LISTED = 30

#: A night whose lanes were more than half busy but for such a share of its time ended together.
NO_SLACK = 0.02

#: How many seedings away the one before and the one after are looked for.
NEAR = 200

#: Rows of the tables beside a timeline.
SLOWEST = 20
FAILED = 100
#: Of a long chain so many are named.
CHAIN = 12
#: Tables in a sentence.
NOT_RUN = 12

SeedingId = Annotated[str, Path(alias="seedingId", max_length=100, pattern=r"^[^\x00]*$")]


class NightsAsked(Asked):
    #: The last seeding of the page before.
    before: Annotated[Text | None, Query()] = None
    #: Those that somebody asked for, too.
    all: Annotated[Literal["yes"] | None, Query()] = None


class NightAsked(Asked):
    #: What a page that is open already fetches while a run is under way.
    piece: Annotated[Literal["all"] | None, Query()] = None


@dataclass(frozen=True)
class Listed:
    """One line of the list."""

    seeding_id: str
    scheduled: bool
    counts: SeedingCounts

    @property
    def seconds(self) -> float | None:
        """From the recording to the last end."""
        counts = self.counts
        if counts.recorded_at is None or counts.finish_time is None:
            return None
        return (counts.finish_time - counts.recorded_at).total_seconds()


@dataclass(frozen=True)
class NightList:
    nights: Sequence[Listed]
    #: Where the next page begins; None on the last one.
    before: str | None


@dataclass(frozen=True)
class NotRun:
    """Runs that weren't done for one reason, which is one failed report."""

    words: str
    count: int
    #: The first of their tables.
    tables: Sequence[str]


@dataclass(frozen=True)
class NightView:
    """A seeding as its page shows it."""

    seeding_id: str
    scheduled: bool
    moment: datetime | None
    night: Night
    picture: Timeline
    counts: dict[Standing, int]
    #: How the time went and what held the end back, a sentence each.
    sentences: Sequence[str]
    slowest: Sequence[Bar]
    failed: Sequence[Bar]
    failures: int
    not_run: Sequence[NotRun]
    waited: str
    rows: int
    earlier: str | None
    later: str | None

    @property
    def unfinished(self) -> bool:
        return self.night.ended is None

    @property
    def pause_ms(self) -> int:
        """How long an open page waits between two looks: all runs are read for each."""
        return max(1000, len(self.night.bars) + self.night.pending)


@router.get("/nights")
async def nights(request: Request, asked: Annotated[NightsAsked, Query()]) -> Response:
    here = services(request)
    found = await here.read(_listed, here, asked)
    # The newest one may be under way.
    return page(request, "nights.html", section="nights", list=found, all=asked.all is not None,
                first=asked.before is None, schedule=here.equipment.settings.schedule,
                timezone=here.equipment.settings.timezone)  # fmt: skip


@router.get("/nights/{seedingId}")
async def night(request: Request, seeding_id: SeedingId, asked: Annotated[NightAsked, Query()]) -> Response:
    here = services(request)
    snapshot = await here.live.fresh()
    usual = {one.job.table_name: one.usual for one in snapshot.jobs}
    view = await here.read(_viewed, here, seeding_id, usual, snapshot)
    if view is None:
        raise HTTPException(
            404, f"There is no seeding {seeding_id}; /nights lists those that the history still has."
        )
    if asked.piece:
        return piece(request, "night_piece.html", view=view)
    return page(request, "night.html", section="nights", view=view)


def _listed(here: Services, asked: NightsAsked) -> NightList:
    ids = here.nights.seeding_ids(asked.before)
    wanted = [one for one in ids if is_scheduled(one) or (asked.all and seeding_moment(one))]
    shown = wanted[:LISTED]
    counts = here.nights.counts(shown) if shown else {}
    listed = [Listed(one, is_scheduled(one), counts[one]) for one in shown]
    if len(wanted) > LISTED:
        return NightList(listed, shown[-1])
    # What comes after so many others was not looked for.
    return NightList(listed, ids[-1] if len(ids) >= STEPS else None)


def _viewed(
    here: Services, seeding_id: str, usual: dict[str, float | None], snapshot: Snapshot
) -> NightView | None:
    runs = here.nights.runs(seeding_id)
    # What wasn't done took no time.
    done = [run for run in runs if run.standing is not Standing.NOT_RUN]
    found = night_of(done or runs, usual, max(snapshot.clock.now, datetime.now(UTC)))
    if found is None:
        return None
    failed = [bar for bar in found.bars if bar.run.standing is Standing.ERROR]
    earlier, later = _neighbours(here, seeding_id)
    # While it goes on nothing is decided, and its page is asked for all the time.
    chain = critical_chain(found.bars, reads_of(here, snapshot).graph) if found.ended else []
    return NightView(
        seeding_id,
        is_scheduled(seeding_id),
        seeding_moment(seeding_id),
        found,
        timeline(found, {bar.run.run_id for bar in chain}),
        {standing: sum(run.standing is standing for run in runs) for standing in Standing},
        [*_sentences(found), *_told_of(chain, found)],
        sorted(found.bars, key=lambda bar: -bar.seconds)[:SLOWEST],
        sorted(failed, key=lambda bar: bar.start)[:FAILED],
        len(failed),
        _not_run([run for run in runs if run.standing is Standing.NOT_RUN]),
        _waited(found),
        sum(run.records or 0 for run in runs if run.status == RunStatus.SUCCESS),
        earlier,
        later,
    )


def _not_run(runs: Sequence[NightRun]) -> list[NotRun]:
    """By what had failed; that of most first."""
    tables: dict[str, list[str]] = {}
    for run in runs:
        tables.setdefault(run.error or "", []).append(run.table_name)
    found = [NotRun(words, len(names), sorted(names)[:NOT_RUN]) for words, names in tables.items()]
    return sorted(found, key=lambda one: (-one.count, one.words))[:FAILED]


def _neighbours(here: Services, seeding_id: str) -> tuple[str | None, str | None]:
    """The scheduled seedings around it, as far as they are near; the later one of the latest nights only."""
    before = here.nights.seeding_ids(seeding_id, NEAR)
    earlier = next((one for one in before if is_scheduled(one)), None)
    later = None
    for one in here.nights.seeding_ids(most=NEAR):
        if one == seeding_id:
            return earlier, later
        if is_scheduled(one):
            later = one
    return earlier, None


def _sentences(found: Night) -> list[str]:
    """How the time went."""
    if len(found.bars) == 1 and not found.pending:
        (bar,) = found.bars
        what = "is" if bar.is_running else "was"
        return [f"{bar.run.table_name} {what} its only run{_usually(bar)}."]
    told = []
    if found.lane_count > 1:
        at_best = round(found.least_seconds)
        told.append(
            f"At most {number(found.lane_count)} ran side by side. Together they took "
            f"{brief(found.worked_seconds)}, which no order of them could have brought below "
            f"{duration(at_best)}; it took {brief(found.seconds)}{' so far' if found.ended is None else ''}."
        )
    tail = found.tail
    if tail is None:
        return told
    last = tail.last
    if tail.alone_seconds < 1 and tail.slack_seconds < NO_SLACK * found.seconds:
        told.append("No single run held its end back: the lanes were busy until shortly before it.")
        return told
    words = (
        f"The end was held back by {last.run.table_name}: it ended last, took "
        f"{brief(last.seconds)}{_usually(last)}"
    )
    if last.waited >= 1:
        words += f", and had begun only after {brief(last.waited)} in the queue"
    told.append(words + ".")
    if tail.alone_seconds >= 1 and len(found.bars) > 1:
        told.append(f"For the last {brief(tail.alone_seconds)} nothing else was at work.")
    elif tail.slack_seconds >= 1 and found.lane_count > 1:
        told.append(f"For the last {brief(tail.slack_seconds)} at most half as many were at work.")
    return told


def _told_of(chain: Sequence[Bar], found: Night) -> list[str]:
    """What the chain was that decided the end."""
    if not chain:
        return []
    names = [bar.run.table_name for bar in chain]
    if len(names) > CHAIN:
        left_out = len(names) - CHAIN
        names = [*names[: CHAIN // 2], f"{number(left_out)} more", *names[-CHAIN // 2 :]]
    took = brief(sum(bar.seconds for bar in chain))
    words = (
        f"A chain of {number(len(chain))} that read each other decided when it ended: {', '.join(names)}. "
        f"Their own time is {took} of its {brief(found.seconds)}."
    )
    return [words]


def _usually(bar: Bar) -> str:
    return "" if bar.usual_seconds is None else f" (usually {brief(bar.usual_seconds)})"


def _waited(found: Night) -> str:
    waits = sorted(bar.waited for bar in found.bars)
    if not waits:
        return ""
    return f"{brief(waits[len(waits) // 2])} (median), {brief(waits[-1])} at most"
