"""A page of the job list as the templates show it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from fastapi import HTTPException

from seeder.monitoring import JobQuery, MonitoredJob, Snapshot
from seeder.web.cursors import BAD, cursor, place
from seeder.web.pages.asked import NO_ROWS, ListAsked, address
from seeder.web.pages.tiles import Chip, Counts, Tile, chips, counted, flag_tiles, status_tiles

#: Agencies that the form offers; more can be typed.
MOST_OFFERED = 500


@dataclass(frozen=True)
class Column:
    """A heading, the address that sorts by it, and the order it sorts by now, if it does."""

    label: str
    url: str = ""
    order: str | None = None
    number: bool = False


@dataclass(frozen=True)
class JobList:
    """One page of the list at the path ``base``."""

    base: str
    asked: ListAsked
    jobs: Sequence[MonitoredJob]
    #: Over all pages.
    total: int
    #: Of what all filters but the tiles take.
    counts: Counts
    flags: Sequence[Tile]
    statuses: Sequence[Tile]
    chips: Sequence[Chip]
    columns: Sequence[Column]
    agencies: Sequence[str]
    all_url: str
    next_url: str | None
    #: Where this isn't the first page.
    first_url: str | None
    same_url: str
    #: The rows shown and what is above them, see static/live.js.
    piece_url: str
    #: Whether the page would have other rows by now than those it shows.
    outdated: bool


#: Label, what /api/jobs sorts by, the order that is wanted first, whether it is a number.
COLUMNS = (
    ("Status", "attention", "asc", False),
    ("Report", "reportName", "asc", False),
    ("Agency", "agencySlug", "asc", False),
    ("Last run", "startTime", "desc", False),
    ("Took", "durationSeconds", "desc", True),
    ("Last success", "lastSuccess", "desc", False),
    ("Failures", "consecutiveFailures", "desc", True),
    ("Rows", "recordsProcessed", "desc", True),
    ("Size", "bytesProcessed", "desc", True),
)


def joblist(snapshot: Snapshot, asked: ListAsked, base: str, agency: str | None = None) -> JobList:
    """The page asked for, of that agency where the path names one. Raises HTTPException 409 for a cursor of
    another list."""
    query = replace(asked.query(), agency=asked.agency if agency is None else agency)
    listing = snapshot.find(query)
    of = f"jobs {asked.sort} {asked.order}"
    try:
        page, end = listing.page(tuple(place(of, asked.cursor)) if asked.cursor else None, asked.limit)
    except TypeError:
        raise HTTPException(409, BAD) from None
    shown = page if asked.rows is None else _of(snapshot, asked.identities)
    # A tile's number is that of the list behind it.
    counts = counts_of(snapshot, replace(query, standings=(), flags=()))
    return JobList(
        base=base,
        asked=asked,
        jobs=shown,
        total=listing.total,
        counts=counts,
        flags=list(flag_tiles(base, asked, counts)),
        statuses=list(status_tiles(base, asked, counts)),
        chips=list(chips(base, asked)),
        columns=list(_columns(base, asked)),
        agencies=snapshot.kept("agencies", lambda: _agencies(snapshot)),
        all_url=address(base, asked, status=(), flag=(), cursor=None),
        next_url=address(base, asked, cursor=cursor(of, end)) if end else None,
        first_url=address(base, asked, cursor=None) if asked.cursor else None,
        same_url=address(base, asked),
        piece_url=address(base, asked, rows=",".join(one.identity for one in page) or NO_ROWS),
        outdated=[one.identity for one in page] != [one.identity for one in shown],
    )


def _of(snapshot: Snapshot, identities: Sequence[str]) -> list[MonitoredJob]:
    by_identity = snapshot.kept("by identity", lambda: {one.identity: one for one in snapshot.jobs})
    return [by_identity[one] for one in identities if one in by_identity]


def counts_of(snapshot: Snapshot, query: JobQuery) -> Counts:
    """Of the jobs that the query takes."""
    return snapshot.kept(("counts", query.unsorted), lambda: counted(snapshot.taken(query)))


def _columns(base: str, asked: ListAsked) -> Iterator[Column]:
    for label, sort, first, number in COLUMNS:
        order = asked.order if asked.sort == sort else None
        wanted = {None: first, "asc": "desc", "desc": "asc"}[order]
        yield Column(label, address(base, asked, sort=sort, order=wanted, cursor=None), order, number)


def _agencies(snapshot: Snapshot) -> list[str]:
    return sorted({one.job.agency_slug for one in snapshot.jobs if one.job.agency_slug})[:MOST_OFFERED]
