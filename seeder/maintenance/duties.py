"""The background duties, each with its interval, its batch and a time limit on its statements.

A duty is one object here and one file beside it that carries it out. Each execution logs one line: at INFO if
it did something, else at DEBUG. A failure is logged by the caller, and the next execution tries again.
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
    #: The first word of its line in the log.
    name: str
    #: Seconds between two executions.
    interval: float
    #: How much is done at a time; the rest is left to the next.
    batch: int
    #: Limit on each of its SQL statements, in seconds, 0 is none; a shorter statement_timeout of the server's
    #: or the role's own stays in force.
    statement_seconds: float

    @contextmanager
    def carried_out(self, databases: Databases) -> Iterator[dict[str, object]]:
        """In the block statements are limited. What the block puts into the dictionary is logged."""
        facts: dict[str, object] = {}
        began = time.monotonic()
        with databases.limited_to(self.statement_seconds):
            yield facts
        tell = log.info if any(facts.values()) else log.debug
        tell(self.name, **facts, seconds=round(time.monotonic() - began, 1))


#: Settles lost runs (sweep.py, lost_runs.py). The batch is a number of runs: a sweep should end before the
#: next one begins.
SWEEP = Duty("sweep", interval=60.0, batch=5000, statement_seconds=30.0)

#: Deletes old runs and what dead ones left (prune.py). The batch is the number of rows that one statement
#: deletes.
PRUNE = Duty("prune", interval=6 * 3600.0, batch=5000, statement_seconds=60.0)

#: Compares reports that were called unchanged with their queries (audit.py), after each scheduled seeding;
#: whether one is over is asked so often. Each comparison has the time limit of a refresh. The batch is how
#: many reports a person has compared without saying how many, where SEEDER_AUDIT is 0.
AUDIT = Duty("audit", interval=600.0, batch=20, statement_seconds=0.0)

#: Checks that the schedule is kept and that sweeps take place (watchdog.py, sweep_requests.py), one tick at a
#: time.
WATCHDOG = Duty("watchdog", interval=30.0, batch=1, statement_seconds=10.0)


def beat_entries() -> dict[str, dict[str, Any]]:
    """The entries of the duties that beat starts, https://docs.celeryq.dev/en/stable/userguide/periodic-tasks.html#entries"""
    return {
        "settle lost runs": {
            "task": "seeder.sweep",
            "schedule": SWEEP.interval,
            # A sweep that waited longer has been overtaken by the next.
            "options": {"expires": SWEEP.interval},
        },
        "prune old runs": {
            "task": "seeder.prune",
            # At fixed times: if beat loses its file at each restart, an interval would start again.
            "schedule": crontab(minute="17", hour=f"*/{PRUNE.interval / 3600:.0f}"),
        },
        "audit what was skipped": {
            "task": "seeder.audit",
            "schedule": AUDIT.interval,
            "options": {"expires": AUDIT.interval},
        },
    }
