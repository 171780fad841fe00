"""Celery's log lines: those that are left out, lowered or cut, by what they are made of."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from celery import Celery, Task
from celery.app.trace import build_tracer
from celery.exceptions import Retry
from kombu.message import Message
from redis.exceptions import ConnectionError as RedisConnectionError

from seeder.broker import log_filters
from seeder.errors import (
    DatabaseFull,
    DatabaseTrouble,
    MatviewBusy,
    Position,
    QueryFailed,
    RecordHeld,
    Report,
    SeederError,
    TurnAwaited,
)
from seeder.wording import LONGEST_BYTES


@pytest.fixture(autouse=True)
def installed() -> None:
    log_filters.install()


@pytest.fixture
def run(caplog: pytest.LogCaptureFixture) -> Callable[[str, Exception], list[logging.LogRecord]]:
    """Run a task that raises the error, as a worker does, and return the records that Celery let through."""
    app = Celery(set_as_current=False, broker="memory://")

    # Not shared: else each app that is made later in this process would get it, once from each test.
    @app.task(name="a.task", bind=True, throws=(SeederError,), shared=False)
    def task(_self: Task, error: Exception) -> None:
        raise error

    caplog.set_level(logging.INFO, "celery.app.trace")
    trace = build_tracer(task.name, task, app=app)

    def run(task_id: str, error: Exception) -> list[logging.LogRecord]:
        caplog.clear()
        trace(task_id, (error,), {}, {"id": task_id, "args": (), "kwargs": {}})
        return list(caplog.records)

    return run


@pytest.fixture
def moments(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The last one is now, to what thins out the lines about waiting runs."""
    moments = [0.0]
    monkeypatch.setattr(log_filters.SELDOM_WAITING, "_clock", lambda: moments[-1])
    monkeypatch.setattr(log_filters.SELDOM_WAITING, "_told", {})
    return moments


@pytest.mark.parametrize(
    "busy",
    [
        MatviewBusy(table_name="sales", holder="run n1"),
        DatabaseFull(table_name="sales", limit=2),
        RecordHeld(table_name="sales"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_celerys_line_about_a_run_that_waits_its_turn_comes_every_five_minutes(
    run: Callable[[str, Exception], list[logging.LogRecord]], moments: list[float], busy: TurnAwaited
) -> None:
    def told(run_id: str, after: float = 0.0) -> bool:
        moments.append(moments[-1] + after)
        return bool(run(run_id, Retry(str(busy), busy)))

    assert told("one")
    assert told("other")
    assert not told("one", after=2)
    assert not told("one", after=297)
    assert told("one", after=2)
    assert not told("one", after=2)


@pytest.mark.parametrize(
    "error",
    [
        Retry(exc=DatabaseTrouble(report=Report("08006", "somebody waits its turn."))),
        QueryFailed(report=Report("P0001", "it waits its turn.")),
        MatviewBusy(table_name="sales", holder="run n1"),
    ],
    ids=["retry", "failure", "no retry"],
)
def test_whatever_its_words_are_any_other_line_about_a_task_is_logged_each_time(
    run: Callable[[str, Exception], list[logging.LogRecord]], error: Exception
) -> None:
    assert [len(run("one", error)) for _ in range(3)] == [1, 1, 1]


def test_what_is_remembered_of_waiting_runs_stays_small(
    run: Callable[[str, Exception], list[logging.LogRecord]],
    moments: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log_filters, "REMEMBERED", 20)
    busy = MatviewBusy(table_name="sales", holder="run n1")
    for number in range(3 * log_filters.REMEMBERED):
        moments.append(20.0 * number)
        run(f"n.custom-{number}", Retry(exc=busy))
    assert 0 < len(log_filters.SELDOM_WAITING._told) <= log_filters.REMEMBERED


def test_a_thread_may_tell_of_its_run_while_others_are_forgotten(
    run: Callable[[str, Exception], list[logging.LogRecord]],
    moments: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Moment(float):
        def __rsub__(self, now: float) -> float:
            log_filters.SELDOM_WAITING._told[f"another thread's at {self}"] = now
            return now - float(self)

    monkeypatch.setattr(log_filters, "REMEMBERED", 20)
    told = {f"n.custom-{number}": Moment(number) for number in range(log_filters.REMEMBERED)}
    monkeypatch.setattr(log_filters.SELDOM_WAITING, "_told", told)
    moments.append(20.0)
    assert len(run("one", Retry(exc=MatviewBusy(table_name="sales", holder="run n1")))) == 1


LONG = Report("22P02", "ä" * 500_000, position=Position(3, 9))


@pytest.mark.parametrize(
    "error",
    [Retry(exc=DatabaseTrouble(report=LONG)), QueryFailed(report=LONG), RuntimeError(str(LONG))],
    ids=["retry", "failure", "bug"],
)
def test_celerys_line_about_a_task_quotes_8_kb_of_an_error_and_its_end(
    run: Callable[[str, Exception], list[logging.LogRecord]], error: Exception
) -> None:
    (record,) = run("one", error)
    message, whole = record.getMessage(), logging.Formatter().format(record)
    assert "22P02: ää" in message
    assert "bytes are left out here" in message
    assert "line 3, column 9" in message
    assert len(message.encode()) <= LONGEST_BYTES
    # And a traceback, where there is one.
    assert len(whole.encode()) <= 2 * LONGEST_BYTES + 1
    assert whole.startswith("Task a.task[one] ")


@pytest.mark.parametrize(
    ("logger", "arguments"),
    [
        ("celery.app.trace", {"name": "seeder.sweep", "id": "1", "return_value": "{}"}),
        ("celery.worker.strategy", {"name": "seeder.sweep", "id": "1"}),
        ("celery.beat", ("sweep", "seeder.sweep")),
    ],
)
def test_a_sweep_that_goes_well_is_told_at_debug_only(
    caplog: pytest.LogCaptureFixture, logger: str, arguments: Any
) -> None:
    if isinstance(arguments, dict):
        given, other, words = (arguments,), (dict(arguments, name="seeder.prune"),), "Task %(name)s"
    else:
        given, other, words = arguments, ("prune", "seeder.prune"), "Sending due task %s (%s)"
    caplog.set_level(logging.INFO, logger)
    logging.getLogger(logger).info(words, *given)
    logging.getLogger(logger).info(words, *other)
    logging.getLogger(logger).error(words, *given)
    assert [(one.levelname, "prune" in one.getMessage()) for one in caplog.records] == [
        ("INFO", True),
        ("ERROR", False),
    ]
    caplog.set_level(logging.DEBUG, logger)
    logging.getLogger(logger).info(words, *given)
    assert caplog.records[-1].levelname == "DEBUG"


@pytest.mark.parametrize("error", [RedisConnectionError("gone"), RuntimeError("a bug")], ids=["gone", "bug"])
def test_a_message_that_cannot_be_acknowledged_as_redis_is_gone_is_one_line(
    caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    class Channel:
        no_ack_consumers = None

        def basic_ack(self, *_: object, **__: object) -> None:
            raise error

        def message_to_python(self, message: object) -> object:
            return message

    message = Message(body="{}", delivery_tag="1-2", channel=Channel())
    message.ack_log_error(logging.getLogger("celery.worker.request"), (Exception,))
    (record,) = caplog.records
    assert "Couldn't ack '1-2'" in record.getMessage()
    assert (record.levelname, bool(record.exc_info)) == (
        ("CRITICAL", True) if isinstance(error, RuntimeError) else ("WARNING", False)
    )
