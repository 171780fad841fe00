"""The endpoint that sums up all jobs and recent seedings."""

from datetime import UTC, datetime
from functools import lru_cache

from fastapi import APIRouter, Request, Response

from seeder.config.settings import Settings
from seeder.history import Standing
from seeder.history.pages import RunPages, SeedingCounts
from seeder.monitoring import Snapshot
from seeder.monitoring.jobs import FLAGS
from seeder.monitoring.seedings import expected_end, latest_seedings, left_of
from seeder.run_ids import is_scheduled
from seeder.seedings.overdue import DueTicks, LateTick
from seeder.web.api.answers import ERRORS, UNCHANGED, answer, json_bytes, matches, unchanged, version_tag
from seeder.web.services import Services, services
from seeder.web.wire.summary import FlagCounts, ScheduleRow, SeedingRow, StatusCounts, Summary

router = APIRouter(tags=["summary"], responses=ERRORS | UNCHANGED)

#: Seedings looked at for one that has ended: newer ones may have runs left that no job shows any more.
CANDIDATES = 3


@router.get("/api/summary", response_model=Summary, summary="Counts, seedings, schedule")
async def summary(request: Request) -> Response:
    """How many jobs are in which status and have which flag, how seedings stand, whether one was missed."""
    here = services(request)
    snapshot = await here.live.fresh()
    due = due_now(here)
    tag = version_tag(request, snapshot.version, "summary", *due)
    if matches(request, tag):
        return unchanged(tag)
    made = await summary_of(here, snapshot, due)
    return answer(request, tag, lambda: snapshot.kept(("summary as JSON", due), lambda: json_bytes(made)))


async def summary_of(here: Services, snapshot: Snapshot, due: tuple[datetime, bool]) -> Summary:
    """Made once per snapshot, however many ask."""
    equipment = here.equipment
    return await here.live.once_per_version(
        ("summary", due),
        snapshot,
        lambda: summarised(
            snapshot, here.runs, equipment.settings, DueTicks.of(equipment).late_tick(_this_minute())
        ),
    )


def due_now(here: Services) -> tuple[datetime, bool]:
    """The tick that is due, and whether it is too late to run it: what the passing of time changes."""
    return _due(DueTicks.of(here.equipment), _this_minute())


def _this_minute() -> datetime:
    """Ticks are whole minutes, so that what is told of them changes with no job."""
    return datetime.now(UTC).replace(second=0, microsecond=0)


@lru_cache(maxsize=16)
def _due(due_ticks: DueTicks, minute: datetime) -> tuple[datetime, bool]:
    due = due_ticks.due_tick(minute)
    return due, due_ticks.is_too_late(due, minute)


def summarised(snapshot: Snapshot, runs: RunPages, settings: Settings, late: LateTick | None) -> Summary:
    """Asks the database about at most a few seedings; call it in a thread."""
    running, ended = latest_seedings(snapshot.jobs)
    now = snapshot.clock.now
    current = next((row for one in running[:1] if (row := _row(one, runs.seeding(one), snapshot, now))), None)
    if current is not None and not ended and (before := runs.seeding_before(current.recorded_at)):
        # It has taken over all tables from the one before.
        ended = [before]
    last = next((row for one in ended[:CANDIDATES] if (row := _ended(one, runs.seeding(one)))), None)
    counts = snapshot.standing_counts
    return Summary(
        jobs=len(snapshot.jobs),
        status=StatusCounts(
            **{standing: counts.get(standing, 0) for standing in Standing},
            never_run=counts.get(None, 0),
        ),
        flags=FlagCounts(**{FLAGS[name]: count for name, count in snapshot.flag_counts.items()}),
        running=current,
        last=last,
        schedule=_schedule(snapshot, settings, late),
    )


def _ended(seeding_id: str, counts: SeedingCounts) -> SeedingRow | None:
    if counts.recorded_at is None or counts.pending or counts.running:
        return None
    return _seeding(seeding_id, counts, counts.finish_time, None)


def _row(seeding_id: str, counts: SeedingCounts, snapshot: Snapshot, now: datetime) -> SeedingRow | None:
    if counts.recorded_at is None:
        return None
    end = expected_end(counts, left_of(seeding_id, snapshot.jobs), now)
    return _seeding(seeding_id, counts, None, end)


def _seeding(
    seeding_id: str, counts: SeedingCounts, finish_time: datetime | None, end: datetime | None
) -> SeedingRow:
    assert counts.recorded_at is not None
    return SeedingRow(
        seeding_id=seeding_id,
        scheduled=is_scheduled(seeding_id),
        recorded_at=counts.recorded_at,
        finish_time=finish_time,
        expected_end=end,
        runs=counts.runs,
        pending=counts.pending,
        running=counts.running,
        success=counts.success,
        error=counts.error,
        cancelled=counts.cancelled,
        not_run=counts.not_run,
    )


def _schedule(snapshot: Snapshot, settings: Settings, late: LateTick | None) -> ScheduleRow:
    tick = late.tick if late else None
    missed = late is not None and late.missed
    return ScheduleRow(
        expression=settings.schedule,
        timezone=settings.timezone,
        last_tick=snapshot.clock.last_tick,
        next_tick=snapshot.clock.next_run,
        missed=missed,
        missed_tick=tick if missed else None,
        late_tick=None if missed else tick,
    )
