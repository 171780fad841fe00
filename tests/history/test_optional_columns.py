"""The history's optional columns: used where they are there, done without where they aren't."""

from collections.abc import Callable, Iterator

import pytest
from structlog.testing import capture_logs
from support.contract import Platform, as_it_is, new_run

from seeder.config.settings import Settings
from seeder.equipment import Equipment
from seeder.history import Figures, HistoryRepository
from seeder.history.optional import ColumnDropped
from seeder.history.pages import RunFilter, RunPages
from seeder.maintenance.lost_runs import Sweep
from seeder.runs.claim import Claims, Message

RUN = "n1.custom-1"
HISTORY = "reporting.seeder_run_history"
FIGURES = Figures(1, 1)
BOTH = "add column if not exists note text, add column if not exists attempts integer"


@pytest.fixture
def plain(any_platform: Platform) -> Iterator[Platform]:
    """A platform whose history has neither; given back as it was."""
    alter(any_platform, "drop column if exists note, drop column if exists attempts")
    yield any_platform
    alter(any_platform, "drop column if exists note, drop column if exists attempts")
    alter(any_platform, BOTH)


@pytest.fixture
def own(platform: Platform) -> Iterator[Platform]:
    """A platform that gets its columns back."""
    yield platform
    alter(platform, "drop column if exists note, drop column if exists attempts")
    alter(platform, BOTH)


def alter(platform: Platform, how: str) -> None:
    platform.sql(f"alter table {HISTORY} {how}")


def begun(platform: Platform, run_id: str = RUN) -> None:
    platform.history.queue([new_run(run_id)])
    platform.history.start(run_id, "sales")


def end(platform: Platform, note: str | None = "Refreshed plain.", run_id: str = RUN) -> None:
    platform.history.succeed(as_it_is(platform.history, run_id), FIGURES, note, attempts=1)


def read(platform: Platform, run_id: str = RUN) -> tuple[str | None, str | None, int | None]:
    """What every reader of a run says of it."""
    run = platform.history.run(run_id)
    assert run
    pages = RunPages(platform.databases, "reporting")
    (of_all,), _ = pages.of_all(RunFilter(), None, 1)
    (of_table,), _ = pages.of_table(RunFilter(table_name="sales"), None, 1)
    (newest,) = platform.history.runs_of_table("sales", 1)
    values = [(one.errors, one.note, one.attempts) for one in (run, of_all, of_table, newest)]
    assert len(set(values)) == 1
    return values[0]


def test_a_history_with_the_columns_holds_note_and_attempts(any_platform: Platform) -> None:
    begun(any_platform)
    end(any_platform)
    assert read(any_platform) == (None, "Refreshed plain.", 1)
    assert any_platform.status("sales").last_errors is None


def test_a_history_without_the_columns_is_written_and_read_all_the_same(plain: Platform) -> None:
    begun(plain)
    assert plain.history.retry(as_it_is(plain.history, RUN), "55P03: busy", attempts=1)
    assert read(plain) == ("55P03: busy", None, None)
    plain.history.start(RUN, "sales")
    end(plain)
    assert read(plain) == (None, None, None)
    assert plain.run(RUN).status == "success"


@pytest.mark.parametrize(("only", "told"), [("note", ("Refreshed plain.", None)), ("attempts", (None, 1))])
def test_one_column_is_used_without_the_other(
    own: Platform, only: str, told: tuple[str | None, int | None]
) -> None:
    alter(own, f"drop column {'attempts' if only == 'note' else 'note'}")
    begun(own)
    end(own)
    assert read(own) == (None, *told)


def test_a_note_in_a_success_of_before_the_columns_is_no_error(plain: Platform) -> None:
    begun(plain)
    end(plain)
    plain.sql("update reporting.seeder_run_history set errors = 'Refreshed plain.'")
    assert read(plain) == (None, "Refreshed plain.", None)
    alter(plain, BOTH)
    assert read(plain) == (None, "Refreshed plain.", None)
    begun(plain, "n2.custom-1")
    end(plain, run_id="n2.custom-1")
    assert [run.errors for run in plain.history.runs_of_table("sales")] == [None, None]


def test_columns_that_are_added_are_used_from_the_next_start_on(plain: Platform) -> None:
    begun(plain)
    end(plain)
    alter(plain, BOTH)
    begun(plain, "n2.custom-1")
    end(plain, run_id="n2.custom-1")
    assert read(plain, "n2.custom-1") == (None, "Refreshed plain.", 1)


def test_a_worker_whose_column_is_dropped_in_the_middle_of_a_run_records_its_success(own: Platform) -> None:
    own.custom(1, table_name="sales")
    worker = Equipment(Settings(), own.url)
    for run_id in (RUN, "n2.custom-1"):
        own.history.queue([new_run(run_id)])
        claim = Claims.of(worker).claim(Message(run_id, 0, "custom", 1, "sales", None))
        claim.refresh()
        alter(own, "drop column if exists attempts")
        with capture_logs() as logs:
            claim.succeed()
        assert [one["log_level"] for one in logs] == (["warning"] if run_id == RUN else [])
        assert own.run(run_id).status == "success"
        # The lock went with the write that got through.
        held = "select count(*) from pg_locks where locktype = 'advisory' and granted"
        assert own.value(held) == 0
    worker.databases.dispose()


def test_a_sweep_whose_column_is_dropped_meanwhile_leaves_the_run_to_the_next(own: Platform) -> None:
    begun(own)
    # It has seen the columns, and doesn't look again.
    own.history.retry(as_it_is(own.history, RUN), "55P03: busy", attempts=1)
    own.history.start(RUN, "sales")
    alter(own, "drop column attempts")
    sweep = Sweep(own.databases, own.history, "reporting", 4, 0.0)
    assert sweep.settle({"custom-1": None}, set).requeue == ()
    assert own.run(RUN).status == "running"
    (run,) = sweep.settle({"custom-1": None}, set, lambda _: {RUN: 2}).requeue
    assert (run.attempts, own.run(RUN).status) == (3, "pending")


def test_a_column_that_is_gone_for_good_is_no_reason_to_fail(own: Platform) -> None:
    begun(own)
    alter(own, "drop column note")
    with pytest.raises(ColumnDropped):
        end(own)
    end(own)
    assert own.run(RUN).status == "success"


@pytest.mark.parametrize(
    "how",
    [
        "drop column note, add column note text generated always as ('made') stored",
        "drop column note, add column note integer",
        "drop column attempts, add column attempts text",
    ],
)
def test_a_column_that_can_not_hold_it_is_let_be(own: Platform, how: str) -> None:
    alter(own, how)
    history = HistoryRepository(own.databases, "reporting")
    begun(own)
    history.succeed(as_it_is(own.history, RUN), FIGURES, "Refreshed plain.", attempts=1)
    assert own.run(RUN).status == "success"
    run = history.run(RUN)
    assert run
    assert (run.errors, run.attempts) == (None, None if "attempts" in how else 1)


@pytest.mark.parametrize("said", [3, 2])
def test_a_number_of_tries_counts_once_however_often_it_is_said(platform: Platform, said: int) -> None:
    begun(platform)
    seen = as_it_is(platform.history, RUN)
    for number in (3, said):
        platform.history.retry(seen, "55P03: busy", attempts=number)
        platform.history.start(RUN, "sales")
        seen = as_it_is(platform.history, RUN)
    assert platform.run(RUN).attempts == 3


@pytest.mark.parametrize("move", ["cancel", "fail", "retry"])
def test_what_is_no_try_leaves_the_number_as_it_is(platform: Platform, move: str) -> None:
    moves: dict[str, Callable[..., object]] = {
        name: getattr(platform.history, name) for name in ("cancel", "fail", "retry")
    }
    begun(platform)
    platform.history.retry(as_it_is(platform.history, RUN), "55P03: busy", attempts=2)
    platform.history.start(RUN, "sales")
    moves[move](as_it_is(platform.history, RUN), "somebody")
    assert platform.run(RUN).attempts == 2


def test_a_run_that_succeeds_costs_no_further_round_trip(platform: Platform) -> None:
    platform.custom(1, table_name="sales")
    worker = Equipment(Settings(), platform.url)
    counts = []
    for night in range(3):
        platform.history.queue([new_run(f"n{night}.custom-1")])
        claim = Claims.of(worker).claim(Message(f"n{night}.custom-1", 0, "custom", 1, "sales", None))
        claim.refresh()
        sent = []
        execute = type(claim.session)._executed
        claim.session._executed = lambda *given, e=execute, c=claim, s=sent: (
            s.append(1),
            e(c.session, *given),
        )[1]
        claim.succeed()
        counts.append(len(sent))
    worker.databases.dispose()
    assert counts[-1] == 1
