"""Our log lines: one event with its facts as key=value, through the standard library's logging."""

import logging
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

import structlog
from structlog.typing import Processor

from seeder.errors import WAITS

#: The first of those that wait for a turn tries every two seconds, for as long as a refresh may take.
REPEATED_AFTER_SECONDS = 300.0
#: The task that comes each minute.
SWEEP = "seeder.sweep"
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


class QuietSweeps(logging.Filter):
    """Makes Celery's lines about a sweep that went well ones of level DEBUG: there is one each minute, mostly
    of nothing. What a sweep did it says itself."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno != logging.INFO or SWEEP not in _what_it_is_about(record):
            return True
        record.levelno, record.levelname = logging.DEBUG, logging.getLevelName(logging.DEBUG)
        return logging.getLogger(record.name).isEnabledFor(logging.DEBUG)


class NoResults(logging.Filter):
    """Leaves out that a revoke couldn't be noted as a result, since no results are kept: each worker warns of
    it for each id, as of a failure, although the revoke works (celery/worker/control.py, 5.7)."""

    def filter(self, record: logging.LogRecord) -> bool:
        facts = record.args if isinstance(record.args, tuple) else ()
        # That of a result backend which is configured is of another kind.
        return not any(isinstance(fact, NotImplementedError) for fact in facts)


def _what_it_is_about(record: logging.LogRecord) -> Collection[Any]:
    """celery/worker/strategy.py and celery/app/trace.py (5.7) give facts by name, celery/beat.py in a row."""
    facts = record.args or ()
    return list(facts.values()) if isinstance(facts, Mapping) else facts


#: One list for good: a logger keeps to the one with which it was used first.
PROCESSORS: list[Processor] = [
    structlog.stdlib.filter_by_level,
    structlog.processors.format_exc_info,
    structlog.processors.LogfmtRenderer(key_order=["event"], drop_missing=True),
]

SELDOM_WAITING = SeldomWaiting()
QUIET_SWEEPS = QuietSweeps()
NO_RESULTS = NoResults()


def configure() -> None:
    """Called by the entry points; Celery's own handlers and formats then apply to our lines too."""
    logging.getLogger("celery.app.trace").addFilter(SELDOM_WAITING)
    logging.getLogger("celery.worker.control").addFilter(NO_RESULTS)
    for name in ("celery.app.trace", "celery.worker.strategy", "celery.beat"):
        logging.getLogger(name).addFilter(QUIET_SWEEPS)
    structlog.configure(
        processors=PROCESSORS,
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def follow(celery_level: int) -> None:
    """Set the level of our lines, once Celery has set its own. Its default, WARNING, would leave unsaid what
    a worker does and what failed, and its INFO is two lines for every run."""
    ours = logging.INFO if celery_level == logging.WARNING else logging.NOTSET
    logging.getLogger("seeder").setLevel(ours)
