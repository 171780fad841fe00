"""Our log lines: one event with its facts as key=value, through the standard library's logging."""

import logging
import time
from collections.abc import Callable

import structlog

from seeder.errors import WAITS

#: The first of those that wait for a turn tries every two seconds, for as long as a refresh may take.
REPEATED_AFTER_SECONDS = 300.0
#: Runs whose last line is remembered before those of long ago are forgotten.
REMEMBERED = 1000


class SeldomWaiting(logging.Filter):
    """Of Celery's lines about a run that waits its turn, each of which is a retry to Celery, lets one through
    in five minutes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._told: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        # celery/app/trace.py (5.7) hands over what its line is about.
        about = getattr(record, "data", None) or {}
        if not str(about.get("exc", "")).endswith(WAITS):
            return True
        run_id, now = str(about.get("id")), self._clock()
        if now - self._told.get(run_id, float("-inf")) < REPEATED_AFTER_SECONDS:
            return False
        if len(self._told) >= REMEMBERED:
            self._told = {
                one: told for one, told in self._told.items() if now - told < REPEATED_AFTER_SECONDS
            }
        self._told[run_id] = now
        return True


SELDOM_WAITING = SeldomWaiting()


def configure() -> None:
    """Called by the entry points; Celery's own handlers and formats then apply to our lines too."""
    logging.getLogger("celery.app.trace").addFilter(SELDOM_WAITING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(key_order=["event"], drop_missing=True),
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
