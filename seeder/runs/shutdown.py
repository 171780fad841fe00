"""What becomes of runs whose worker is stopped, whose task is revoked, or that exceed Celery's time limits.

Celery's warm shutdown (the first SIGTERM or SIGINT) takes nothing new and waits for what runs; that is left
as it is. Its cold one (SIGQUIT, a second SIGINT) loses an acknowledged task in ``prefork`` and waits for it
in ``threads`` (Celery 5.7.0), so here each running run is taken from its task: its statement is ended in the
database, its row goes back to pending, and its message back on the queue. A second SIGTERM, and
SEEDER_SHUTDOWN_GRACE seconds after the first signal, turn the shutdown cold too.
"""

from typing import Any

import psycopg2
import structlog
from celery import Celery

from seeder.broker.messages import publish_again
from seeder.broker.requests import InterruptibleRequest
from seeder.equipment import equipment, new_equipment
from seeder.errors import SeederError
from seeder.postgres.failures import one_line
from seeder.runs.cancelling import Cancellation, Ending
from seeder.runs.recording import CLOSING

log = structlog.get_logger(__name__)

HANDED_BACK = "The worker was shut down in the middle of the run; it is queued again."
TIMED_OUT = (
    "Ended by Celery's {which} time limit of {seconds:g} s ({setting}, set in celeryconfig.py or with the "
    "worker's options). Make the query cheaper, or raise the limit."
)


class RunRequest(InterruptibleRequest):
    """A run as the worker's main process sees it, whichever pool it runs in."""

    closing = CLOSING

    @staticmethod
    def hand_back(app: Celery, request: Any) -> None:
        hand_back(app, request)

    @staticmethod
    def timed_out(request: Any, seconds: float, *, soft: bool) -> None:
        end_timed_out(request, seconds, soft=soft)


def hand_back(app: Celery, request: Any) -> None:
    """→ pending and queued again, as the same try; what can't be done is left to the sweep."""
    run_id = request.id
    fresh = new_equipment()
    try:
        databases = [request.kwargs.get("database_id")]
        stopped = Cancellation.of(fresh).stop(
            run_id, Ending.HANDED_BACK, HANDED_BACK, databases, attempt=request.retries
        )
        if stopped and stopped.moved and stopped.ended and fresh.history.still_pending([run_id]):
            with app.connection_for_write() as connection:
                publish_again(app, request, connection)
    except Exception as error:  # noqa: BLE001 - Celery's shutdown must go on, whatever is out of reach
        log.error("run not handed back; the sweep settles it", run_id=run_id, reason=one_line(error))
    finally:
        fresh.databases.dispose()


def end_revoked(run_id: str, kwargs: dict[str, Any], by: str) -> None:
    """→ error, as cancelled; the statement is cancelled too, whichever worker the run is on."""
    _stop(run_id, Ending.CANCELLED, by, kwargs)


def end_timed_out(request: Any, seconds: float, *, soft: bool) -> None:
    """→ error, and the statement is cancelled, if the attempt is this worker's."""
    which, setting = ("soft", "task_soft_time_limit") if soft else ("hard", "task_time_limit")
    words = TIMED_OUT.format(which=which, seconds=seconds, setting=setting)
    _stop(request.id, Ending.FAILED, words, request.kwargs, attempt=request.retries)


def _stop(
    run_id: str, ending: Ending, words: str, kwargs: dict[str, Any], attempt: int | None = None
) -> None:
    """What can't be done is left to the sweep."""
    try:
        Cancellation.of(equipment()).stop(run_id, ending, words, [kwargs.get("database_id")], attempt=attempt)
    except (psycopg2.Error, SeederError) as error:
        log.error("run not ended; the sweep settles it", run_id=run_id, reason=one_line(error))
