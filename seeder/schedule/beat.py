"""When beat sends what: its entries as data made from the settings, and the kind of tick they go by."""

import math
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from celery.schedules import BaseSchedule

from seeder.config.settings import Settings
from seeder.schedule.ticks import GRACE, latest_tick, next_tick


class Ticks(BaseSchedule):
    """The ticks of a cron expression in a time zone, as ``planning`` reads them too.

    Celery's own crontab takes a day of the month and a day of the week as *and* where cron takes them as
    *or*, and in autumn leaves out the repeated hour's second pass of entries finer than a day (5.7.0).
    """

    def __init__(
        self, expression: str, zone: str, deadline: float = math.inf, nowfun: Any = None, app: Any = None
    ) -> None:
        super().__init__(nowfun=nowfun, app=app)
        self.expression = expression
        self.zone = zone
        #: For so many seconds after a tick beat, if it slept through it, fires for it.
        self.deadline = deadline

    def is_due(self, last_run_at: datetime) -> tuple[bool, float]:
        """Whether to fire for the latest tick, and in how many seconds to ask again.

        Where the clock was set back, whether that tick has been fired for can't be told; doing so again is
        harmless.
        """
        now, zone = self.now(), ZoneInfo(self.zone)
        tick = latest_tick(self.expression, zone, now)
        due = not tick <= last_run_at <= now and (now - tick).total_seconds() <= self.deadline
        return due, (next_tick(self.expression, zone, now) - now).total_seconds()

    # Beat keeps its entries in a file, and asks whether the configured one is still the one it kept.

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._key()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ticks) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"<ticks: {self.expression} {self.zone}>"

    def _key(self) -> tuple[str, str, float]:
        return self.expression, self.zone, self.deadline


def beat_schedule(settings: Settings) -> dict[str, dict[str, Any]]:
    """name → entry, https://docs.celeryq.dev/en/stable/userguide/periodic-tasks.html#entries"""
    # A tick that isn't late yet is never too late.
    deadline = max(settings.catch_up, GRACE.total_seconds())
    return {
        "refresh everything": {
            "task": "seeder.refresh_all",
            "schedule": Ticks(settings.schedule, settings.timezone, deadline),
            # All beats that fire for one tick mean the same seeding.
            "kwargs": {"scheduled": True},
            # Nor does a message that no worker took run a tick at noon.
            "options": {"expires": deadline},
        },
    }
