"""Frozen reports are let go of: each matview under its advisory lock, after another look at the manifests.

What is dropped is what was found, and only while nothing needs it: PostgreSQL itself refuses anything else,
since nothing is ever dropped with CASCADE. A manifest that comes while its matview is dropped has it made
anew by its next run, which waits for the same lock.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

import psycopg2
import structlog
from psycopg2 import errorcodes

from seeder.equipment import Equipment
from seeder.errors import MatviewChanged
from seeder.history import HistoryRepository, NewRun
from seeder.maintenance.frozen.finding import places_now, versions_now
from seeder.maintenance.frozen.places import Places
from seeder.maintenance.frozen.reports import FrozenMatview, FrozenReports, FrozenStatus, Kept, Why
from seeder.maintenance.frozen.wording import DROPPED, whose
from seeder.manifests import ManifestReader
from seeder.matviews import drop_stamped
from seeder.matviews.locks import lock
from seeder.matviews.locks.lock_key import key_of
from seeder.postgres.databases import Databases
from seeder.postgres.failures import one_line
from seeder.postgres.session import OWN_LIMITS
from seeder.run_ids import drop_id_of, drop_round_id, read_identity

log = structlog.get_logger(__name__)

#: What PostgreSQL refuses a drop with, and what that means.
REFUSED = {
    errorcodes.DEPENDENT_OBJECTS_STILL_EXIST: Kept.BUILT_ON,
    errorcodes.INSUFFICIENT_PRIVILEGE: Kept.NOT_OWNED,
    errorcodes.LOCK_NOT_AVAILABLE: Kept.IN_USE,
    errorcodes.DEADLOCK_DETECTED: Kept.IN_USE,
}


@dataclass(frozen=True)
class Outcome:
    """What became of a matview, or of a row of status, that was to go."""

    one: FrozenMatview | FrozenStatus
    #: None is gone.
    kept: Kept | None
    #: What the database said, where it said no to the drop or to recording it.
    said: str | None = None


class Dropping:
    """One round of it, in the name of somebody."""

    def __init__(
        self,
        databases: Databases,
        manifests: ManifestReader,
        history: HistoryRepository,
        schema: str,
        by: str,
    ) -> None:
        self._databases = databases
        self._manifests = manifests
        self._history = history
        self._schema = schema
        self._by = by
        #: What begins its rows of history: none is a seeding's, and they lie together in the index.
        self._round = drop_round_id(datetime.now(UTC))
        self._places: Places | None = None
        self._seen: str | None = None

    @classmethod
    def of(cls, equipment: Equipment, by: str) -> Self:
        """Of a process' own."""
        return cls(
            equipment.databases, equipment.manifests, equipment.history, equipment.settings.db_schema, by
        )

    def let_go(self, found: FrozenReports) -> Iterator[Outcome]:
        """Drop what of `found` isn't kept, and delete the rows of status; tells of each when it is done."""
        self._seen = found.manifests
        rows = {one.row.table_name: one for one in found.statuses}
        for number, matview in enumerate(found.matviews):
            if matview.kept is None:
                yield self._dropped(matview, drop_id_of(self._round, matview.manifest, number), rows)
        for row in found.alone:
            if row.kept is None:
                yield self._forgotten(row)

    def _dropped(self, one: FrozenMatview, run_id: str, rows: dict[str, FrozenStatus]) -> Outcome:
        key = key_of(one.stamped.name)
        try:
            with self._databases.session(one.database_id) as session:
                if not lock.try_lock(session, key):
                    return Outcome(one, Kept.BUSY)
                try:
                    definition = None if self._is_back(one) else drop_stamped(session, one.stamped)
                    if definition is None:
                        return Outcome(one, Kept.CHANGED)
                    said = self._recorded(one, run_id, definition, rows.get(one.table_name))
                    return Outcome(one, None, said)
                finally:
                    if not session.closed:
                        lock.unlock(session, key)
                        session.run_text(OWN_LIMITS)
        except MatviewChanged:
            return Outcome(one, Kept.CHANGED)
        except psycopg2.Error as error:
            said = self._databases.scrubbed(one_line(error))
            return Outcome(one, REFUSED.get(error.pgcode or "", Kept.FAILED), said)

    def _recorded(
        self, one: FrozenMatview, run_id: str, definition: str, row: FrozenStatus | None
    ) -> str | None:
        """Write down that it is gone; returns why that couldn't be done. The log has it in any case."""
        log.info(
            "dropped a matview that no manifest was of any more",
            matview=str(one.stamped.name), database_id=one.database_id, manifest=one.manifest, by=self._by,
        )  # fmt: skip
        report_type, manifest_id = read_identity(one.manifest)
        dropped = NewRun(
            run_id=run_id,
            report_type=report_type,
            manifest_id=manifest_id,
            table_name=one.table_name,
            report_name=one.report_name or "",
            agency_id=one.agency_id or 0,
            agency_slug=one.agency_slug or "",
        )
        words = DROPPED.format(by=self._by, whose=whose(one), definition=definition)
        try:
            self._history.abandoned.note_drop(dropped, words)
            if row is not None:
                self._history.abandoned.forget(row.row.table_name, row.row.updated_at)
        except psycopg2.Error as error:
            said = self._databases.scrubbed(one_line(error))
            log.warning("its drop can't be recorded", matview=str(one.stamped.name), reason=said)
            return said
        return None

    def _forgotten(self, one: FrozenStatus) -> Outcome:
        try:
            places = self._now()
            named = places is not None and (places.is_empty or one.row.table_name in places.table_names)
            if named or not self._history.abandoned.forget(one.row.table_name, one.row.updated_at):
                return Outcome(one, Kept.CHANGED)
        except psycopg2.Error as error:
            said = self._databases.scrubbed(one_line(error))
            return Outcome(one, REFUSED.get(error.pgcode or "", Kept.FAILED), said)
        log.info(
            "deleted the status of a table without a manifest", table_name=one.row.table_name, by=self._by
        )
        return Outcome(one, None)

    def _is_back(self, one: FrozenMatview) -> bool:
        """Whether a manifest is of it by now. Raises psycopg2.Error, SchemaIncomplete."""
        places = self._now()
        if places is None:
            return False
        verdict = places.verdict(one.database_id, one.stamped)
        return verdict is None or verdict[0] is Why.OFF or places.is_empty

    def _now(self) -> Places | None:
        """Where the manifests' matviews are now; None where no manifest has changed since they were found."""
        if versions_now(self._databases, self._schema) != self._seen:
            self._places, self._seen = places_now(self._databases, self._manifests, self._schema)
        return self._places
