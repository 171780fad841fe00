"""Endpoints for the runs of one job, and of all jobs."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request, Response
from pydantic import Field

from seeder.errors import UnknownTable
from seeder.history.pages import Place, RunFilter
from seeder.web.api.answers import (
    BAD_CURSOR,
    ERRORS,
    NOT_FOUND,
    UNCHANGED,
    Paged,
    TableName,
    Text,
    When,
    answer,
    json_bytes,
    matches,
    tagged,
    unchanged,
    version_tag,
)
from seeder.web.cursors import BAD, cursor, place
from seeder.web.services import services
from seeder.web.wire.base import ReportKind, StandingAsked
from seeder.web.wire.history import HistoryPage, HistoryRow, RunPage, RunRow

router = APIRouter(tags=["history"], responses=ERRORS | UNCHANGED)

OF_ALL = "history"

#: PostgreSQL's bigint.
LARGEST_ID = 2**63 - 1


class HistoryAsked(Paged):
    """Filters and page of a job's history."""

    status: Annotated[
        tuple[StandingAsked, ...],
        Field(max_length=10),
        Query(description="Any of these. error leaves out what was cancelled or not run."),
    ] = ()
    since: Annotated[When | None, Query(description="Begun then or later.")] = None
    until: Annotated[When | None, Query(description="Begun before.")] = None


class RunsAsked(HistoryAsked):
    """Filters and page of all jobs' history; all filters given must hold."""

    agency: Annotated[Text | None, Query(description="An agency's slug.")] = None
    table: Annotated[Text | None, Query(description="A table's name, as the record has it.")] = None
    type: Annotated[ReportKind | None, Query(description="custom or canned.")] = None
    q: Annotated[
        Text | None, Query(description="In the names of table, report or agency; case doesn't count.")
    ] = None


@router.get(
    "/api/jobs/{tableName:path}/history",
    response_model=HistoryPage,
    responses=NOT_FOUND | BAD_CURSOR,
    summary="A job's runs, a page at a time",
)
async def job_history(
    request: Request, table_name: TableName, asked: Annotated[HistoryAsked, Query()]
) -> Response:
    """The run recorded last comes first."""
    here = services(request)
    snapshot = await here.live.fresh()
    jobs = snapshot.of_table(table_name)
    if not jobs:
        raise UnknownTable(table_name=table_name)
    key = ("history", table_name, repr(asked))
    # No run of a table changes without one of its jobs changing too; pruned runs go at the next tick.
    changed = [(one.job.last_run_id, one.job.updated_at) for one in jobs]
    tag = version_tag(request, 0, key, changed, snapshot.clock.last_tick)
    if matches(request, tag):
        return unchanged(tag)
    known = snapshot.known(key)
    if isinstance(known, bytes):
        return answer(request, tag, lambda: known)
    wanted = RunFilter(
        table_name=table_name, standings=tuple(asked.status), since=asked.since, until=asked.until
    )
    before = _id(place(table_name, asked.cursor)) if asked.cursor else None

    def page() -> bytes:
        found, end = here.runs.of_table(wanted, before, asked.limit)
        following = cursor(table_name, [end]) if end else None
        return json_bytes(
            HistoryPage(items=[HistoryRow.model_validate(run) for run in found], next=following)
        )

    made = await here.read(snapshot.kept, key, page)
    return answer(request, tag, lambda: made)


@router.get(
    "/api/history",
    response_model=RunPage,
    responses=BAD_CURSOR,
    summary="The runs of all jobs, a page at a time",
)
async def history(request: Request, asked: Annotated[RunsAsked, Query()]) -> Response:
    """The run that began last comes first. A page looks at 20,000 runs at most, so one whose filter takes few
    of them may be short and have a next one all the same."""
    here = services(request)
    wanted = RunFilter(
        agency=asked.agency,
        table_name=asked.table,
        report_type=asked.type,
        standings=tuple(asked.status),
        text=asked.q,
        since=asked.since,
        until=asked.until,
    )
    before = _place(place(OF_ALL, asked.cursor)) if asked.cursor else None
    found, end = await here.read(here.runs.of_all, wanted, before, asked.limit)
    body = RunPage(
        items=[RunRow.model_validate(run) for run in found],
        next=cursor(OF_ALL, [end.start_time.isoformat(), end.id]) if end else None,
    )
    return tagged(request, json_bytes(body))


def _id(found: list[int | float | str]) -> int:
    match found:
        case [int(number)] if 0 <= number <= LARGEST_ID:
            return number
    raise HTTPException(409, BAD)


def _place(found: list[int | float | str]) -> Place:
    match found:
        case [str(moment), int(number)] if 0 <= number <= LARGEST_ID:
            try:
                start_time = datetime.fromisoformat(moment)
            except ValueError:
                raise HTTPException(409, BAD) from None
            if start_time.tzinfo is not None:
                return Place(start_time, number)
    raise HTTPException(409, BAD)
