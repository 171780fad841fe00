"""``HistoryRepository``, the only writer of runs and status. Its reading half is seeder.history.reading."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache
from typing import Any

from seeder.history import optional, queries, transitions
from seeder.history.abandoned import Abandoned
from seeder.history.inserting import ManyRuns, Upstreams
from seeder.history.optional import Kept, OptionalColumns
from seeder.history.reading import RecordReader
from seeder.history.rows import Figures, NewRun, NotRecorded, Recorded, Refusal, Seen, Unchanged
from seeder.history.standing import as_cancelled, as_failure
from seeder.history.upstreams import UpstreamRuns
from seeder.postgres.databases import Databases
from seeder.postgres.prepared import Prepared
from seeder.postgres.session import Session
from seeder.wording import shortened

#: A query of no columns, for a start that reads nothing beside.
NOTHING = "select"


class HistoryRepository(RecordReader):
    """The record of all runs, in the reporting database.

    Every method that moves a run takes the session to write through, or opens one of its own; each is one
    round trip and one transaction, and harmless when repeated. What moves a run that is at work, or might be,
    takes it as it was seen, and does nothing where it isn't so any more. Errors are shortened where they are
    long (seeder.wording.shortened).
    """

    def __init__(self, databases: Databases, schema: str) -> None:
        super().__init__(databases, schema)
        #: Of tables that no manifest names any more.
        self.abandoned = Abandoned(self.using, self.sql)
        self._many = ManyRuns(self.sql, schema)
        #: What runs wait for, and those that end because of it.
        self.upstreams = UpstreamRuns(self.using, self.sql, self._many)
        self._prepared_start = cache(self._start_beside)
        self._prepared_move = cache(self._move_of)
        self._optional = OptionalColumns(self.sql(optional.KEPT))

    @contextmanager
    def at_once(self) -> Iterator[Session]:
        """A session for what is recorded whole or not at all, should the process die meanwhile."""
        with self.using(None) as session, session.transaction():
            yield session

    @contextmanager
    def one_fan_out(self, seeding_id: str) -> Iterator[None]:
        """Of several fan-outs of one seeding, one at a time."""
        with self.using(None) as session, self._many.alone(session, seeding_id):
            yield

    def queue(
        self,
        runs: Sequence[NewRun],
        upstreams: Upstreams | None = None,
        *,
        scheduled: bool = False,
        session: Session | None = None,
    ) -> Recorded:
        """Record runs as pending, but those of a table of which a run is pending already.

        ``upstreams``: of each run those of the others that it is to wait for; where one of them is recorded,
        so is the run. ``scheduled``: for a tick of the schedule, where only the run of another tick counts. A
        refusal comes from a constraint the schema's owners added, such as a foreign key, or from a value
        that no row can hold; it costs only the rows it is about. A status row that somebody holds costs
        nothing: its run is recorded and queued like all others, but doesn't show yet.
        """
        with self.using(session) as open_session:
            return self._many.queue(open_session, runs, upstreams or {}, scheduled=scheduled)

    def refuse(self, refusals: Sequence[Refusal], session: Session | None = None) -> list[NotRecorded]:
        """Record runs that end as error before they begin. Returns those the database refuses to hold.

        Where somebody holds the table's status row, the run is pending for now: `fail` ends it once they let
        go, and if that never comes the sweep has it begun, which ends it too.
        """
        with self.using(session) as open_session:
            return self._many.refuse(open_session, refusals)

    def unchanged(self, runs: Sequence[Unchanged], session: Session | None = None) -> frozenset[str]:
        """pending → success, without having been at work. Returns those that were pending, and of whose rows
        nobody holds one; the others are runs as any."""
        if not runs:
            return frozenset()
        with self.using(session) as open_session:
            kept = self._optional.wanted(open_session, note=runs[0].note, attempts=None)
            return self._many.unchanged(open_session, runs, with_notes=kept.note)

    def show(self, runs: Sequence[NewRun]) -> list[NewRun]:
        """Show runs that were queued while somebody held their table's status row; returns those of which
        somebody still does."""
        with self.using(None) as session:
            return self._many.show(session, runs)

    def start(self, run_id: str, table_name: str, session: Session | None = None) -> Seen | None:
        """pending → running, by a caller that holds the matview's advisory lock.

        Returns the run as it is now: a terminal one is left as it is; None is no such run.
        """
        row = self.start_beside(NOTHING, run_id, table_name, session)
        return Seen(run_id, table_name, row.status, row.start_time) if row.status else None

    def start_beside(
        self,
        beside: str,
        run_id: str,
        table_name: str,
        session: Session | None = None,
        *,
        before: tuple[str, ...] = (),
        only_if: str = "true",
        **values: Any,
    ) -> Any:
        """``start``, and in the same round trip a row of the query ``beside``.

        The statements ``before`` go before the start, but after the status row is locked, so that they hold
        nothing while that is waited for; and the run only starts where the condition ``only_if`` then
        holds. All take ``values``. Returns a row of ``status``, ``start_time``, ``attempts`` and the query's
        columns, null where it had no row.
        """
        start = self._prepared_start(beside, before, only_if)
        with self.using(session) as open_session:
            row = open_session.row(start, run_id=run_id, table_name=table_name, **values)
        self._optional.saw(row)
        return row

    def retry(
        self, seen: Seen, errors: str, session: Session | None = None, *, attempts: int | None = None
    ) -> bool:
        """running → pending: the run will be begun again; why is kept. Says whether it was the mover's to say
        so. ``attempts``: how many tries have failed or were lost with this one; None where it was none."""
        return bool(
            self._move(transitions.RETRY, seen, session, attempts, errors=shortened(as_failure(errors)))
        )

    def requeue(
        self,
        seen: Seen,
        errors: str,
        quiet_seconds: float,
        session: Session | None = None,
        *,
        attempts: int | None = None,
    ) -> bool:
        """→ pending, if the run is still as it was seen and nobody has written it for that long; says whether
        it was. ``attempts`` as for ``retry``."""
        values = asdict(seen) | {"errors": shortened(as_failure(errors)), "attempts": attempts}
        with self.using(session) as open_session:
            kept = self._optional.wanted(open_session, note=None, attempts=attempts)
            statements = transitions.LOCK_STATUS, transitions.REQUEUE, transitions.REQUEUED
            text = ";\n".join(self.sql(one, **kept.pieces()) for one in statements)
            with self._optional.writing(kept):
                row = open_session.row(text, **values, quiet_seconds=quiet_seconds)
        return bool(row and row.done)

    def succeed(
        self,
        seen: Seen,
        figures: Figures,
        note: str | None = None,
        session: Session | None = None,
        *,
        attempts: int | None = None,
    ) -> None:
        """running → success; ``note`` is what a person should know nevertheless, as far as a column takes it.
        ``attempts``: how many tries there were with this one."""
        note = None if note is None else shortened(note)
        self._move(transitions.SUCCEED, seen, session, attempts, note, **asdict(figures))

    def fail(
        self, seen: Seen, errors: str, session: Session | None = None, *, attempts: int | None = None
    ) -> None:
        """→ error, which counts as one more failure in a row. ``attempts`` as for ``succeed``; None where
        nothing was tried."""
        self._move(transitions.FAIL, seen, session, attempts, errors=shortened(as_failure(errors)))

    def cancel(self, seen: Seen, by: str, session: Session | None = None) -> None:
        """→ error, of a run that somebody ended; ``by``: who, and when."""
        self._move(transitions.FAIL, seen, session, None, errors=shortened(as_cancelled(by)))

    @contextmanager
    def soon(self, milliseconds: int = 100) -> Iterator[Session]:
        """A transaction that waits no longer than that for a lock, for callers that have other work to do."""
        with self.at_once() as session:
            session.run_text(f"set local lock_timeout = {milliseconds}")
            yield session

    @contextmanager
    def holding(self, table_name: str) -> Iterator[Session]:
        """A transaction that holds the table's status row: until it ends, no run of the table moves.

        A run releases its matview's lock after it has recorded its end, so no run gets past that either.
        """
        with self.using(None) as session, session.transaction():
            session.run(self.sql(transitions.LOCK_STATUS), table_name=table_name)
            yield session

    def prune(self, days: int, batch: int) -> int:
        """Delete so many finished runs older than that many days, but each table's last; returns how many."""
        with self.using(None) as session:
            return session.run(self.sql(queries.PRUNE), days=days, batch=batch)

    def _move(
        self,
        statement: str,
        seen: Seen,
        session: Session | None,
        attempts: int | None,
        note: str | None = None,
        **values: Any,
    ) -> int:
        values |= asdict(seen) | {"attempts": attempts, "note": note}
        with self.using(session) as open_session:
            kept = self._optional.wanted(open_session, note=note, attempts=attempts)
            with self._optional.writing(kept):
                return open_session.run(self._prepared_move(statement, kept), **values)

    def _move_of(self, statement: str, kept: Kept) -> Prepared:
        return Prepared("move", (self.sql(transitions.LOCK_STATUS), self.sql(statement, **kept.pieces())))

    def _start_beside(self, beside: str, before: tuple[str, ...], only_if: str) -> Prepared:
        start = self.sql(transitions.START, only_if=only_if)
        read = self.sql(transitions.STARTED, beside=beside)
        return Prepared(
            "start",
            (self.sql(transitions.LOCK_STATUS), *before, start, read),
            first=transitions.START_SOON + (transitions.START_UNFLUSHED if before else ""),
        )
