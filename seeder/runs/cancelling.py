"""Stop runs on purpose: for a person, for Celery, or because their worker shuts down.

The record comes first. While the table's status row is locked, the run is moved, and the backend that holds
the matview's lock in this run's name is told to cancel its statement. A run records its end before it
releases the matview's lock, and for that it needs the same status row; so the cancel can't hit that backend's
next run. What the worker reports later of a run that is over changes nothing.

A person stops a run whichever worker it is on. A worker stops its own attempt only: it may have been given up
for dead, and another worker may have the run by now.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

import psycopg2
import structlog

from seeder.equipment import Equipment
from seeder.errors import DatabaseUnreachable, NameRefused, UnknownRunOrTable
from seeder.history import HistoryRepository, Run, Seen
from seeder.manifests import ManifestReader
from seeder.matviews.locks import lock
from seeder.models import RunStatus
from seeder.postgres.application_names import read_application_name
from seeder.postgres.databases import Databases
from seeder.postgres.session import Session
from seeder.run_ids import manifest_identity
from seeder.sql.names import MatviewName, matview_name

log = structlog.get_logger(__name__)

TERMINAL = (RunStatus.SUCCESS, RunStatus.ERROR)

#: A cancelled statement has ended after 50 ms (PostgreSQL 15 and 18), unless it is busy rolling back.
ENDING_SECONDS = 5.0
#: Between two checks whether it has ended; each cancels the statement again.
PAUSE_SECONDS = 0.05


class Ending(StrEnum):
    """What a run becomes that is stopped."""

    #: → error, as ended by somebody.
    CANCELLED = "cancelled"
    #: → error, through a fault of its own.
    FAILED = "failed"
    #: → pending. The caller queues the run again once no session works on it.
    HANDED_BACK = "handed back"


@dataclass(frozen=True)
class Stopped:
    """What became of a request to stop a run."""

    #: As it was before, or, if it was over already, as it is.
    run: Run
    #: Whether this call moved it; False means that it was over already.
    moved: bool
    #: Whether it is known that no session works on it any more.
    ended: bool
    #: Unreachable databases where a session may work on it: its manifest, which would say which, is gone.
    unreachable: tuple[int | None, ...] = ()


class Cancellation:
    """Ends runs in the database, whatever pool and whichever machine they run on."""

    def __init__(
        self, databases: Databases, history: HistoryRepository, manifests: ManifestReader, schema: str
    ) -> None:
        self._databases = databases
        self._history = history
        self._manifests = manifests
        self._schema = schema
        self._moves: dict[Ending, Callable[[Seen, str, Session], object]] = {
            Ending.CANCELLED: history.cancel,
            Ending.FAILED: history.fail,
            Ending.HANDED_BACK: history.retry,
        }

    @classmethod
    def of(cls, equipment: Equipment) -> Self:
        """Of a process' own."""
        return cls(equipment.databases, equipment.history, equipment.manifests, equipment.settings.db_schema)

    def cancel_named(self, name: str, by: str) -> list[Stopped]:
        """For a person: end one run, or all unfinished runs of a table, those still queued first.

        Raises UnknownRunOrTable, and DatabaseUnreachable where the run's database is known: the run is then
        as it was.
        """
        stopped = []
        for run in self._meant(name):
            when = "in the middle of the run" if run.status == RunStatus.RUNNING else "before it started"
            known, unreachable = self._databases_of(run)
            if one := self.stop(run.run_id, Ending.CANCELLED, f"{by} {when}.", known):
                if one.moved and unreachable:
                    one = replace(one, ended=False, unreachable=unreachable)
                stopped.append(one)
        return stopped

    def _meant(self, name: str) -> list[Run]:
        if run := self._history.run(name):
            return [run]
        # While the running one is being ended, none of the others must start.
        found = sorted(self._history.unfinished_of_table(name), key=lambda run: run.status)
        if not found and not self._history.runs_of_table(name, 1) and not self._history.jobs(table_name=name):
            raise UnknownRunOrTable(name=name)
        return found

    def _databases_of(self, run: Run) -> tuple[list[int | None], tuple[int | None, ...]]:
        """The manifest's database; where the manifest is gone, all that answer, and those that don't."""
        with self._databases.session() as session:
            found = self._manifests.databases_of(session, manifest_identity(run.report_type, run.manifest_id))
        for database_id in found:
            if database_id in self._databases:
                self._databases.verify(database_id)
        if found:
            return found, ()
        unreachable = []
        for database_id in self._databases:
            try:
                self._databases.verify(database_id)
            except DatabaseUnreachable:
                unreachable.append(database_id)
        return [one for one in self._databases if one not in unreachable], tuple(unreachable)

    def stop(
        self,
        run_id: str,
        ending: Ending,
        words: str,
        database_ids: Sequence[int | None],
        *,
        attempt: int | None = None,
        patience: float = ENDING_SECONDS,
    ) -> Stopped | None:
        """End the run, and the statement of the session that works on it; None where there is no such run.

        ``words``: who cancelled it and when, why it failed, or why it is handed back.
        ``database_ids``: where its matview may be.
        ``attempt``: only if no session works on another one; None is whichever.
        ``patience``: for how many seconds to wait until no session works on it any more.

        Of several calls for one run one wins; the others find it over. Raises psycopg2.Error where a database
        can't be reached; the run is then as it was.
        """
        run = self._history.run(run_id)
        if run is None:
            return None
        with self._history.holding(run.table_name) as session:
            run = self._history.run(run_id, session) or run
            if run.status in TERMINAL:
                return Stopped(run, moved=False, ended=True)
            if attempt is not None and self._is_anothers(run, attempt, database_ids, session):
                log.warning("not stopped: another worker has it by now", run_id=run_id, words=words)
                return Stopped(run, moved=False, ended=False)
            self._moves[ending](run.seen, words, session)
            busy = self._tell(run, database_ids, session)
        deadline = time.monotonic() + patience
        while busy and time.monotonic() < deadline:
            time.sleep(PAUSE_SECONDS)
            try:
                with self._history.holding(run.table_name) as session:
                    busy = self._tell(run, database_ids, session)
            except psycopg2.errors.LockNotAvailable:
                # Somebody else has taken the row since. The run is moved; its end isn't known.
                break
        log.info(
            "run stopped",
            run_id=run_id,
            table_name=run.table_name,
            ending=ending,
            words=words,
            ended=not busy,
        )
        return Stopped(run, moved=True, ended=not busy)

    def _tell(self, run: Run, database_ids: Sequence[int | None], reporting: Session) -> bool:
        """Cancel the statement of each session that works on the run; says whether there was one."""
        busy = False
        for session, matview in self._places(run, database_ids, reporting):
            busy |= lock.cancel_holder(session, matview, run.run_id)
        return busy

    def _is_anothers(
        self, run: Run, attempt: int, database_ids: Sequence[int | None], reporting: Session
    ) -> bool:
        """Whether a session works on another attempt of the run."""
        for session, matview in self._places(run, database_ids, reporting):
            at_work = read_application_name(lock.holder(session, matview) or "")
            if at_work and at_work[0] == run.run_id and at_work[1] != attempt:
                return True
        return False

    def _places(
        self, run: Run, database_ids: Sequence[int | None], reporting: Session
    ) -> Iterator[tuple[Session, MatviewName]]:
        """Where its matview may be, each with a session."""
        try:
            matview = matview_name(run.table_name, self._schema)
        except NameRefused:
            return
        for database_id in database_ids:
            if database_id in self._databases:
                with self._session(database_id, reporting) as session:
                    yield session, matview

    @contextmanager
    def _session(self, database_id: int | None, reporting: Session) -> Iterator[Session]:
        if self._databases.same_database(database_id):
            yield reporting
        else:
            with self._databases.session(database_id) as session:
                yield session
