"""Log lines: one event a line, its facts as key=value, through the standard library's logging."""

import logging
from collections.abc import Iterator

import pytest
import structlog

from seeder import logs


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


def test_the_level_is_that_of_the_standard_library(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.ERROR, "seeder.somewhere")
    structlog.get_logger("seeder.somewhere").warning("unheard")
    assert caplog.records == []
    assert capsys.readouterr() == ("", "")
