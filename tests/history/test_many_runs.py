"""What is recorded of many runs at once costs each of them the same, however many they are."""

from collections.abc import Callable

import pytest
from support.contract import ON_EACH_VERSION, Platform, new_run

from seeder.history import HistoryRepository, NewRun, Refusal, Unchanged
from seeder.postgres.session import Session

RUNS = 300

#: How often the two tables were looked up by an index, as far as sessions have told.
LOOKED_UP = """
select sum(idx_scan)::bigint as times from pg_stat_user_indexes where schemaname = 'reporting'
"""


def refused(history: HistoryRepository, runs: list[NewRun], session: Session) -> None:
    history.refuse([Refusal(run, "it can't be used") for run in runs], session)


def unchanged(history: HistoryRepository, runs: list[NewRun], session: Session) -> None:
    history.queue(runs, session=session)
    assert len(history.unchanged([Unchanged(run.run_id, 1, 8192, "note") for run in runs], session)) == RUNS


def not_run(history: HistoryRepository, runs: list[NewRun], session: Session) -> None:
    history.queue(runs, session=session)
    assert len(history.upstreams.not_run({run.run_id: "words" for run in runs}, session)) == RUNS


@ON_EACH_VERSION
@pytest.mark.parametrize("moves", [refused, unchanged, not_run], ids=lambda moves: moves.__name__)
def test_nothing_is_worked_out_for_each_pair_of_runs(
    platform: Platform, moves: Callable[[HistoryRepository, list[NewRun], Session], None]
) -> None:
    """PostgreSQL takes the runs that move for one, whatever their number."""
    runs = [
        new_run(f"n1.custom-{number}", f"report_{number}", manifest_id=number)
        for number in range(1, RUNS + 1)
    ]
    with platform.databases.session() as session:

        def looked_up() -> int:
            session.run("select pg_stat_force_next_flush()")
            return int(session.row(LOOKED_UP).times)

        before = looked_up()
        moves(platform.history, runs, session)
        # For each pair it would be 90,000 times and more.
        assert RUNS < looked_up() - before < 40 * RUNS
