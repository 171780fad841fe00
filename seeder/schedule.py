"""When beat sends what: its entries as data made from the settings, and the kind of tick they go by."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from celery.schedules import BaseSchedule, crontab, schedstate

from seeder.settings import Settings
from seeder.ticks import next_tick

#: Seconds between two sweeps.
SWEEP_EVERY = 60.0


class Ticks(BaseSchedule):
    """The ticks of a cron expression in a time zone, as ``planning`` reads them too.

    Celery's own crontab takes a day of the month and a day of the week as *and* where cron takes them as
    *or*, and in autumn leaves out the repeated hour's second pass of entries finer than a day (5.7.0).
    """

    def __init__(self, expression: str, zone: str, nowfun: Any = None, app: Any = None) -> None:
        super().__init__(nowfun=nowfun, app=app)
        self.expression = expression
        self.zone = zone

    def is_due(self, last_run_at: datetime) -> schedstate:
        """Whether a tick has passed since, and in how many seconds to ask again."""
        now = self.now()
        due = self._after(last_run_at) <= now
        return schedstate(due, (self._after(now if due else last_run_at) - now).total_seconds())

    def _after(self, moment: datetime) -> datetime:
        return next_tick(self.expression, ZoneInfo(self.zone), moment)

    # Beat keeps its entries in a file, and asks whether the configured one is still the one it kept.

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.expression, self.zone)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ticks) and (self.expression, self.zone) == (other.expression, other.zone)

    def __hash__(self) -> int:
        return hash((self.expression, self.zone))

    def __repr__(self) -> str:
        return f"<ticks: {self.expression} {self.zone}>"


def beat_schedule(settings: Settings) -> dict[str, dict[str, Any]]:
    """name → entry, https://docs.celeryq.dev/en/stable/userguide/periodic-tasks.html#entries"""
    return {
        "refresh everything": {
            "task": "seeder.refresh_all",
            "schedule": Ticks(settings.schedule, settings.timezone),
            # All beats that fire for one tick mean the same seeding.
            "kwargs": {"scheduled": True},
        },
        "settle lost runs": {
            "task": "seeder.sweep",
            "schedule": SWEEP_EVERY,
            # A sweep that waited longer has been overtaken by the next.
            "options": {"expires": SWEEP_EVERY},
        },
        "prune old runs": {
            "task": "seeder.prune",
            "schedule": crontab(minute="17", hour="*/6"),
        },
    }
