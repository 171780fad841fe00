"""Log lines: one event a line, its facts as key=value, through the standard library's logging."""

import logging
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from celery import Celery, Task
from celery.app.trace import build_tracer
from celery.exceptions import Retry

from seeder import logs
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
    UnknownAgency,
)
from seeder.postgres.databases import Databases
from seeder.wording import LONGEST_BYTES

URL = "postgresql://someone:geheim@127.0.0.1:1/there"


@pytest.fixture(autouse=True)
def configured() -> Iterator[None]:
    before = structlog.get_config()
    logs.configure()
    yield
    structlog.configure(**before)


def test_an_event_is_one_line_whatever_its_facts_hold(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "seeder.somewhere")
    log = structlog.get_logger("seeder.somewhere")
    log.warning("not recorded yet", run_id="n1.custom-1", reason='two\nlines, "so"')
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("seeder.somewhere", "WARNING")
    assert record.getMessage() == (
        'event="not recorded yet" run_id=n1.custom-1 reason="two\\nlines, \\"so\\""'
    )


@pytest.fixture
def run(caplog: pytest.LogCaptureFixture) -> Callable[[str, Exception], list[logging.LogRecord]]:
    """Run a task that raises the error, as a worker does, and return the records that Celery let through."""
    app = Celery(set_as_current=False, broker="memory://")

    @app.task(name="a.task", bind=True, throws=(SeederError,))
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
    monkeypatch.setattr(logs.SELDOM_WAITING, "_clock", lambda: moments[-1])
    monkeypatch.setattr(logs.SELDOM_WAITING, "_told", {})
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
    monkeypatch.setattr(logs, "REMEMBERED", 20)
    busy = MatviewBusy(table_name="sales", holder="run n1")
    for number in range(3 * logs.REMEMBERED):
        moments.append(20.0 * number)
        run(f"n.custom-{number}", Retry(exc=busy))
    assert 0 < len(logs.SELDOM_WAITING._told) <= logs.REMEMBERED


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


def test_our_own_lines_quote_8_kb_of_an_error_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "seeder.somewhere")
    log = structlog.get_logger("seeder.somewhere")
    log.warning("not recorded yet", reason=str(LONG), tries=3)
    log.error("a bug", exc_info=RuntimeError(str(LONG)))
    for record in caplog.records:
        assert "bytes are left out here" in record.getMessage()
        assert len(record.getMessage().encode()) <= LONGEST_BYTES + 200
    assert "tries=3" in caplog.records[0].getMessage()
    assert "RuntimeError: 22P02" in caplog.records[1].getMessage()


def test_the_level_is_that_of_the_standard_library(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.ERROR, "seeder.somewhere")
    structlog.get_logger("seeder.somewhere").warning("unheard")
    assert caplog.records == []
    assert capsys.readouterr() == ("", "")


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


LEVELS = """
import logging
from seeder.celery import app
app.log.setup({level})
for name in ("seeder.somewhere", "celery.app.trace"):
    for level in ("debug", "info", "warning", "error"):
        getattr(logging.getLogger(name), level)("%s of %s", level, name)
"""


@pytest.mark.parametrize(
    ("level", "ours", "celerys"),
    [
        ("None", {"info", "warning", "error"}, {"warning", "error"}),
        ("'INFO'", {"info", "warning", "error"}, {"info", "warning", "error"}),
        ("'ERROR'", {"error"}, {"error"}),
    ],
)
def test_our_lines_are_heard_at_info_unless_another_level_is_asked_for(
    level: str, ours: set[str], celerys: set[str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LEVELS.format(level=level)],
        env={"SEEDER_DATABASE_URL": "postgresql://h/x", "SEEDER_BROKER_URL": "redis://h"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert set(re.findall(r"(\w+) of seeder", done.stderr)) == ours
    assert set(re.findall(r"(\w+) of celery", done.stderr)) == celerys


def test_what_failed_as_it_may_is_one_line_without_a_password(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from seeder import signals

    run_task = SimpleNamespace(name="seeder.refresh_manifest", throws=(SeederError,))
    fan_out_task = SimpleNamespace(name="seeder.refresh_agency", throws=(SeederError,))
    others = SimpleNamespace(name="theirs.task", throws=(Exception,))
    monkeypatch.setattr(signals, "equipment", lambda: SimpleNamespace(databases=Databases(URL)))
    caplog.set_level(logging.INFO, "seeder.signals")
    kwargs = {"report_type": "custom", "manifest_id": 1, "table_name": "sales"}
    failed = QueryFailed(report=Report("42P01", "no such table in geheim", hint="y" * 9000))
    signals.tell_failure(run_task, "n1.custom-1", failed, kwargs)
    signals.tell_failure(fan_out_task, "t2", UnknownAgency(agency_slug="x", of_type=""), {})
    # A bug: Celery tells it with its traceback.
    signals.tell_failure(run_task, "n1.custom-2", RuntimeError("broken"), kwargs)
    signals.tell_failure(others, "t3", RuntimeError("not ours"), {})
    run, fan_out = (record.getMessage() for record in caplog.records)
    assert run.startswith("event=failed run_id=n1.custom-1 table_name=sales reason=")
    assert run.endswith('"42P01: no such table in ***"')
    assert fan_out.startswith("event=failed task=seeder.refresh_agency task_id=t2 reason=")
    assert {record.levelname for record in caplog.records} == {"WARNING"}
