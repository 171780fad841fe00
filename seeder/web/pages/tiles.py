"""Counts of jobs that are also filters, and filters that are on."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from seeder.history import Standing
from seeder.monitoring import FLAGS, MonitoredJob
from seeder.web.pages.asked import ListAsked, address


@dataclass(frozen=True)
class Counts:
    """Jobs by the standing of their last run (None: never run) and by flag."""

    all: int
    standings: Mapping[str | None, int]
    flags: Mapping[str, int]
    #: Switched on, and never run.
    unrun: int


@dataclass(frozen=True)
class Tile:
    label: str
    count: int
    #: The list without the filter where it is on.
    url: str
    active: bool
    #: The colour of what it counts, see tokens.css.
    tone: str


@dataclass(frozen=True)
class Chip:
    """A filter that is on, and the address without it."""

    label: str
    value: str
    url: str


FLAG_TILES = (
    ("isFailing", "failing", "error"),
    ("isLongRunning", "long-running", "warn"),
    ("isStale", "stale", "warn"),
    ("neverRun", "never run", "never"),
)
STATUS_TILES = (
    ("success", "success"), ("error", "error"), ("cancelled", "never"), ("not_run", "warn"),
    ("running", "running"), ("pending", "pending"),
)  # fmt: skip
#: Only where there is something to count.
RARE = ("cancelled", "not_run")

#: The filters that aren't tiles, as chips name them.
CHIPS = {"q": "text", "agency": "agency", "type": "type", "since": "begun since", "until": "begun before"}


def counted(jobs: Sequence[MonitoredJob]) -> Counts:
    return Counts(
        all=len(jobs),
        standings=Counter(one.job.standing for one in jobs),
        flags={flag: sum(getattr(one, name) for one in jobs) for flag, name in FLAGS.items()},
        unrun=sum(one.enabled and one.never_run for one in jobs),
    )


def flag_tiles(base: str, asked: ListAsked, counts: Counts) -> Iterator[Tile]:
    for flag, label, tone in FLAG_TILES:
        active = flag in asked.flag
        url = address(base, asked, flag=() if active else (flag,), status=(), cursor=None)
        yield Tile(label, counts.flags[flag], url, active, tone)


def status_tiles(base: str, asked: ListAsked, counts: Counts) -> Iterator[Tile]:
    for status, tone in STATUS_TILES:
        active = status in asked.status
        count = counts.standings.get(status, 0)
        if status in RARE and not count and not active:
            continue
        url = address(base, asked, flag=(), status=() if active else (status,), cursor=None)
        yield Tile(Standing(status).words, count, url, active, tone)


def chips(base: str, asked: ListAsked) -> Iterator[Chip]:
    labels = {
        **dict(STATUS_TILES),
        **{flag: label for flag, label, _ in FLAG_TILES},
        "enabled": "switched on",
    }
    for status in asked.status:
        statuses = tuple(one for one in asked.status if one != status)
        yield Chip("status", Standing(status).words, address(base, asked, status=statuses, cursor=None))
    for flag in asked.flag:
        flags = tuple(one for one in asked.flag if one != flag)
        yield Chip("only", labels[flag], address(base, asked, flag=flags, cursor=None))
    for name, label in CHIPS.items():
        if (value := getattr(asked, name)) is not None:
            yield Chip(label, str(value), address(base, asked, **{name: None}, cursor=None))
