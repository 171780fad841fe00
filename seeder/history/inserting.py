"""What a fan-out records: many runs at once, although the database may refuse to hold some of them, and
somebody may hold the rows of others.

One row that somebody has locked must not cost all other reports their night, so none of the locks is waited
for as long as others hold it.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any

import psycopg2
import structlog
from psycopg2 import errorcodes

from seeder.history import fan_outs
from seeder.history.cancelled import as_failure
from seeder.history.queries import WINDOW_DAYS
from seeder.history.rows import NewRun, Recorded, Refusal
from seeder.history.shortening import shortened
from seeder.history.statements import Statements
from seeder.postgres.failures import one_line
from seeder.postgres.session import Session

log = structlog.get_logger(__name__)

#: A run's columns.
Row = dict[str, Any]

#: Classes of SQLSTATE that are about the values of a row: data exceptions, constraints, and a name too long
#: for its index (https://www.postgresql.org/docs/current/errcodes-appendix.html).
ABOUT_A_ROW = ("22", "23", "54")

#: What has been waited for in vain once isn't waited for again, in the same transaction.
SOON = "set local lock_timeout = '200ms'"


class ManyRuns:
    """The writer of many runs; each method is part of the session's transaction, or one of its own."""

    def __init__(self, sql: Statements, schema: str) -> None:
        self._sql = sql
        self._schema = schema

    @contextmanager
    def alone(self, session: Session, seeding_id: str) -> Iterator[None]:
        """Of several fan-outs of one seeding, one at a time: each would queue all that isn't begun yet.

        Who has waited for long goes on nevertheless; that costs messages and doubles no run.
        """
        try:
            session.run(self._sql(fan_outs.LOCK_FAN_OUT), schema=self._schema, seeding_id=seeding_id)
        except psycopg2.errors.LockNotAvailable:
            yield
            return
        try:
            yield
        finally:
            with suppress(psycopg2.Error):
                # Where the connection is gone, so is the lock.
                session.run(self._sql(fan_outs.UNLOCK_FAN_OUT), schema=self._schema, seeding_id=seeding_id)

    def queue(self, session: Session, runs: Sequence[NewRun], *, scheduled: bool) -> Recorded:
        """See HistoryRepository.queue."""
        if not runs:
            return Recorded([], {})
        with session.transaction():
            held = self._lock(session, runs)
            return self._queued(session, runs, held, scheduled=scheduled)

    def refuse(self, session: Session, refusals: Sequence[Refusal]) -> list[tuple[NewRun, str]]:
        """See HistoryRepository.refuse."""
        if not refusals:
            return []
        with session.transaction():
            held = self._lock(session, [one.run for one in refusals])
            later = [one.run for one in refusals if one.shown and one.run.table_name in held]
            rows = [
                (
                    one.run,
                    {**asdict(one.run), "errors": shortened(as_failure(one.errors)), "shown": one.shown},
                )
                for one in refusals
                if one.run not in later
            ]
            refused, _ = _insert(session, self._sql(fan_outs.REFUSE), rows) if rows else ([], [])
            if later:
                refused += self._queued(session, later, held, scheduled=False).refused
            return refused

    def show(self, session: Session, runs: Sequence[NewRun]) -> list[NewRun]:
        """Show those whose status row nobody holds any more; returns the others."""
        with session.transaction():
            held = self._held(session, runs)
            session.run(
                self._sql(fan_outs.SHOW_QUEUED), run_ids=[run.run_id for run in runs], held=list(held)
            )
        return [run for run in runs if run.table_name in held]

    def _queued(
        self, session: Session, runs: Sequence[NewRun], held: frozenset[str], *, scheduled: bool
    ) -> Recorded:
        rows = [(run, {**asdict(run), "shown": run.table_name not in held}) for run in runs]
        refused, found = _insert(
            session, self._sql(fan_outs.QUEUE), rows, scheduled=scheduled, days=WINDOW_DAYS
        )
        waiting = {row.table_name: row.run_id for row in found}
        unheld = {run.run_id for run, _ in refused}
        return Recorded(
            refused,
            waiting,
            tuple(
                run
                for run in runs
                if run.table_name in held and run.table_name not in waiting and run.run_id not in unheld
            ),
        )

    def _lock(self, session: Session, runs: Sequence[NewRun]) -> frozenset[str]:
        """Take a fan-out's locks; returns the tables whose status row somebody else holds.

        Raises psycopg2.errors.LockNotAvailable where one of the two tables is locked as a whole.
        """
        try:
            with session.savepoint():
                session.run(self._sql(fan_outs.LOCK_QUEUEING), schema=self._schema)
        except psycopg2.errors.LockNotAvailable:
            session.run_text(SOON)
            log.warning("another session holds the lock of fan-outs; this one goes on without it")
        session.run_text(self._sql(fan_outs.LOCK_TABLES))
        return self._held(session, runs)

    def _held(self, session: Session, runs: Sequence[NewRun]) -> frozenset[str]:
        tables = sorted({run.table_name for run in runs})
        return frozenset(
            row.table_name for row in session.rows(self._sql(fan_outs.LOCK_STATUSES), tables=tables)
        )


def _insert(
    session: Session, sql: str, rows: Sequence[tuple[NewRun, Row]], **values: Any
) -> tuple[list[tuple[NewRun, str]], list[Any]]:
    """Insert all, in the caller's transaction; where PostgreSQL objects to a row, or somebody holds what a
    row refers to, halve until the culprits stand alone.

    Returns these, each with its reason, and what the statement returned.
    """
    try:
        with session.savepoint():
            return [], session.rows(
                sql,
                tables=sorted({run.table_name for run, _ in rows}),
                # Not escaped: \\u2026 is refused by a database whose encoding has no ….
                runs=json.dumps([row for _, row in rows], ensure_ascii=False),
                shown=[run.run_id for run, row in rows if row["shown"]],
                **values,
            )
    except psycopg2.Error as error:
        if error.pgcode == errorcodes.LOCK_NOT_AVAILABLE:
            session.run_text(SOON)
        elif (error.pgcode or "")[:2] not in ABOUT_A_ROW:
            raise
        if len(rows) == 1:
            return [(rows[0][0], one_line(error))], []
        middle = len(rows) // 2
        parts = [_insert(session, sql, half, **values) for half in (rows[:middle], rows[middle:])]
        return [one for refused, _ in parts for one in refused], [row for _, found in parts for row in found]
