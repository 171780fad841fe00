"""Writes that must not be lost: tried again while the reporting database is away.

Celery swallows what a signal handler raises, so a transition that can't be written would simply be missing.
What still could not be written in the time given is left to the sweep, which finds the run without its lock.
"""

import random
import time
from collections.abc import Callable

import psycopg2
import structlog

from seeder.failures import is_passing, one_line

log = structlog.get_logger(__name__)

#: A restart of PostgreSQL, recovery included, usually fits; no shutdown is held up for longer.
PATIENCE_SECONDS = 60.0
LONGEST_PAUSE_SECONDS = 5.0


def insist(write: Callable[[], object], what: str, *, patience: float = PATIENCE_SECONDS) -> bool:
    """Do the write, again and again while the failure may pass; says whether it was done."""
    deadline = time.monotonic() + patience
    pause = 0.1
    while True:
        try:
            write()
        except psycopg2.Error as error:
            reason = one_line(error)
            if not is_passing(error) or time.monotonic() >= deadline:
                log.error("could not be recorded; the sweep settles it", what=what, reason=reason)
                return False
            log.warning("not recorded yet", what=what, reason=reason)
            # Full jitter: many workers wait for the same server.
            time.sleep(random.uniform(0, pause))  # noqa: S311 - no secret is drawn here
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        else:
            return True
