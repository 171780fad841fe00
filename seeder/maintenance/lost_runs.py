"""Settles lost runs: those whose worker died, and those whose message was lost."""

import time
from collections.abc import Callable, Collection, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Self

import psycopg2
import structlog

from seeder.equipment import Equipment
from seeder.errors import NameRefused
from seeder.history import WINDOW_DAYS, HistoryRepository, Run
from seeder.history.optional import ColumnDropped
from seeder.maintenance.duties import SWEEP
from seeder.matviews.locks import lock
from seeder.models import RunStatus
from seeder.postgres.application_names import read_application_name
from seeder.postgres.databases import Databases
from seeder.run_ids import manifest_identity
from seeder.sql.names import MatviewName, matview_name

log = structlog.get_logger(__name__)

#: A run whose row was written this recently is left alone. That also covers the time between the record of a
#: fan-out and its messages.
QUIET_SECONDS = 60.0

#: How long a sweep waits, in all, for rows that other sessions hold; after that it skips such rows.
WAIT_SECONDS = 5.0

DIED = "Try {count} was lost: the worker or its connection died in the middle of the run; it is tried again."
GONE = "Try {count} was lost with its message (a worker or Redis died with it); it is queued again."
GIVEN_UP = (
    "Given up after {count} tries, the last of which was lost: its worker or the worker's process died (as "
    "when memory runs out), or Redis lost its message. The worker's log says more."
)


@dataclass(frozen=True)
class Swept:
    """What a sweep did: runs to be queued again, as they are now in the record, and runs that ended."""

    requeue: tuple[Run, ...]
    ended: tuple[Run, ...]


class Sweep:
    """Settles lost runs. Concurrent sweeps are harmless: each transition checks the row again."""

    def __init__(
        self,
        databases: Databases,
        history: HistoryRepository,
        schema: str,
        max_retries: int,
        quiet_seconds: float = QUIET_SECONDS,
        batch: int = SWEEP.batch,
    ) -> None:
        self._databases = databases
        self._history = history
        self._schema = schema
        self._max_retries = max_retries
        self._quiet_seconds = quiet_seconds
        self._batch = batch

    @classmethod
    def of(cls, equipment: Equipment, quiet_seconds: float = QUIET_SECONDS) -> Self:
        """With this process' databases and settings."""
        return cls(
            equipment.databases,
            equipment.history,
            equipment.settings.db_schema,
            equipment.settings.max_retries,
            quiet_seconds,
        )

    def settle(
        self,
        database_of: Mapping[str, int | None],
        queued: Callable[[], Container[str]],
        attempts: Callable[[Collection[str]], Mapping[str, int]] = lambda _: {},
        put_in_order: Callable[[Sequence[Run]], Container[str]] = lambda _: (),
    ) -> Swept:
        """Settle the unfinished runs that have been quiet for a while, up to a batch of them.

        ``database_of`` maps a manifest's identity to its database, also if it is disabled; ``queued`` returns
        the run_ids that have a message in a queue or are delayed, and is called only if there are pending
        runs; ``attempts`` returns how often runs were tried, for a record that doesn't know; ``put_in_order``
        is given those without a message, and returns the run_ids of those it has handled, as they wait.
        """
        unsettled = list(islice(self._unsettled(database_of, queued), self._batch + 1))
        if len(unsettled) > self._batch:
            unsettled.pop()
            log.warning("more runs are lost than one sweep settles; the next goes on", runs=self._batch)
        seen_to = put_in_order([run for run, words in unsettled if words == GONE])
        unsettled = [(run, words) for run, words in unsettled if run.run_id not in seen_to]
        requeue, ended, held, waited = [], [], [], 0.0
        elsewhere = attempts([run.run_id for run, _ in unsettled]) if unsettled else {}
        for run, words in unsettled:
            # Failed tries and lost tries are counted together, or a run that does both in turn would never
            # end.
            count = max(run.attempts or 0, elsewhere.get(run.run_id, 0)) + 1
            told = words.format(count=count)
            given_up = GIVEN_UP.format(count=count) if count > self._max_retries else None
            began = time.monotonic()
            try:
                moved = self._moved(run, told, given_up, count, patient=waited < WAIT_SECONDS)
            except ColumnDropped:
                # The next sweep finds the table as it is now.
                continue
            except psycopg2.errors.LockNotAvailable:
                waited += time.monotonic() - began
                held.append(run.run_id)
                continue
            if not moved:
                # Its row has changed meanwhile: the run is alive, or another sweep was first.
                continue
            if given_up:
                ended.append(run)
            else:
                requeue.append(_put_back(run, told, count))
            log.warning("settled by the sweep", run_id=run.run_id, table_name=run.table_name, tries=count)
        if held:
            log.warning(
                "not settled: other sessions hold the rows of these runs; the next sweep tries again",
                runs=len(held),
                first=held[0],
            )
        return Swept(tuple(requeue), tuple(ended))

    def _unsettled(
        self, database_of: Mapping[str, int | None], queued: Callable[[], Container[str]]
    ) -> Iterator[tuple[Run, str]]:
        """The lost runs, each with the text that says how it was lost."""
        quiet = self._history.unfinished(days=WINDOW_DAYS, quiet_seconds=self._quiet_seconds)
        for run in quiet:
            # While a database is down, nothing is known of a run that may be at work there.
            if run.status == RunStatus.RUNNING and self._is_at_work(run, database_of) is False:
                yield run, DIED
        waiting = [run for run in quiet if run.status == RunStatus.PENDING]
        on_its_way = queued() if waiting else ()
        for run in waiting:
            # A worker that has just taken the message has the lock before the record says so.
            if run.run_id not in on_its_way and not self._is_at_work(run, database_of):
                yield run, GONE

    def _moved(self, run: Run, told: str, given_up: str | None, count: int, *, patient: bool) -> bool:
        """→ pending with one text, or → error with the other; returns whether the row was as it was read.

        Raises psycopg2.errors.LockNotAvailable if another session holds one of its rows.
        """
        with self._history.soon() if patient else self._history.soon(milliseconds=1) as session:
            if not self._history.requeue(run.seen, told, self._quiet_seconds, session, attempts=count):
                return False
            if given_up:
                self._history.fail(_put_back(run, told, count).seen, given_up, session)
            return True

    def _is_at_work(self, run: Run, database_of: Mapping[str, int | None]) -> bool | None:
        """Whether the matview's lock is held in this run's name; None if a database that may have the matview
        is down."""
        try:
            matview = matview_name(run.table_name, self._schema)
        except NameRefused:
            return False
        identity = manifest_identity(run.report_type, run.manifest_id)
        # Without its manifest the run's database isn't known.
        maybe = [database_of[identity]] if identity in database_of else list(self._databases)
        answers = {
            database_id: self._is_at_work_on(database_id, matview, run.run_id)
            for database_id in maybe
            if database_id in self._databases
        }
        if True in answers.values():
            return True
        down = [database_id for database_id, answer in answers.items() if answer is None]
        if down and run.status == RunStatus.RUNNING:
            log.warning(
                "can't tell whether a run is at work: a database that may have it is down",
                run_id=run.run_id,
                table_name=run.table_name,
                databases=["reporting" if one is None else one for one in down],
            )
        return None if down else False

    def _is_at_work_on(self, database_id: int | None, matview: MatviewName, run_id: str) -> bool | None:
        try:
            with self._databases.session(database_id) as session:
                holder = lock.holder(session, matview)
        except psycopg2.Error:
            return None
        at_work = read_application_name(holder or "")
        return at_work is not None and at_work[0] == run_id


def _put_back(run: Run, errors: str, attempts: int) -> Run:
    return replace(run, status=RunStatus.PENDING, errors=errors, attempts=attempts)
