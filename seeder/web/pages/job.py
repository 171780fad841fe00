"""The page of a job: its manifest, its matview, why its run takes long, and its runs."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar, TypeVarTuple

import psycopg2
from fastapi import APIRouter, HTTPException, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from seeder.diagnosis.forecast import ERROR, Forecast
from seeder.diagnosis.inspection import Inspection, Unknown, inspect, next_refresh, work
from seeder.errors import ManifestError, NameRefused, Position, UnknownTable, UserError
from seeder.history import Standing
from seeder.history.pages import DatedRun, RunFilter
from seeder.history.watching import WatchedJob
from seeder.manifests import Manifest
from seeder.matviews import policy_of
from seeder.models import RunStatus
from seeder.monitoring import MonitoredJob, Snapshot
from seeder.postgres.failures import one_line
from seeder.runs.message import Message
from seeder.runs.waiting import Whereabouts
from seeder.sql.names import matview_name
from seeder.sql.spans import Span, lines_of
from seeder.sql.tokens import offset_at
from seeder.web.api.answers import Asked, TableName, Text
from seeder.web.api.history import LARGEST_ID
from seeder.web.cursors import BAD, cursor, place
from seeder.web.drawing import trend
from seeder.web.live.timeouts import PART_SECONDS
from seeder.web.pages.reasons import Reason, is_unfinished, of_pending, of_running
from seeder.web.pages.related import related, tables_of
from seeder.web.pages.rendering import page, piece
from seeder.web.services import Services, services
from seeder.wording import shortened

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")

router = APIRouter(include_in_schema=False)

#: Runs in the charts, and rows of the history on a page.
CHARTED = 90
PER_PAGE = 30

SILENT = Unknown(f"There was no answer within {PART_SECONDS:.0f} s.")

#: Lines of SQL on the page; a manifest with more is read elsewhere.
MOST_LINES = 2_000


class JobAsked(Asked):
    cursor: Annotated[Text | None, Query()] = None
    #: What an open page fetches: what changes by itself while a run is under way, or all of it.
    piece: Annotated[Literal["now", "all"] | None, Query()] = None


@dataclass(frozen=True)
class Definition:
    """The SQL as a run takes it; as it is written where a run can't take it."""

    lines: Sequence[Sequence[Span]]
    left_out: int
    #: What is wrong with it as it stands, without a look into the database.
    problem: str | None
    #: The placeholders that were filled in.
    filled: Sequence[str]
    #: The error that the next run would end with ...
    error: str | None
    #: ... and where in these lines it is.
    mark: Position | None

    def is_error_of(self, job: WatchedJob) -> bool:
        """Whether the job's last run ended with the error whose place is marked."""
        marked = self.mark is not None and self.error is not None and not is_unfinished(job)
        return marked and job.last_errors == shortened(str(self.error))


@dataclass(frozen=True)
class RunsView:
    """A page of the history and the charts."""

    runs: Sequence[DatedRun]
    next: str | None
    is_first: bool
    durations: trend.Chart | None
    rows: trend.Chart | None


@router.get("/jobs/{tableName:path}")
async def show(request: Request, table_name: TableName, asked: Annotated[JobAsked, Query()]) -> Response:
    here = services(request)
    snapshot = await here.live.fresh()
    found = snapshot.of_table(table_name)
    if not found:
        raise UnknownTable(table_name=table_name)
    one = found[0]
    manifest = await here.read(_manifest, here, one.job)
    head: dict[str, object] = {
        "one": one,
        "job": one.job,
        "others": found[1:],
        "manifest": manifest,
        "unfinished": is_unfinished(one.job),
        "holders": [held for held in await here.holding.now() if held.is_in_the_way_of(one.job.table_name)],
        "cursor": asked.cursor,
        "flower_url": here.equipment.settings.flower_url,
        # While a run is under way the place of the last one's error isn't pointed at.
        "points": False,
    }
    # When the run is over, all has changed.
    if asked.piece == "now" and head["unfinished"]:
        reason = await _reason(here, snapshot, one, manifest)
        return piece(request, "job_now.html", **head, reason=reason)
    before = _before(table_name, asked.cursor)
    reason, (inspection, forecast), runs = await asyncio.gather(
        _reason(here, snapshot, one, manifest),
        _inspected(here, one.job, manifest),
        here.read(_runs, here, table_name, before),
    )
    foreseen = forecast if isinstance(forecast, Forecast) else None
    definition = await run_in_threadpool(definition_of, manifest, foreseen) if manifest else None
    values: dict[str, object] = {
        **head,
        "reason": reason,
        "inspection": inspection,
        "forecast": forecast,
        "definition": definition,
        "points": definition is not None and definition.is_error_of(one.job),
        "relations": lambda listed: related(snapshot, here.equipment.settings.db_schema, listed),
        "runs": runs,
    }
    if asked.piece:
        return piece(request, "job_piece.html", **values)
    return page(request, "job.html", **values)


# --- the manifest -----------------------------------------------------------------------------------------


def _manifest(here: Services, job: WatchedJob) -> Manifest | None:
    with here.equipment.databases.session() as session:
        return here.equipment.manifests.find(session, job.report_type, job.manifest_id)


def definition_of(manifest: Manifest, forecast: Forecast | None) -> Definition:
    """With the place of the error that is foreseen, if it has one. The worst text takes two seconds
    (seeder.sql.tokens.LONGEST_QUERY)."""
    rendered_query, problem = None, None
    try:
        rendered_query = manifest.rendered_query
        _ = manifest.query
    except ManifestError as error:
        problem = error
    where = problem.position if problem else forecast.position if forecast else None
    if rendered_query is None:
        text, fillings = manifest.raw_query, []
        mark = where and offset_at(text, where)
    else:
        text, fillings = rendered_query.text, rendered_query.fillings
        mark = where and rendered_query.offset_of(where)
    lines = lines_of(text, fillings, mark)
    if not lines[-1]:
        # An end of line at the end begins no line that anybody wrote.
        lines.pop()
    words = str(problem) if problem else None
    return Definition(
        lines[:MOST_LINES],
        max(0, len(lines) - MOST_LINES),
        words,
        sorted({placeholder for _, _, placeholder in fillings}),
        words or (forecast.why if forecast and forecast.action == ERROR else None),
        where if mark is not None else None,
    )


# --- what other servers say -------------------------------------------------------------------------------


async def _reason(
    here: Services, snapshot: Snapshot, one: MonitoredJob, manifest: Manifest | None
) -> Reason | None:
    """Why the run that the job shows hasn't ended; None where it has."""
    job = one.job
    if not is_unfinished(job):
        return None
    database_id = manifest.database_id if manifest else None
    if job.status == RunStatus.PENDING:
        where = await _within(here, _whereabouts, here, job, database_id)
        running = snapshot.standing_counts.get(Standing.RUNNING, 0)
        limit = here.equipment.settings.limit_of(database_id)
        if isinstance(where, Unknown):
            return of_pending(job, where, running, limit)
        upstreams, foremost = tables_of(snapshot, where.upstreams), tables_of(snapshot, where.foremost)
        return of_pending(job, where, running, limit, upstreams, foremost)
    try:
        matview = matview_name(job.table_name, here.equipment.settings.db_schema)
    except NameRefused as error:
        return of_running(job, Unknown(str(error)))
    return of_running(job, await _within(here, work, here.equipment.databases, database_id, matview))


def _whereabouts(here: Services, job: WatchedJob, database_id: int | None) -> Whereabouts | Unknown:
    if database_id not in here.equipment.databases:
        return Unknown(f"The database {database_id} is not in SEEDER_DATABASES.")
    message = Message(job.last_run_id or "", 0, job.report_type, job.manifest_id, job.table_name, database_id)
    try:
        return here.waiting.whereabouts(message)
    except UserError as error:
        return Unknown(str(error))


async def _inspected(
    here: Services, job: WatchedJob, manifest: Manifest | None
) -> tuple[Inspection, Forecast | Unknown | None]:
    """The matview, and what its next run would do; nothing of the latter for what will not run."""
    if manifest is None:
        return Inspection(Unknown("Its manifest is gone, and with it the database to look into.")), None
    try:
        matview = manifest.matview
    except ManifestError as error:
        return Inspection(Unknown(str(error))), None
    databases, policy = here.equipment.databases, policy_of(here.equipment.settings)
    foreseen = job.enabled and job.status != RunStatus.RUNNING
    inspection, forecast = await asyncio.gather(
        _within(here, inspect, databases, manifest.database_id, matview),
        _within(here, next_refresh, databases, manifest, policy) if foreseen else asyncio.sleep(0),
    )
    return Inspection(inspection) if isinstance(inspection, Unknown) else inspection, forecast


async def _within(here: Services, ask: Callable[[*Arguments], T], *arguments: *Arguments) -> T | Unknown:
    """What ``ask`` returns, or Unknown if that takes long; it then goes on in its thread for nobody."""
    try:
        return await asyncio.wait_for(here.read(ask, *arguments), PART_SECONDS)
    except TimeoutError:
        return SILENT
    except psycopg2.Error as error:
        return Unknown(here.equipment.databases.scrubbed(one_line(error)))


# --- runs -------------------------------------------------------------------------------------------------


def _runs(here: Services, table_name: str, before: int | None) -> RunsView:
    wanted = RunFilter(table_name=table_name)
    charted, _ = here.runs.of_table(wanted, None, CHARTED)
    runs, end = here.runs.of_table(wanted, before, PER_PAGE)
    return RunsView(
        runs,
        cursor(table_name, [end]) if end else None,
        before is None,
        trend.durations(charted),
        trend.rows(charted),
    )


def _before(table_name: str, text: str | None) -> int | None:
    if text is None:
        return None
    match place(table_name, text):
        case [int(number)] if 0 <= number <= LARGEST_ID:
            return number
    raise HTTPException(409, BAD)
