"""Beat's entry for the schedule, and the schedule class it uses."""

import math
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from celery.schedules import BaseSchedule

from seeder.config.settings import Settings
from seeder.schedule.ticks import GRACE, latest_tick, next_tick


class Ticks(BaseSchedule):
    """The ticks of a cron expression in a time zone, the same ones that seedings are planned by.

    Celery's own crontab takes a day of the month and a day of the week as *and* where cron takes them as
    *or*, and in autumn leaves out the repeated hour's second pass of entries finer than a day (5.7.0).
    """

    def __init__(
        self, expression: str, zone: str, deadline: float = math.inf, nowfun: Any = None, app: Any = None
    ) -> None:
        super().__init__(nowfun=nowfun, app=app)
        self.expression = expression
        self.zone = zone
        #: How many seconds after a tick that beat has missed it is still sent.
        self.deadline = deadline

    def is_due(self, last_run_at: datetime) -> tuple[bool, float]:
        """Whether the latest tick is due, and in how many seconds to ask again.

        If the clock was set back, it isn't known whether that tick was sent already; sending it again is
        harmless.
        """
        now, zone = self.now(), ZoneInfo(self.zone)
        tick = latest_tick(self.expression, zone, now)
        due = not tick <= last_run_at <= now and (now - tick).total_seconds() <= self.deadline
        return due, (next_tick(self.expression, zone, now) - now).total_seconds()

    # Beat keeps its entries in a file, and compares them with the configured ones.

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
    # Within its grace a tick is never too late.
    deadline = max(settings.catch_up, GRACE.total_seconds())
    return {
        "refresh everything": {
            "task": "seeder.refresh_all",
            "schedule": Ticks(settings.schedule, settings.timezone, deadline),
            # All beats that send one tick start the same seeding.
            "kwargs": {"scheduled": True},
            # A message that no worker has taken by then is too late, too.
            "options": {"expires": deadline},
        },
    }
