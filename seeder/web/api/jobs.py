"""Endpoints for all jobs, and for one job."""

from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException, Query, Request, Response
from pydantic import Field

from seeder.errors import UnknownTable
from seeder.monitoring import JobQuery, Snapshot
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
    version_tag,
)
from seeder.web.cursors import BAD, cursor, place
from seeder.web.services import services
from seeder.web.wire.base import ReportKind, StandingAsked
from seeder.web.wire.jobs import JobDetail, JobPage, JobRow

router = APIRouter(tags=["jobs"], responses=ERRORS | UNCHANGED)

Flag = Literal["isFailing", "isLongRunning", "isStale", "neverRun", "enabled"]
Sort = Literal[
    "attention",
    "tableName",
    "reportName",
    "agencySlug",
    "status",
    "startTime",
    "finishTime",
    "lastSuccess",
    "durationSeconds",
    "consecutiveFailures",
    "recordsProcessed",
    "bytesProcessed",
]


class JobsAsked(Paged):
    """Filters, order and page of the job list; all filters given must hold."""

    agency: Annotated[Text | None, Query(description="An agency's slug.")] = None
    type: Annotated[ReportKind | None, Query(description="custom or canned.")] = None
    status: Annotated[
        tuple[StandingAsked, ...],
        Field(max_length=10),
        Query(description="Of the last run; any of these. error leaves out what was cancelled or not run."),
    ] = ()
    flag: Annotated[
        tuple[Flag, ...], Field(max_length=10), Query(description="All of these must be set.")
    ] = ()
    q: Annotated[
        Text | None, Query(description="In the names of table, report or agency; case doesn't count.")
    ] = None
    since: Annotated[When | None, Query(description="The last run began then or later.")] = None
    until: Annotated[When | None, Query(description="The last run began before.")] = None
    sort: Annotated[
        Sort,
        Query(description="attention: failing and long-running, then stale, running, pending, the others."),
    ] = "attention"
    order: Annotated[Literal["asc", "desc"], Query()] = "asc"

    def query(self) -> JobQuery:
        return JobQuery(
            agency=self.agency,
            report_type=self.type,
            standings=tuple(self.status),
            flags=tuple(self.flag),
            text=self.q,
            started_since=self.since,
            started_until=self.until,
            sort=self.sort,
            descending=self.order == "desc",
        )


@router.get("/api/jobs", response_model=JobPage, responses=BAD_CURSOR, summary="All jobs, a page at a time")
async def jobs(request: Request, asked: Annotated[JobsAsked, Query()]) -> Response:
    """One row per manifest, never-run and switched-off ones included."""
    snapshot = await services(request).live.fresh()
    key = repr(asked)
    return answer(
        request,
        version_tag(request, snapshot.version, "jobs", key),
        lambda: snapshot.kept(("jobs", key), lambda: json_bytes(job_page(snapshot, asked))),
    )


def job_page(snapshot: Snapshot, asked: JobsAsked) -> JobPage:
    """A page of the list as the API has it. Raises HTTPException 409 for a cursor of another list."""
    query = asked.query()
    found = snapshot.find(query)
    of = f"jobs {asked.sort} {asked.order}"
    after = tuple(place(of, asked.cursor)) if asked.cursor else None
    try:
        page, end = found.page(after, asked.limit)
    except TypeError:
        raise HTTPException(409, BAD) from None
    return JobPage(
        items=[JobRow.model_validate(one) for one in page],
        next=cursor(of, end) if end else None,
        total=found.total,
    )


@router.get(
    "/api/jobs/{tableName:path}", response_model=JobDetail, responses=NOT_FOUND, summary="The job of a table"
)
async def job(request: Request, table_name: TableName) -> Response:
    """The table's owner, and whoever else names it."""
    snapshot = await services(request).live.fresh()
    found = snapshot.of_table(table_name)
    if not found:
        raise UnknownTable(table_name=table_name)

    def body() -> bytes:
        rows = [JobRow.model_validate(one) for one in found]
        return json_bytes(JobDetail(job=rows[0], others=rows[1:]))

    return answer(
        request,
        version_tag(request, snapshot.version, "job", table_name),
        body,
    )
