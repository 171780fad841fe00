"""Runs that needn't be done are recorded as ended, many at once."""

from collections.abc import Callable, Iterator

import pytest
from support.contract import Platform, as_it_is, new_run

from seeder.history import Figures, HistoryRepository, Unchanged

NOTE = "Unchanged since 2026-11-30 02:00:07 UTC: its source wasn't written to."


def queued(history: HistoryRepository, *tables: str, night: str = "n1") -> list[str]:
    runs = [
        new_run(f"{night}.custom-{number}", table, manifest_id=number)
        for number, table in enumerate(tables, 1)
    ]
    history.queue(runs)
    return [run.run_id for run in runs]


def test_each_ends_as_a_success_of_its_own_figures_that_took_no_time(platform: Platform) -> None:
    history = platform.history
    first, second = queued(history, "sales", "fleet")
    history.start(first, "sales")
    history.fail(as_it_is(history, first), "22012: division by zero")
    third, fourth = queued(history, "sales", "fleet", night="n2")
    ended = history.unchanged([Unchanged(third, 7, 8192, NOTE), Unchanged(second, 9, 16384, NOTE)])
    # The second night's run of fleet isn't there: the first still waits, and does its work.
    assert (ended, history.run(fourth)) == ({third, second}, None)
    for run_id, figures in ((third, (7, 8192)), (second, (9, 16384))):
        run = history.run(run_id)
        assert run is not None
        assert (run.status, run.duration_seconds, run.errors, run.note) == ("success", 0, None, NOTE)
        assert (run.records_processed, run.bytes_processed) == figures
        assert run.start_time is not None
        assert run.finish_time is not None
        assert run.start_time <= run.finish_time
    shown = platform.status("sales")
    assert (shown.last_run_id, shown.status, shown.consecutive_failures, shown.last_errors) == (
        third, "success", 0, None,
    )  # fmt: skip
    assert platform.run(third).consecutive_failures == 0


def test_what_is_at_work_or_over_stays_as_it_is(platform: Platform) -> None:
    history = platform.history
    at_work, over = queued(history, "sales", "fleet")
    history.start(at_work, "sales")
    history.start(over, "fleet")
    history.succeed(as_it_is(history, over), Figures(1, 8192))
    before = [history.run(one) for one in (at_work, over)]
    assert history.unchanged([Unchanged(one, 7, 1, NOTE) for one in (at_work, over, "gone")]) == frozenset()
    assert [history.run(one) for one in (at_work, over)] == before


def test_a_row_that_somebody_holds_is_left_to_its_run(platform: Platform) -> None:
    history = platform.history
    held, free = queued(history, "sales", "fleet")
    with platform.databases.session() as other, other.transaction():
        other.run("select from reporting.seeder_job_status where table_name = 'sales' for update")
        assert history.unchanged([Unchanged(one, 7, 1, NOTE) for one in (held, free)]) == {free}
    assert platform.run(held).status == "pending"


@pytest.fixture
def altered(platform: Platform) -> Iterator[Callable[[str], None]]:
    """Alters the history as its owners may; afterwards it is as it was."""

    def alter(how: str) -> None:
        platform.sql(f"alter table reporting.seeder_run_history {how}")

    yield alter
    alter("drop constraint if exists small")
    alter("add column if not exists note text, add column if not exists attempts integer")


def test_a_value_that_the_owners_refuse_leaves_all_to_their_runs(
    platform: Platform, altered: Callable[[str], None]
) -> None:
    history = platform.history
    big, small = queued(history, "sales", "fleet")
    altered("add constraint small check (records_processed < 100)")
    skipped = [Unchanged(big, 100, 1, NOTE), Unchanged(small, 7, 1, NOTE)]
    with history.at_once() as session:
        history.queue([third := new_run("n2.custom-3", "crew", manifest_id=3)], session=session)
        assert history.unchanged(skipped, session) == frozenset()
    assert {platform.run(one).status for one in (big, small, third.run_id)} == {"pending"}


@pytest.mark.parametrize("column", ["note", "attempts"])
def test_it_is_recorded_without_the_columns_that_the_owners_may_leave_out(
    platform: Platform, altered: Callable[[str], None], column: str
) -> None:
    altered(f"drop column {column}")
    (run_id,) = queued(platform.history, "sales")
    assert platform.history.unchanged([Unchanged(run_id, 7, 1, NOTE)]) == {run_id}
    assert platform.run(run_id).status == "success"
