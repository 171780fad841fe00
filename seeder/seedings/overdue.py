"""Whether the schedule is kept: told from the schedule and the record alone, by one rule for all who ask."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from seeder.config.settings import Settings
from seeder.equipment import Equipment
from seeder.history import HistoryRepository
from seeder.manifests import ManifestReader
from seeder.postgres.databases import Databases
from seeder.run_ids import tick_seeding_id
from seeder.schedule.ticks import GRACE, latest_tick, ticks_from
from seeder.seedings.planning import Selection, plan

NOW = """
select clock_timestamp() as now
"""


@dataclass(frozen=True)
class LateTick:
    """A tick of the schedule that nothing ran, nor any after it."""

    tick: datetime
    seeding_id: str
    #: Whether it is too late to run it (SEEDER_CATCH_UP).
    missed: bool


class DueTicks:
    """Asks the reporting database, whose methods raise psycopg2.Error where it can't be asked."""

    def __init__(
        self,
        databases: Databases,
        history: HistoryRepository,
        manifests: ManifestReader,
        settings: Settings,
    ) -> None:
        self._databases = databases
        self._history = history
        self._manifests = manifests
        self._schedule = (settings.schedule, settings.zone)
        self._catch_up = timedelta(seconds=settings.catch_up)

    @classmethod
    def of(cls, equipment: Equipment) -> Self:
        """Of a process' own."""
        return cls(equipment.databases, equipment.history, equipment.manifests, equipment.settings)

    def now(self) -> datetime:
        """By the reporting database's clock, the only one that all processes share."""
        with self._databases.session() as session:
            now: datetime = session.row(NOW).now
        return now

    def due_tick(self, now: datetime) -> datetime:
        """The latest tick whose seeding should be in the record by now."""
        return latest_tick(*self._schedule, now - GRACE)

    def is_too_late(self, tick: datetime, now: datetime) -> bool:
        """Whether it is too late to run that tick."""
        return now - tick > self._catch_up

    def late_tick(self, now: datetime, here_since: datetime | None = None) -> LateTick | None:
        """The tick that is due, where there is no seeding of it nor of a later one.

        Nobody missed a tick from before seeder was here: before the oldest run that is still known, and
        before ``here_since``, the beginning of the process that asks.
        """
        due = self.due_tick(now)
        seedings = [tick_seeding_id(tick) for tick in ticks_from(*self._schedule, due, now)]
        recorded, first_record = self._history.recorded(seedings)
        began = min((one for one in (first_record, here_since) if one), default=None)
        if recorded or began is None or began > due or not self._has_runs_to_begin(due):
            return None
        return LateTick(due, tick_seeding_id(due), self.is_too_late(due, now))

    def _has_runs_to_begin(self, tick: datetime) -> bool:
        """Whether a seeding of that tick would have left a run in the record."""
        with self._databases.session() as session:
            enabled = self._manifests.every(session)
        if not enabled:
            return False
        planned = plan(tick_seeding_id(tick), enabled, Selection(), self._databases, {}).planned
        waited = self._history.waited_at(tick, {one.run.table_name for one in planned})
        # All of them waited in an earlier tick's run, which does the work (docs/decisions/overlap.md).
        return not planned or any((one.run.report_type, one.run.manifest_id) not in waited for one in planned)
