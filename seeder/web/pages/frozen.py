"""The page that lists reports which nothing refreshes any more."""

from fastapi import APIRouter, Request, Response

from seeder.maintenance.frozen.wording import everything, whose, why_kept
from seeder.web.api.answers import MOST_PER_PAGE
from seeder.web.pages.rendering import page
from seeder.web.services import services

router = APIRouter(include_in_schema=False)


@router.get("/frozen")
async def frozen(request: Request) -> Response:
    found = await services(request).frozen.fresh()
    reports = found.reports
    return page(
        request,
        "frozen.html",
        section="monitoring",
        reports=reports,
        items=everything(reports)[:MOST_PER_PAGE],
        off=reports.off[:MOST_PER_PAGE],
        at=found.at,
        whose=whose,
        why_kept=why_kept,
    )
