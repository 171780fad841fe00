"""The page of an agency: its jobs."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from seeder.errors import UnknownAgency
from seeder.monitoring import JobQuery
from seeder.web.filters import agency_url
from seeder.web.pages.asked import ListAsked
from seeder.web.pages.joblist import counts_of, joblist
from seeder.web.pages.rendering import page, piece
from seeder.web.pages.verdict import verdict
from seeder.web.services import services

router = APIRouter(include_in_schema=False)


@router.get("/agencies/{slug:path}")
async def agency(
    request: Request, slug: Annotated[str, Path()], asked: Annotated[ListAsked, Query()]
) -> Response:
    """The whole page, or with ``rows`` the piece of it that changes."""
    snapshot = await services(request).live.fresh()
    counts = counts_of(snapshot, JobQuery(agency=slug))
    if not counts.all:
        raise UnknownAgency(agency_slug=slug, of_type="")
    names = snapshot.kept(
        "agencies' names", lambda: {one.job.agency_slug: one.job.agency_name for one in snapshot.jobs}
    )
    made, template = (page, "agency.html") if asked.rows is None else (piece, "agency_piece.html")
    return made(
        request,
        template,
        slug=slug,
        name=names[slug] or slug,
        list=joblist(snapshot, asked, agency_url(slug), slug),
        counts=counts,
        verdict=verdict(counts),
    )
