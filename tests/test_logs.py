"""Log lines: one event a line, its facts as key=value, through the standard library's logging."""

import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import structlog

from seeder import logs
from seeder.errors import (
    Position,
    QueryFailed,
    Report,
    SeederError,
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


LONG = Report("22P02", "ä" * 500_000, position=Position(3, 9))


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
