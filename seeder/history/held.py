"""What a fan-out tries again before it ends: runs recorded while another session held their status row.

Most rows are held for a millisecond, by a run that moves. Where one is held for longer, a queued run shows
when it starts, and a refused one, which is pending until then, ends when the sweep has had it begun.
"""

import time
from collections.abc import Sequence

import psycopg2

from seeder.history.repository import HistoryRepository
from seeder.history.rows import NewRun, Refusal
from seeder.models import RunStatus

#: Before each try. A request for a seeding waits for their sum at most.
PAUSES = (0.01, 0.05, 0.2, 0.6)


def settle(history: HistoryRepository, queued: Sequence[NewRun], refusals: Sequence[Refusal]) -> list[NewRun]:
    """Show the queued runs and end the refused ones where nobody holds the row any more; returns the rest."""
    for pause in PAUSES:
        if not queued and not refusals:
            break
        time.sleep(pause)
        try:
            queued = history.show(queued)
        except psycopg2.errors.LockNotAvailable:
            # Somebody has locked the whole table since.
            break
        refusals = _left(history, refusals)
    return [*queued, *(one.run for one in refusals)]


def _left(history: HistoryRepository, refusals: Sequence[Refusal]) -> Sequence[Refusal]:
    for number, one in enumerate(refusals):
        try:
            with history.soon() as session:
                run = history.run(one.run.run_id, session)
                # One that the sweep has had begun meanwhile ends by itself.
                if run and run.status == RunStatus.PENDING:
                    history.fail(run.seen, one.errors, session)
        except psycopg2.errors.LockNotAvailable:
            # One wait a round is enough.
            return [*refusals[number + 1 :], one]
    return ()
