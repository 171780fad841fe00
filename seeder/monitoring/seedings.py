"""How far a seeding is, and when it is expected to end."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from seeder.history.pages import SeedingCounts
from seeder.models import RunStatus
from seeder.monitoring.jobs import MonitoredJob
from seeder.run_ids import seeding_moment, seeding_of

UNFINISHED = (RunStatus.PENDING, RunStatus.RUNNING)


@dataclass(frozen=True)
class Left:
    """A run that hasn't ended: what its job usually takes, and when it began if it is at work."""

    usual_seconds: int | None
    began: datetime | None


def latest_seedings(jobs: Iterable[MonitoredJob]) -> tuple[list[str], list[str]]:
    """The seedings of the jobs' last runs, newest first: those with a run left, and the others."""
    moments: dict[str, datetime] = {}
    running: set[str] = set()
    for one in jobs:
        seeding_id = seeding_of(one.job.last_run_id or "")
        if seeding_id not in moments:
            moment = seeding_moment(seeding_id)
            if moment is None:
                continue
            moments[seeding_id] = moment
        if one.job.status in UNFINISHED:
            running.add(seeding_id)
    newest_first = sorted(moments, key=lambda seeding_id: (moments[seeding_id], seeding_id), reverse=True)
    return (
        [one for one in newest_first if one in running],
        [one for one in newest_first if one not in running],
    )


def left_of(seeding_id: str, jobs: Iterable[MonitoredJob]) -> list[Left]:
    """Its runs that haven't ended, by the jobs that show them."""
    return [
        Left(one.usual_seconds, one.job.start_time if one.job.status == RunStatus.RUNNING else None)
        for one in jobs
        if one.job.status in UNFINISHED and seeding_of(one.job.last_run_id or "") == seeding_id
    ]


def expected_end(counts: SeedingCounts, left: Sequence[Left], now: datetime) -> datetime | None:
    """When the last of its runs will have ended, if each takes as long as usual.

    So far its ended runs took ``worked_seconds`` together in the time since it was recorded: as many run side
    by side as that is times that time, and go on doing so. Whatever that gives, the longest run alone must
    still fit. None where nothing is known of any duration.
    """
    if not left:
        return None
    known = [one.usual_seconds for one in left if one.usual_seconds is not None]
    if known:
        otherwise = float(median(known))
    elif counts.ended and counts.worked_seconds:
        otherwise = counts.worked_seconds / counts.ended
    else:
        return None
    seconds = [
        max(0.0, (otherwise if one.usual_seconds is None else one.usual_seconds) - _at_work(one, now))
        for one in left
    ]
    elapsed = (now - counts.recorded_at).total_seconds() if counts.recorded_at else 0.0
    side_by_side = (
        counts.worked_seconds / elapsed if elapsed > 0 and counts.worked_seconds else counts.running
    )
    return now + timedelta(seconds=max(sum(seconds) / max(side_by_side, 1.0), *seconds))


def _at_work(one: Left, now: datetime) -> float:
    return 0.0 if one.began is None else max(0.0, (now - one.began).total_seconds())
