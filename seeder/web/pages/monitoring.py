"""The start page: the state of all jobs."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from seeder.monitoring import JobQuery
from seeder.web.api.summary import due_now, summary_of
from seeder.web.pages.asked import ListAsked
from seeder.web.pages.joblist import counts_of, joblist
from seeder.web.pages.rendering import page, piece
from seeder.web.pages.verdict import verdict
from seeder.web.services import services

router = APIRouter(include_in_schema=False)


@router.get("/")
async def monitoring(request: Request, asked: Annotated[ListAsked, Query()]) -> Response:
    """The whole page, or with ``rows`` the piece of it that changes."""
    here = services(request)
    snapshot = await here.live.fresh()
    summary = await summary_of(here, snapshot, due_now(here))
    made, template = (page, "monitoring.html") if asked.rows is None else (piece, "monitoring_piece.html")
    return made(
        request,
        template,
        section="monitoring",
        list=joblist(snapshot, asked, "/"),
        frozen=await here.frozen.glance(),
        summary=summary,
        holders=await here.holding.now(),
        verdict=verdict(counts_of(snapshot, JobQuery()), summary.running),
    )
