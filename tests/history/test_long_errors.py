"""Errors that quote a megabyte, and what the record keeps of them."""

from collections.abc import Callable
from typing import Any

import psycopg2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.contract import Platform, as_it_is, new_run

from seeder.history import Figures, Refusal
from seeder.postgres.failures import judged
from seeder.wording import LONGEST_BYTES, LONGEST_LINE, first_line, shortened

LONG = (
    "22P02: "
    + "ä" * 500_000
    + "\nHint: Look there.\nAt line 3, column 9 of the manifest's query\nIn database 4"
)


def record_error(platform: Platform, words: str) -> None:
    platform.history.start("n1.custom-1", "sales")
    platform.history.fail(as_it_is(platform.history, "n1.custom-1"), words)


def record_retry(platform: Platform, words: str) -> None:
    platform.history.start("n1.custom-1", "sales")
    platform.history.retry(as_it_is(platform.history, "n1.custom-1"), words)


def record_loss(platform: Platform, words: str) -> None:
    run = platform.history.run("n1.custom-1")
    assert run is not None
    assert platform.history.requeue(run.seen, words, 0)


def record_note(platform: Platform, words: str) -> None:
    platform.history.succeed(as_it_is(platform.history, "n1.custom-1"), Figures(1, 8192), words)


def record_refusal(platform: Platform, words: str) -> None:
    platform.sql("delete from reporting.seeder_run_history")
    platform.history.refuse([Refusal(new_run("n1.custom-1"), words)])


@pytest.mark.parametrize(
    "record",
    [record_error, record_retry, record_loss, record_note, record_refusal],
    ids=lambda one: one.__name__,
)
def test_what_is_recorded_of_an_error_has_8_kb_and_says_what_was_left_out(
    platform: Platform, record: Callable[[Platform, str], Any]
) -> None:
    platform.history.queue([new_run("n1.custom-1")])
    record(platform, LONG)
    run, status = platform.run("n1.custom-1"), platform.status("sales")
    for words in (run.note,) if record is record_note else (run.errors, status.last_errors):
        assert 8000 < len(words.encode()) <= LONGEST_BYTES
        assert words.startswith("22P02: ää")
        assert words.endswith(
            "\nHint: Look there.\nAt line 3, column 9 of the manifest's query\nIn database 4"
        )
        assert f" of {len(LONG.encode()):,} bytes are left out here" in words
    assert first_line(words) == "22P02: " + "ä" * (LONGEST_LINE - 8) + "…"


def test_the_error_of_a_value_of_a_megabyte_keeps_its_code_and_its_place(platform: Platform) -> None:
    query = "select ('x'||repeat('y',1000000))::int as x"
    with pytest.raises(psycopg2.Error) as raised:
        platform.sql(query)
    platform.history.queue([new_run("n1.custom-1")])
    platform.history.fail(
        as_it_is(platform.history, "n1.custom-1"),
        f"{judged(raised.value)}\nAt line 1, column 8 of the manifest's query",
    )
    words = platform.run("n1.custom-1").errors
    assert words.startswith('22P02: invalid input syntax for type integer: "xyyy')
    assert words.endswith("\nAt line 1, column 8 of the manifest's query")
    assert len(words) <= LONGEST_BYTES


def test_a_place_at_the_end_of_one_long_line_is_kept_too(platform: Platform) -> None:
    platform.history.queue([new_run("n1.custom-1")])
    platform.history.fail(
        as_it_is(platform.history, "n1.custom-1"),
        f"The function {'f' * 100_000} is refused (line 7, column 2).",
    )
    words = platform.run("n1.custom-1").errors
    assert words.startswith("The function fff")
    assert words.endswith("f is refused (line 7, column 2).")


@given(st.text(max_size=40), st.text(min_size=1, max_size=3), st.integers(0, 20_000), st.text(max_size=2000))
def test_what_is_short_stays_and_what_is_long_is_cut_between_characters(
    head: str, filling: str, count: int, tail: str
) -> None:
    whole = head + filling * count + tail
    kept = shortened(whole)
    size = len(whole.encode(errors="replace"))
    if size <= LONGEST_BYTES:
        assert kept == whole
        return
    assert len(kept.encode()) <= LONGEST_BYTES
    first, line, last = (
        kept.rpartition("\n[… ")[0],
        kept.rpartition("\n[… ")[2],
        kept.rpartition("here …]\n")[2],
    )
    assert whole.startswith(first)
    assert whole.endswith(last)
    left_out = int(line.partition(" ")[0].replace(",", ""))
    assert left_out == size - len(first.encode()) - len(last.encode())


def test_a_list_shows_a_line_of_200_characters_at_most() -> None:
    assert first_line("x" * 200 + "\nmore") == "x" * 200
    assert first_line("x" * 201) == "x" * 199 + "…"
    assert first_line(None) == ""
