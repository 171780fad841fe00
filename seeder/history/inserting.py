"""Record many runs at once, although the database may refuse some of them, and another session may hold the
status rows of others.

One row that somebody has locked must not cost all other reports their night, so none of the locks is waited
for as long as others hold it.
"""

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any, Self

import psycopg2
import structlog
from psycopg2 import errorcodes

from seeder.history import fan_outs
from seeder.history.queries import WINDOW_DAYS
from seeder.history.rows import NewRun, NotRecorded, Recorded, Refusal, Unchanged
from seeder.history.standing import as_failure
from seeder.history.statements import Statements
from seeder.postgres.failures import one_line
from seeder.postgres.session import Session
from seeder.wording import shortened

log = structlog.get_logger(__name__)

#: A run's columns.
Row = dict[str, Any]

#: Of each run of a fan-out those of the same one that it is to wait for.
Upstreams = Mapping[str, frozenset[str]]

#: Classes of SQLSTATE that are about the values of a row: data exceptions, constraints, and a name too long
#: for its index (https://www.postgresql.org/docs/current/errcodes-appendix.html).
ABOUT_A_ROW = ("22", "23", "54")

#: What has been waited for in vain once isn't waited for again, in the same transaction.
SOON = "set local lock_timeout = '200ms'"

#: After so many seconds in vain nothing is waited for any more: of an agency whose row somebody holds there
#: may be thousands of runs, and other fan-outs wait for this one.
WAIT_SECONDS = 7.0
AT_ONCE = "set local lock_timeout = '1ms'"

#: What is told of a run that refers to a row that somebody holds, by a foreign key of the schema's owners.
LOCKED = "another session holds a row that it refers to ({where}); the sweep tries again each minute"


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

    def queue(
        self, session: Session, runs: Sequence[NewRun], upstreams: Upstreams, *, scheduled: bool
    ) -> Recorded:
        """See HistoryRepository.queue."""
        if not runs:
            return Recorded([], {})
        with session.transaction():
            held = self._lock(session, runs)
            return self._queued(session, runs, held, upstreams, scheduled=scheduled)

    def refuse(self, session: Session, refusals: Sequence[Refusal]) -> list[NotRecorded]:
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
            refused = Insertion(session, self._sql(fan_outs.REFUSE)).of(rows).refused if rows else []
            if later:
                refused += self._queued(session, later, held, {}, scheduled=False).refused
            return refused

    def show(self, session: Session, runs: Sequence[NewRun]) -> list[NewRun]:
        """Show those whose status row nobody holds any more; returns the others."""
        with session.transaction():
            held = self._held(session, [run.table_name for run in runs])
            session.run(
                self._sql(fan_outs.SHOW_QUEUED), run_ids=[run.run_id for run in runs], held=list(held)
            )
        return [run for run in runs if run.table_name in held]

    def not_run(self, session: Session, words: Mapping[str, str]) -> frozenset[str]:
        """See UpstreamRuns.not_run."""
        runs = [{"run_id": run_id, "errors": shortened(errors)} for run_id, errors in words.items()]
        with session.transaction():
            tables = session.rows(self._sql(fan_outs.TABLES), run_ids=list(words))
            ended = session.rows(
                self._sql(fan_outs.NOT_RUN),
                runs=json.dumps(runs, ensure_ascii=False),
                held=list(self._held(session, [row.table_name for row in tables])),
            )
        return frozenset(row.run_id for row in ended)

    def unchanged(self, session: Session, runs: Sequence[Unchanged], *, with_notes: bool) -> frozenset[str]:
        """See HistoryRepository.unchanged. Where the database would not hold one of the rows, none ends here:
        their runs tell which."""
        with session.transaction():
            tables = session.rows(self._sql(fan_outs.TABLES), run_ids=[one.run_id for one in runs])
            values = {
                "runs": json.dumps([asdict(one) for one in runs], ensure_ascii=False),
                "held": list(self._held(session, [row.table_name for row in tables])),
            }
            notes = fan_outs.NOTE_OF_EACH if with_notes else ""
            try:
                with session.savepoint():
                    ended = session.rows(self._sql(fan_outs.UNCHANGED, set_note=notes), **values)
            except psycopg2.errors.UndefinedColumn:
                # Dropped since this process last looked.
                ended = session.rows(self._sql(fan_outs.UNCHANGED, set_note=""), **values)
            except psycopg2.Error as error:
                if (error.pgcode or "")[:2] not in ABOUT_A_ROW:
                    raise
                log.warning(
                    "what is unchanged can't be recorded at once, so it is queued", reason=one_line(error)
                )
                return frozenset()
        return frozenset(row.run_id for row in ended)

    def _queued(
        self,
        session: Session,
        runs: Sequence[NewRun],
        held: frozenset[str],
        upstreams: Upstreams,
        *,
        scheduled: bool,
    ) -> Recorded:
        rows = [(run, {**asdict(run), "shown": run.table_name not in held}) for run in runs]
        edges = [{"run_id": run_id, "upstream": one} for run_id, found in upstreams.items() for one in found]
        insertion = Insertion(
            session,
            self._sql(fan_outs.QUEUE),
            scheduled=scheduled,
            days=WINDOW_DAYS,
            edges=json.dumps(edges),
        )
        done = insertion.of(rows)
        waiting = {row.table_name: row.run_id for row in done.returned}
        unheld = {one.run.run_id for one in done.refused}
        return Recorded(
            done.refused,
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
        return self._held(session, [run.table_name for run in runs])

    def _held(self, session: Session, table_names: Iterable[str]) -> frozenset[str]:
        tables = sorted(set(table_names))
        return frozenset(
            row.table_name for row in session.rows(self._sql(fan_outs.LOCK_STATUSES), tables=tables)
        )


class Insertion:
    """One statement over many rows, in the caller's transaction. Where PostgreSQL objects to a row, or
    somebody holds what a row refers to, they are halved until the culprits stand alone."""

    def __init__(self, session: Session, sql: str, **values: Any) -> None:
        self._session = session
        self._sql = sql
        self._values = values
        self._waited = 0.0
        #: The culprits.
        self.refused: list[NotRecorded] = []
        #: What the statement returned of the others.
        self.returned: list[Any] = []

    def of(self, rows: Sequence[tuple[NewRun, Row]]) -> Self:
        began = time.monotonic()
        try:
            with self._session.savepoint():
                self.returned += self._inserted(rows)
        except psycopg2.Error as error:
            locked = error.pgcode == errorcodes.LOCK_NOT_AVAILABLE
            if locked:
                self._waited += time.monotonic() - began
                self._session.run_text(SOON if self._waited < WAIT_SECONDS else AT_ONCE)
            elif (error.pgcode or "")[:2] not in ABOUT_A_ROW:
                raise
            if len(rows) > 1:
                middle = len(rows) // 2
                return self.of(rows[:middle]).of(rows[middle:])
            where = (error.diag.context or "its table isn't told").partition("\n")[0]
            reason = LOCKED.format(where=where) if locked else one_line(error)
            self.refused.append(NotRecorded(rows[0][0], reason, passing=locked))
        return self

    def _inserted(self, rows: Sequence[tuple[NewRun, Row]]) -> list[Any]:
        return self._session.rows(
            self._sql,
            tables=sorted({run.table_name for run, _ in rows}),
            # Not escaped: \\u2026 is refused by a database whose encoding has no ….
            runs=json.dumps([row for _, row in rows], ensure_ascii=False),
            shown=[run.run_id for run, row in rows if row["shown"]],
            **self._values,
        )
