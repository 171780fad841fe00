"""Writes that must not be lost: they are tried again while the reporting database is unavailable.

Celery swallows what a signal handler raises, so a transition that can't be written would simply be missing,
and the run would look lost. One that can't be written because of what it says (a column of its owners' that
is too short for it, a character that nothing can encode) ends the run as an error in plain words instead.
What still could not be written in the time given is left to the sweep, which finds the run without its lock.
"""

import random
import threading
import time
from collections.abc import Callable

import psycopg2
import structlog
from psycopg2 import errorcodes

from seeder.postgres.failures import one_line
from seeder.postgres.sqlstates import is_passing

log = structlog.get_logger(__name__)

#: How long a write is tried: a restart of PostgreSQL, recovery included, usually fits; no shutdown is held up
#: for longer.
WRITING_SECONDS = 60.0
LONGEST_PAUSE_SECONDS = 5.0

#: Set when this process is to end at once. A write that was hit by the cancel of what it records still gets
#: through in this time; one that waits for a server doesn't.
CLOSING = threading.Event()
CLOSING_SECONDS = 1.0

#: Classes of SQLSTATE that are about what is written: data exceptions, constraints, program limits.
ABOUT_THE_WORDS = ("22", "23", "54")

#: In ASCII, and short: these words must go where the others didn't.
LAST_WORDS = "The {what} can't be recorded ({reason}). The worker's log has the details."


def insist(
    write: Callable[[], object],
    what: str,
    run_id: str,
    *,
    patience: float = WRITING_SECONDS,
    otherwise: Callable[[str], object] | None = None,
) -> bool:
    """Do the write, again and again while the failure may pass; says whether it was done.

    ``what`` is written, and of which run, for messages. Where it can't be written because of what it says,
    ``otherwise`` is called with words for an error.
    """
    started = time.monotonic()
    pause = 0.1
    while True:
        try:
            write()
        except psycopg2.Error as error:
            reason = one_line(error)
            limit = min(patience, CLOSING_SECONDS) if CLOSING.is_set() else patience
            if otherwise and (error.pgcode or "")[:2] in ABOUT_THE_WORDS:
                return _last_words(otherwise, what, run_id, str(error.pgcode), reason)
            if not _may_pass(error) or time.monotonic() - started >= limit:
                log.error(
                    "could not be recorded; the sweep settles it", what=what, run_id=run_id, reason=reason
                )
                return False
            log.warning("not recorded yet", what=what, run_id=run_id, reason=reason)
            # Full jitter: many workers wait for the same server.
            nap = random.uniform(0, pause)  # noqa: S311 - no secret is drawn here
            if CLOSING.wait(nap):
                time.sleep(min(nap, CLOSING_SECONDS / 10))
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        except Exception as error:
            if otherwise is None:
                raise
            log.exception("a bug in seeder, found in recording", what=what, run_id=run_id)
            return _last_words(otherwise, what, run_id, type(error).__name__, one_line(error))
        else:
            return True


def _last_words(record: Callable[[str], object], what: str, run_id: str, reason: str, details: str) -> bool:
    log.error("can't be recorded as it is", what=what, run_id=run_id, reason=details)
    words = LAST_WORDS.format(what=what, reason=reason)
    return insist(lambda: record(words), "last words", run_id)


def _may_pass(error: psycopg2.Error) -> bool:
    """A cancel that was meant for the refresh, and came a moment late, hits the record's own statement."""
    return is_passing(error) or error.pgcode == errorcodes.QUERY_CANCELED
