"""One run, from the message that a worker took to the record of how it ended.

``Claims.claim`` starts it (seeder.runs.start), ``Claim.refresh`` does the work, and one of ``succeed``,
``retry`` and ``fail`` records the end and releases the matview's lock, which is held over all of it. A worker
that was given up for dead, and whose run another has started since, moves nothing: its claim knows only its
own attempt.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import psycopg2
import structlog

from seeder.equipment import Equipment
from seeder.errors import (
    DatabaseTrouble,
    ManifestGone,
    ManifestMoved,
    QueryFailed,
    SeederError,
    UnknownDatabase,
)
from seeder.history import HistoryRepository, Seen
from seeder.manifests import Manifest, ManifestReader
from seeder.matviews import (
    Policy,
    RefreshResult,
    bring_up_to_date,
    is_much,
    policy_of,
    timed_out,
    vacuum_afterwards,
)
from seeder.matviews.locks import lock, slots
from seeder.postgres.databases import Databases, named_elsewhere
from seeder.postgres.failures import in_place, judged, one_line
from seeder.postgres.session import OWN_LIMITS, Session
from seeder.run_ids import manifest_identity
from seeder.runs.message import Message
from seeder.runs.moments import Moments
from seeder.runs.recording import CLOSING, insist
from seeder.runs.start import Started, start
from seeder.sql.names import MatviewName, matview_name

log = structlog.get_logger(__name__)


class Claims:
    """What a worker process needs to take runs on."""

    def __init__(
        self,
        databases: Databases,
        history: HistoryRepository,
        manifests: ManifestReader,
        policy: Policy,
        schema: str,
        limit_of: Callable[[int | None], int] = lambda _: 0,
        moments: Moments | None = None,
    ) -> None:
        self.databases = databases
        self.history = history
        self.manifests = manifests
        self.policy = policy
        self._schema = schema
        self._limit_of = limit_of
        self.moments = moments

    @classmethod
    def of(cls, equipment: Equipment, moments: Moments | None = None) -> Self:
        """Of a process' own."""
        return cls(
            equipment.databases,
            equipment.history,
            equipment.manifests,
            policy_of(equipment.settings),
            equipment.settings.db_schema,
            equipment.settings.limit_of,
            moments,
        )

    def claim(self, message: Message) -> "Claim":
        """Take the matview's lock and record the run as running.

        Raises Duplicate where there is nothing to do, TurnAwaited where another run has the lock or the
        database's last slot, ManifestError and TemporaryError where the run can't begin.
        """
        if message.database_id is not None and message.database_id not in self.databases:
            raise UnknownDatabase(database_id=message.database_id)
        matview = matview_name(message.table_name, self._schema)
        try:
            session = self._opened(message.database_id)
            try:
                started = start(
                    message,
                    matview,
                    session,
                    databases=self.databases,
                    history=self.history,
                    manifests=self.manifests,
                    limits=self.policy.limits,
                    slots_in_all=self._limit_of(message.database_id),
                )
                return Claim(self, message, matview, session, started)
            except BaseException:
                self.abandon(session, matview, message.database_id)
                raise
        except psycopg2.Error as error:
            raise judged(error) from error

    def _opened(self, database_id: int | None) -> Session:
        try:
            return self.databases.open(database_id)
        except psycopg2.Error as error:
            raise in_place(judged(error), named_elsewhere(database_id)) from error

    def abandon(self, session: Session, matview: MatviewName, database_id: int | None) -> None:
        """Release the lock, if it is held, and give the connection back."""
        try:
            if not session.closed:
                lock.release(session, matview)
        except psycopg2.Error:
            session.close()
        finally:
            self.databases.give_back(session, database_id)


@dataclass
class Claim:
    """A run that only this worker works on: its ``session`` holds the lock.

    It may lose the lock with the connection, and then the run to another worker, without noticing either.
    """

    claims: Claims
    message: Message
    matview: MatviewName
    session: Session
    started: Started
    result: RefreshResult | None = None
    unlocked: bool = False
    released: bool = False

    @property
    def tried(self) -> int:
        """How many tries of the run have failed or were lost before this one: what the record says, and where
        it has no column for that, what the message does."""
        return max(self.message.attempt, self.started.attempts or 0)

    @property
    def seen(self) -> Seen:
        """The attempt that this is."""
        return self.started.seen

    @property
    def manifest(self) -> Manifest:
        """The manifest as the start found it, which must still be what was queued."""
        identity = manifest_identity(self.message.report_type, self.message.manifest_id)
        manifest = self.started.manifest
        if manifest is None:
            raise ManifestGone(identity=identity)
        if (manifest.table_name, manifest.database_id) != (self.message.table_name, self.message.database_id):
            raise ManifestMoved(identity=identity, queued=self.message.table_name, now=manifest.table_name)
        return manifest

    def refresh(self) -> RefreshResult:
        policy = self.claims.policy
        manifest = self.manifest
        began, moments = time.monotonic(), self.claims.moments
        share = moments.of(self.message, manifest.agency_slug) if moments else None
        try:
            self.result = bring_up_to_date(self.session, manifest, self.started.found, policy, share)
        except (QueryFailed, DatabaseTrouble) as error:
            where, ran = named_elsewhere(self.message.database_id), time.monotonic() - began
            own = policy.of_manifest(manifest.directives).limits
            if self.session.closed:
                error = timed_out(self.claims.databases, self.message.database_id, ran) or error
            raise in_place(error, where, own.directive, ran=ran, limit=own.statement_timeout) from error
        return self.result

    def succeed(self) -> None:
        result = self.result
        if result is None:
            raise SeederError(what=f"{self.message.run_id} succeeded without a result")
        history, seen, tries = self.claims.history, self.seen, self.tried + 1
        self._record(
            lambda session: history.succeed(seen, result.figures, result.note, session, attempts=tries),
            "success",
        )

    def retry(self, errors: str, *, counts: bool = True) -> bool:
        """Says whether this worker is to arrange the next try: not where another one has the run by now.

        ``counts``: whether this was a try, and not a wait for a turn.
        """
        own, attempts = True, self.tried + 1 if counts else None

        def write(session: Session | None) -> None:
            nonlocal own
            own = self.claims.history.retry(self.seen, errors, session, attempts=attempts)

        self._record(write, "retry", with_release=False)
        if not own:
            log.warning("given up for dead meanwhile; the run is another's", run_id=self.message.run_id)
        return own

    def fail(self, errors: str) -> None:
        history, seen, tries = self.claims.history, self.seen, self.tried + 1
        self._record(lambda session: history.fail(seen, errors, session, attempts=tries), "error")

    def release(self) -> None:
        """Release the lock and give the connection back, unless that has been done."""
        if self.released:
            return
        self.released = True
        if self.unlocked:
            self.claims.databases.give_back(self.session, self.message.database_id)
        else:
            self.claims.abandon(self.session, self.matview, self.message.database_id)

    def clean_up(self) -> None:
        """Remove what the refresh left in the matview, if that is much: when the run is recorded and its lock
        released, so that nobody waits for it and nothing can become of it."""
        result, manifest = self.result, self.started.manifest
        if result is None or manifest is None or not self.released or CLOSING.is_set():
            return
        dead = result.dead
        if dead is None or not is_much(dead, result.figures.records):
            return
        try:
            own = self.claims.policy.of_manifest(manifest.directives)
            with self.claims.databases.session(self.message.database_id) as session:
                vacuum_afterwards(session, self.matview, own, dead)
        except psycopg2.Error as error:
            log.info("not vacuumed", run_id=self.message.run_id, reason=one_line(error))

    def _record(
        self, write: Callable[[Session | None], None], what: str, *, with_release: bool = True
    ) -> None:
        """Record the end and release the lock: in one round trip where both are in the reporting database,
        unless the caller needs what the write returns."""

        def attempt() -> None:
            try:
                attempt_once()
            except psycopg2.errors.LockNotAvailable:
                # While somebody holds the record, others need the slot; the matview's lock says we're alive.
                if not self.session.closed:
                    slots.give_back(self.session)
                raise

        def attempt_once() -> None:
            if self.session.closed or not self.claims.databases.same_database(self.message.database_id):
                write(None)
                return
            if with_release:
                lock.release_with_next(self.session, self.matview)
            else:
                self.session.run_text(OWN_LIMITS)
            write(self.session)
            self.unlocked = with_release

        def in_plain_words(words: str) -> None:
            self.claims.history.fail(self.seen, words, attempts=self.tried + 1)

        try:
            insist(attempt, what, self.message.run_id, otherwise=in_plain_words)
        finally:
            self.release()
