"""Celery's log lines: which are left out, lowered or cut, by the objects that they are made of.

They are what a worker's or beat's log shows of a run beside our own lines (seeder.logs).
"""

import logging
import sys
import time
from collections.abc import Callable, Collection, Mapping

from seeder.broker.messages import TROUBLE
from seeder.errors import TurnAwaited
from seeder.wording import shortened

#: A run that is next in line tries again every two seconds, for as long as the refresh before it may take.
REPEATED_AFTER_SECONDS = 300.0
#: The task that beat sends each minute.
SWEEP = "seeder.sweep"
#: How many waiting runs are remembered before those whose five minutes are over are forgotten.
REMEMBERED = 1000


class SeldomWaiting(logging.Filter):
    """Lets one line in five minutes through about each run that waits its turn.

    To Celery each wait is a retry, with a line of its own. That line has the reason as text only, but
    celery/app/trace.py (5.7) logs it while it handles the Retry, whose ``exc`` is the error itself.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._told: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not isinstance(getattr(sys.exception(), "exc", None), TurnAwaited):
            return True
        about: Mapping[str, object] = getattr(record, "data", {})
        run_id, now = str(about.get("id")), self._clock()
        if now - self._told.get(run_id, float("-inf")) < REPEATED_AFTER_SECONDS:
            return False
        if len(self._told) >= REMEMBERED:
            # Of a copy: another thread of the pool may tell of its run meanwhile.
            told_of = self._told.copy().items()
            self._told = {one: told for one, told in told_of if now - told < REPEATED_AFTER_SECONDS}
        self._told[run_id] = now
        return True


class QuietSweeps(logging.Filter):
    """Lowers Celery's lines about a sweep that went well to DEBUG: there is a sweep each minute, and most
    find nothing to do. One that does logs it itself."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno != logging.INFO or SWEEP not in _what_it_is_about(record):
            return True
        record.levelno, record.levelname = logging.DEBUG, logging.getLevelName(logging.DEBUG)
        return logging.getLogger(record.name).isEnabledFor(logging.DEBUG)


class NoResults(logging.Filter):
    """Drops the warning that a revoke could not be stored as a result. Seeder keeps no results, and each
    worker would warn for each id as if the revoke had failed (celery/worker/control.py, 5.7)."""

    def filter(self, record: logging.LogRecord) -> bool:
        facts = record.args if isinstance(record.args, tuple) else ()
        # A result backend that somebody has configured fails in another way.
        return not any(isinstance(fact, NotImplementedError) for fact in facts)


class LostConnections(logging.Filter):
    """Takes the traceback from the lines that a message could not be acknowledged, or the connection not be
    closed, since Redis had gone.

    The message is delivered again, and passed over as its run has ended; kombu/message.py (5.7) calls that
    critical.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and isinstance(record.exc_info[1], TROUBLE):
            record.exc_info = None
            record.levelno, record.levelname = logging.WARNING, logging.getLevelName(logging.WARNING)
        return True


class Shortened(logging.Filter):
    """Cuts Celery's lines about a task as the record cuts an error, tracebacks included: PostgreSQL quotes
    the value that it could not read, however long that is."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if (short := shortened(message)) != message:
            record.msg, record.args = short, ()
        if record.exc_info:
            # A formatter takes this rather than make it anew.
            record.exc_text = shortened(logging.Formatter().formatException(record.exc_info))
        return True


def _what_it_is_about(record: logging.LogRecord) -> Collection[object]:
    """The facts of a line of Celery's (5.7): worker/strategy.py and app/trace.py give them by name, beat.py
    by position."""
    facts = record.args or ()
    return list(facts.values()) if isinstance(facts, Mapping) else facts


SELDOM_WAITING = SeldomWaiting()
QUIET_SWEEPS = QuietSweeps()
NO_RESULTS = NoResults()
LOST_CONNECTIONS = LostConnections()
SHORTENED = Shortened()


def install() -> None:
    """Once in each process that is Celery's."""
    logging.getLogger("celery.app.trace").addFilter(SELDOM_WAITING)
    logging.getLogger("celery.worker.control").addFilter(NO_RESULTS)
    for name in ("celery.app.trace", "celery.worker.strategy", "celery.beat"):
        logging.getLogger(name).addFilter(QUIET_SWEEPS)
    # celery/worker/request.py hands its logger to kombu's message; loops.py closes what is left of a loop.
    for name in ("celery.worker.request", "celery.worker.loops"):
        logging.getLogger(name).addFilter(LOST_CONNECTIONS)
    # Last, since it may leave no facts to look at.
    for name in ("celery.app.trace", "celery.worker.request"):
        logging.getLogger(name).addFilter(SHORTENED)
