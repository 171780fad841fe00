"""Celery's signals to the record: the task works, these tell. They fire in the task's process and thread.

Celery swallows what a handler raises, so none of them may leave a run half told: what can't be claimed is
kept for the task to raise, and what can't be recorded is tried again and then left to the sweep.
"""

from functools import cache
from typing import Any

import structlog
from celery import signals
from celery.exceptions import TimeLimitExceeded, WorkerLostError

from seeder import logs
from seeder.app import app
from seeder.broker.messages import TROUBLE, is_awaited
from seeder.broker.queues import TASK
from seeder.broker.shutdown import ShutdownSteps
from seeder.equipment import equipment
from seeder.errors import Duplicate, SeederError, TurnAwaited
from seeder.history import Run
from seeder.models import RunStatus
from seeder.postgres.failures import one_line
from seeder.runs.claim import Claim, Claims
from seeder.runs.message import Message, NotClaimed
from seeder.runs.moments import Moments
from seeder.runs.recording import CLOSING, insist
from seeder.runs.shutdown import end_revoked, hand_back
from seeder.runs.waiting import DelayedRuns
from seeder.seedings.release import Release
from seeder.tasks import refresh_manifest
from seeder.wording import first_line

log = structlog.get_logger(__name__)

#: How far the shutdown of this process has come.
STEPS = ShutdownSteps()


@signals.task_prerun.connect(sender=refresh_manifest)
def claim_run(task_id: str, task: Any, args: Any, kwargs: dict[str, Any], **_: Any) -> None:
    """→ running, with the matview's lock."""
    try:
        message = task.request.message = Message.of(task_id, task.request.retries, *args, **kwargs)
        task.request.run = Claims.of(equipment(), moments()).claim(message)
    except Exception as error:  # noqa: BLE001 - Celery would swallow it; the task raises it
        task.request.run = NotClaimed(error)
        return
    if CLOSING.is_set():
        # Begun while the shutdown was taking the others from their tasks.
        task.request.run.release()
        task.request.run = NotClaimed(Duplicate(run_id=task_id))
        hand_back(app, task.request)


@signals.task_success.connect(sender=refresh_manifest)
def record_success(sender: Any, **_: Any) -> None:
    """→ success."""
    sender.request.run.succeed()


@signals.task_retry.connect(sender=refresh_manifest)
def record_retry(sender: Any, request: Any, reason: Any, **_: Any) -> None:
    """→ pending, and away until it is due. A run that only waits for its turn was pending all along."""
    error = getattr(reason, "exc", reason)
    if CLOSING.is_set():
        # The shutdown hands it back.
        return
    if isinstance(error, TurnAwaited):
        # If it had begun, what it waits for came to light on the way.
        if isinstance(request.run, Claim) and not request.run.retry(_told(error), counts=False):
            return
        delayed_runs().wait_for_turn(request, request.message, error)
        return
    run = request.run
    tries = max(request.retries, run.tried) + 1
    words = f"Try {tries} failed; it is tried again.\n{_told(error)}"
    if not isinstance(run, Claim):
        _record_unclaimed(request.message, words, retried=True)
    elif not run.retry(words):
        return
    # After the record, so that the next try can't overtake it.
    delayed_runs().wait_for_next_try(request, reason.when, tries)


@signals.task_failure.connect(sender=refresh_manifest)
def record_failure(sender: Any, task_id: str, exception: BaseException, **_: Any) -> None:
    """→ error. What ended a pool process is told in the worker's main process."""
    if isinstance(exception, TimeLimitExceeded):
        # The request has ended it.
        release().after(task_id)
        return
    if CLOSING.is_set():
        # The request ends it, or the shutdown has it in hand (seeder.runs.shutdown).
        return
    if isinstance(exception, WorkerLostError):
        log.error("the process of a run died; the sweep takes the run up", run_id=task_id)
        return
    run = getattr(sender.request, "run", None)
    if isinstance(run, Claim):
        run.fail(_told(exception))
    elif message := getattr(sender.request, "message", None):
        _record_unclaimed(message, _told(exception), retried=False)


@signals.task_failure.connect
def tell_failure(
    sender: Any, task_id: str, exception: BaseException, kwargs: dict[str, Any], **_: Any
) -> None:
    """One line for what failed as it may. Celery's own is of level INFO; what may not happen it tells in an
    ERROR with a traceback."""
    if not sender.name.startswith("seeder.") or not isinstance(exception, sender.throws):
        return
    facts = {"task": sender.name, "task_id": task_id}
    if sender.name == TASK:
        facts = {"run_id": task_id, "table_name": kwargs.get("table_name")}
    reason = equipment().databases.scrubbed(first_line(str(exception)))
    log.warning("failed", **facts, reason=reason)


@signals.task_revoked.connect(sender=refresh_manifest)
def record_revocation(request: Any, terminated: bool, **_: Any) -> None:
    """→ error, for a revoke from Flower or `celery control`. Fires in the worker's main process."""
    when = "in the middle of the run" if terminated else "before it started"
    end_revoked(request.id, request.kwargs, f"a revoke through Celery {when}.")
    release().after(request.id)


@signals.task_postrun.connect(sender=refresh_manifest)
def let_go(task_id: str, task: Any, **_: Any) -> None:
    """Whatever happened, the lock doesn't outlive the task; and who waits for it is told. What is left to do
    then keeps nobody."""
    run = getattr(task.request, "run", None)
    if isinstance(run, Claim):
        run.release()
    if not isinstance(getattr(run, "error", None), TurnAwaited):
        release().after(task_id, awaited=is_awaited(task.request))
    if message := getattr(task.request, "message", None):
        error = getattr(run, "error", None)
        delayed_runs().call_next(message, error if isinstance(error, TurnAwaited) else None)
    if isinstance(run, Claim):
        run.clean_up()


@signals.after_setup_logger.connect
def set_our_level(loglevel: int, **_: Any) -> None:
    """In workers and beat, which set up logging by their own options."""
    logs.follow(loglevel)


@signals.worker_shutting_down.connect
def shut_down(sig: str, how: str, **_: Any) -> None:
    """Celery's handler of SIGTERM, SIGINT and SIGQUIT tells of each."""
    STEPS.signalled(sig, how, equipment().settings.shutdown_grace)


@signals.worker_ready.connect
def sweep_at_start(sender: Any, **_: Any) -> None:
    """A worker that comes back settles what the last one left."""
    STEPS.ready(sender)
    try:
        app.send_task("seeder.sweep")
    except TROUBLE as error:
        log.warning("no sweep at the start; beat sends one each minute", reason=one_line(error))


@cache
def release() -> Release:
    return Release(app, equipment())


@cache
def moments() -> Moments:
    return Moments(equipment())


@cache
def delayed_runs() -> DelayedRuns:
    return DelayedRuns(app, equipment())


def _record_unclaimed(message: Message, words: str, *, retried: bool) -> None:
    """For a run that holds no lock, through a connection of its own: only while it is pending, and as it was
    when it could first be read. A message that bears the id of another run than it is about isn't that run's
    failure."""
    history = equipment().history
    read: Run | None = None

    def write(words: str, *, retried: bool) -> None:
        nonlocal read
        read = read or history.run(message.run_id)
        if read and message.is_of(read) and read.status == RunStatus.PENDING:
            tries = max(message.attempt, read.attempts or 0) + 1
            (history.retry if retried else history.fail)(read.seen, words, attempts=tries)

    insist(
        lambda: write(words, retried=retried),
        "retry" if retried else "error",
        message.run_id,
        otherwise=lambda last_words: write(last_words, retried=False),
    )


def _told(error: BaseException) -> str:
    if isinstance(error, SeederError):
        return equipment().databases.scrubbed(str(error))
    return f"{type(error).__name__}: {error}. This is a bug in seeder; the worker's log has the details."
