"""Writes that are insisted on: while the database is away, and no longer than one is patient."""

import psycopg2
import pytest
from support.contract import Platform, as_it_is, new_run

from seeder.runs import recording
from seeder.runs.recording import CLOSING_SECONDS, LONGEST_PAUSE_SECONDS, insist


class Clock:
    """Time that passes only by sleeping, and chance that always takes the longest pause.

    It stands for the event of the process' closing too, which ``insist`` sleeps by.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []
        self.closes_at = float("inf")

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def is_set(self) -> bool:
        return self.now >= self.closes_at

    def wait(self, seconds: float) -> bool:
        if not self.is_set():
            self.sleep(min(seconds, self.closes_at - self.now))
        return self.is_set()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(recording.time, "monotonic", lambda: clock.now)
    monkeypatch.setattr(recording.time, "sleep", clock.sleep)
    monkeypatch.setattr(recording, "CLOSING", clock)
    monkeypatch.setattr(recording.random, "uniform", lambda _, high: high)
    return clock


class Write:
    """Fails so many times, then succeeds."""

    def __init__(self, error: Exception, times: float) -> None:
        self.error, self.times, self.tries = error, times, 0

    def __call__(self) -> None:
        self.tries += 1
        if self.tries <= self.times:
            raise self.error


def test_what_passes_is_tried_again_until_it_is_written(clock: Clock) -> None:
    write = Write(psycopg2.OperationalError("server closed the connection"), times=3)
    assert insist(write, "the end", "n1.custom-1")
    assert (write.tries, clock.pauses) == (4, [0.1, 0.2, 0.4])


def test_pauses_grow_to_a_longest_one_and_patience_ends(clock: Clock) -> None:
    write = Write(psycopg2.OperationalError("could not connect"), times=float("inf"))
    assert not insist(write, "the end", "n1.custom-1", patience=30)
    assert max(clock.pauses) == clock.pauses[-1] == LONGEST_PAUSE_SECONDS
    assert 30 <= clock.now < 30 + LONGEST_PAUSE_SECONDS


def test_a_process_that_is_to_end_at_once_insists_for_a_moment_only(clock: Clock) -> None:
    clock.closes_at = 10.0
    write = Write(psycopg2.OperationalError("could not connect"), times=float("inf"))
    assert not insist(write, "the end", "n1.custom-1")
    assert 10.0 <= clock.now <= 10.0 + CLOSING_SECONDS


def test_a_cancel_that_hits_the_record_itself_is_waited_out(clock: Clock) -> None:
    class Cancelled(psycopg2.errors.QueryCanceled):
        pgcode = "57014"

    write = Write(Cancelled(), times=2)
    assert insist(write, "the end", "n1.custom-1")
    assert write.tries == 3


def test_what_does_not_pass_is_left_to_the_sweep_at_once(clock: Clock) -> None:
    write = Write(psycopg2.ProgrammingError("no such column"), times=float("inf"))
    assert not insist(write, "the end", "n1.custom-1")
    assert (write.tries, clock.pauses) == (1, [])


def test_a_bug_is_not_swallowed(clock: Clock) -> None:
    with pytest.raises(ZeroDivisionError):
        insist(Write(ZeroDivisionError(), times=1), "the end", "n1.custom-1")


def test_the_record_survives_a_connection_that_is_cut_under_it(platform: Platform, clock: Clock) -> None:
    platform.history.queue([new_run("n1.custom-1")])

    def fail() -> None:
        with platform.databases.session() as session:
            if not clock.pauses:
                session.run("select pg_terminate_backend(pg_backend_pid())")
            platform.history.fail(as_it_is(platform.history, "n1.custom-1"), "division by zero", session)

    assert insist(fail, "the end", "n1.custom-1")
    run = platform.run("n1.custom-1")
    assert (run.status, run.consecutive_failures, len(clock.pauses)) == ("error", 1, 1)


@pytest.mark.parametrize(
    ("words", "reason"), [("x" * 2000, "23514"), ("\ud800", "UnicodeEncodeError"), ("\x00", "ValueError")]
)
def test_a_failure_whose_words_cant_be_written_is_recorded_all_the_same(
    platform: Platform, words: str, reason: str
) -> None:
    platform.sql("alter table reporting.seeder_run_history add constraint brief check (length(errors) < 200)")
    try:
        platform.history.queue([new_run("n1.custom-1")])
        fail, seen = platform.history.fail, as_it_is(platform.history, "n1.custom-1")
        assert insist(
            lambda: fail(seen, words),
            "error",
            "n1.custom-1",
            otherwise=lambda plain: fail(seen, plain),
        )
        row = platform.run("n1.custom-1")
        assert (row.status, row.errors) == (
            "error", f"The error can't be recorded ({reason}). The worker's log has the details."
        )  # fmt: skip
    finally:
        platform.sql("alter table reporting.seeder_run_history drop constraint brief")
