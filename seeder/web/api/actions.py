"""Endpoints that request refreshes and cancel runs, in the same way as the command line."""

from contextlib import closing
from typing import Annotated

import structlog
from fastapi import APIRouter, Path, Query, Request, Security
from fastapi.security import HTTPBearer

from seeder.errors import UnknownRunOrTable
from seeder.runs.cancelling import Cancellation, Stopped
from seeder.seedings.fan_out import Seeding, seed
from seeder.seedings.planning import Selection
from seeder.seedings.release import Release
from seeder.web.api.answers import ERRORS, NOT_FOUND, Asked, TableName
from seeder.web.security.access import viewer
from seeder.web.services import Services, services
from seeder.web.wire.actions import AgencyRefresh, Cancelled, RefusedRun, Started, WaitingRun

log = structlog.get_logger(__name__)

# The gate has checked it; this tells the document's readers.
BEARER = Security(HTTPBearer(auto_error=False, description="The token of SEEDER_API_TOKEN."))

router = APIRouter(tags=["actions"], responses=ERRORS | NOT_FOUND, dependencies=[BEARER])

Slug = Annotated[
    str, Path(alias="agencySlug", description="The agency's short name.", examples=["north-port"])
]


class RefreshAsked(Asked):
    """What else is refreshed with a table."""

    upstream: Annotated[bool, Query(description="And first all that it reads, at any depth.")] = False
    downstream: Annotated[bool, Query(description="And then all that reads it, at any depth.")] = False


@router.post(
    "/api/jobs/{tableName:path}/refresh", status_code=202, response_model=Started, summary="Refresh one table"
)
async def refresh_table(
    request: Request, table_name: TableName, asked: Annotated[RefreshAsked, Query()]
) -> Started:
    """Queues one run of the table's owner, and where that is asked for those of related reports, in order."""
    return await _seeded(request, Selection(table_name=table_name, **asked.model_dump()))


@router.post(
    "/api/agencies/{agencySlug:path}/refresh",
    status_code=202,
    response_model=Started,
    summary="Refresh an agency's reports",
)
async def refresh_agency(request: Request, agency_slug: Slug, asked: AgencyRefresh | None = None) -> Started:
    """Queues a run for each of its reports that is switched on."""
    report_type = asked.report_type if asked else None
    return await _seeded(request, Selection(agency_slug=agency_slug, report_type=report_type))


@router.post(
    "/api/failing/refresh", status_code=202, response_model=Started, summary="Refresh what is failing"
)
async def refresh_failing(request: Request) -> Started:
    """Queues a run for each job whose last run that ended was an error."""
    snapshot = await services(request).live.fresh()
    failing = frozenset(one.identity for one in snapshot.jobs if one.is_failing)
    return await _seeded(request, Selection(identities=failing))


RunId = Annotated[
    str, Path(alias="runId", description="The run's id.", examples=["20261124T091502Z-k3f9.custom-12"])
]


@router.post("/api/runs/{runId}/cancel", response_model=Cancelled, summary="End a run")
async def cancel_run(request: Request, run_id: RunId) -> Cancelled:
    """Ends a run that is queued, waiting or at work; one that is over stays as it is."""
    here = services(request)
    stopped = await here.act(_cancelled, here, run_id, viewer(request).name or "somebody")
    await here.live.glance()
    return Cancelled(
        run_id=run_id,
        table_name=stopped.run.table_name,
        cancelled=stopped.moved,
        ended=stopped.ended,
    )


def _cancelled(here: Services, run_id: str, by: str) -> Stopped:
    # The name of a table would do for the command line, and would end all its runs.
    # And PostgreSQL's text can't hold a NUL.
    if "\x00" in run_id or here.equipment.history.run(run_id) is None:
        raise UnknownRunOrTable(name=run_id)
    (stopped,) = Cancellation.of(here.equipment).cancel_named(run_id, by)
    if stopped.moved:
        with closing(Release(here.celery, here.equipment)) as release:
            release.after(run_id)
    return stopped


async def _seeded(request: Request, selection: Selection) -> Started:
    here = services(request)
    seeding = await here.act(seed, here.celery, here.equipment, selection)
    by = viewer(request).name
    for run_id in seeding.awaited:
        log.info("refresh asked for", run_id=run_id, by=by)
    await here.live.glance()
    return started(seeding)


def started(seeding: Seeding) -> Started:
    """A seeding as the API has it."""
    return Started(
        seeding_id=seeding.seeding_id,
        queued=seeding.queued,
        run_ids=list(seeding.run_ids),
        refused=[RefusedRun(run_id=run_id, reason=why) for run_id, why in seeding.refused.items()],
        already_queued=[
            WaitingRun(table_name=table_name, run_id=run_id)
            for table_name, run_id in seeding.already_queued.items()
        ],
        not_recorded=[RefusedRun(run_id=run_id, reason=why) for run_id, why in seeding.not_recorded.items()],
    )
