"""The endpoint for reports that nothing refreshes any more."""

from fastapi import APIRouter, Request

from seeder.maintenance.frozen import FrozenMatview, FrozenStatus, Kept
from seeder.maintenance.frozen.wording import everything, why_kept
from seeder.web.api.answers import ERRORS, MOST_PER_PAGE
from seeder.web.frozen import Found
from seeder.web.services import services
from seeder.web.wire.frozen import FrozenList, FrozenRow, UnreachableDatabase, WhyKept

router = APIRouter(tags=["summary"], responses=ERRORS)


@router.get("/api/frozen", summary="Matviews and rows of status without a manifest")
async def frozen(request: Request) -> FrozenList:
    """Asks every database, unless somebody has within five seconds; one that is down is told of."""
    return listed(await services(request).frozen.fresh())


def listed(found: Found) -> FrozenList:
    reports = found.reports
    return FrozenList(
        count=reports.count,
        items=[row(one) for one in everything(reports)[:MOST_PER_PAGE]],
        off_count=len(reports.off),
        off=[row(one) for one in reports.off[:MOST_PER_PAGE]],
        unreachable=[
            UnreachableDatabase(database_id=one.database_id, reason=one.reason) for one in reports.unreachable
        ],
        looked_at=found.at,
    )


def row(one: FrozenMatview | FrozenStatus) -> FrozenRow:
    reason = None if one.kept is None else why_kept(one, one.kept)
    if isinstance(one, FrozenStatus):
        its = one.row
        return FrozenRow(
            table_name=its.table_name,
            database_id=None,
            matview=None,
            manifest=its.identity,
            report_name=its.report_name,
            agency_slug=its.agency_slug,
            why="gone",
            now_table=None,
            now_database_id=None,
            last_refreshed=None,
            about_bytes=None,
            kept=_kept(one.kept),
            reason=reason,
        )
    return FrozenRow(
        table_name=one.table_name,
        database_id=one.database_id,
        matview=str(one.stamped.name),
        manifest=one.manifest,
        report_name=one.report_name,
        agency_slug=one.agency_slug,
        why=one.why.value,
        now_table=one.now_table,
        now_database_id=one.now_database_id,
        last_refreshed=one.last_refreshed,
        about_bytes=one.stamped.about_bytes,
        kept=_kept(one.kept),
        reason=reason,
    )


def _kept(kept: Kept | None) -> WhyKept | None:
    return None if kept is None else kept.value
