"""Log lines: one event a line, its facts as key=value, through the standard library's logging."""

import logging
from collections.abc import Iterator

import pytest
import structlog
from celery.exceptions import Retry

from seeder import logs
from seeder.errors import WAITS, DatabaseFull, DatabaseTrouble, MatviewBusy, TemporaryError, TurnAwaited
from seeder.logs import SeldomWaiting


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


@pytest.mark.parametrize(
    "busy", [MatviewBusy(table_name="sales", holder="run n1"), DatabaseFull(table_name="sales", limit=2)]
)
def test_a_run_that_waits_its_turn_is_told_of_now_and_then(busy: TurnAwaited) -> None:
    moments = [0.0]
    seldom = SeldomWaiting(lambda: moments[-1])

    def told(run_id: str, after: float = 0.0, error: TemporaryError = busy) -> bool:
        moments.append(moments[-1] + after)
        data = {"id": run_id, "exc": str(Retry(str(error), error))}
        return bool(seldom.filter(logging.makeLogRecord({"data": data})))

    assert told("one")
    assert told("other")
    assert not told("one", after=2)
    assert not told("one", after=297)
    assert told("one", after=2)
    assert not told("one", after=2)
    for _ in range(3):
        assert told("one", error=DatabaseTrouble(report="no connection"))
        assert seldom.filter(logging.makeLogRecord({"msg": "ready."}))


def test_what_is_remembered_of_waiting_runs_stays_small() -> None:
    moments = [0.0]
    seldom = SeldomWaiting(lambda: moments[-1])
    for number in range(3 * logs.REMEMBERED):
        moments.append(float(number))
        seldom.filter(logging.makeLogRecord({"data": {"id": f"n.custom-{number}", "exc": WAITS}}))
    assert len(seldom._told) <= logs.REMEMBERED


def test_the_level_is_that_of_the_standard_library(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.ERROR, "seeder.somewhere")
    structlog.get_logger("seeder.somewhere").warning("unheard")
    assert caplog.records == []
    assert capsys.readouterr() == ("", "")
