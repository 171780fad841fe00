"""What repeats in the background: each duty with its interval, its batch and a time limit on its statements.

A duty is one object here and one file beside it that carries it out. Each time, it is one line of the log: at
INFO where it did something, else at DEBUG. One that fails is told of by whoever started it, and comes again.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from celery.schedules import crontab

from seeder.postgres.databases import Databases

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Duty:
    #: What its line in the log begins with.
    name: str
    #: Seconds from one time to the next.
    interval: float
    #: How much it takes on at a time; what is left is for the next.
    batch: int
    #: Seconds that each of its statements may take in a database; the server's or the role's own
    #: statement_timeout applies where that is shorter.
    statement_seconds: float

    @contextmanager
    def carried_out(self, databases: Databases) -> Iterator[dict[str, Any]]:
        """The block's statements are limited; what it puts into the dictionary are the line's facts."""
        facts: dict[str, Any] = {}
        began = time.monotonic()
        with databases.limited_to(self.statement_seconds):
            yield facts
        tell = log.info if any(facts.values()) else log.debug
        tell(self.name, **facts, seconds=round(time.monotonic() - began, 1))


#: Settles lost runs (sweep.py, lost_runs.py). Its batch are runs; those of a whole night are settled within a
#: few minutes, and no sweep takes longer than the interval.
SWEEP = Duty("sweep", interval=60.0, batch=5000, statement_seconds=30.0)

#: Deletes old runs and what dead ones left (prune.py). Its batch are rows that one statement deletes.
PRUNE = Duty("prune", interval=6 * 3600.0, batch=5000, statement_seconds=60.0)

#: Checks that the schedule is kept and that sweeps come (watchdog.py, sweep_requests.py). Its batch is one
#: tick.
WATCHDOG = Duty("watchdog", interval=30.0, batch=1, statement_seconds=10.0)


def beat_entries() -> dict[str, dict[str, Any]]:
    """Of those that beat sends, https://docs.celeryq.dev/en/stable/userguide/periodic-tasks.html#entries"""
    return {
        "settle lost runs": {
            "task": "seeder.sweep",
            "schedule": SWEEP.interval,
            # A sweep that waited longer has been overtaken by the next.
            "options": {"expires": SWEEP.interval},
        },
        "prune old runs": {
            "task": "seeder.prune",
            # At times of the day: where beat loses its file at each restart, an interval would begin anew.
            "schedule": crontab(minute="17", hour=f"*/{PRUNE.interval / 3600:.0f}"),
        },
    }
