"""What a run does to its matview: create it, refresh it, rebuild it, or say why none of these will do."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import psycopg2

from seeder.database import Session
from seeder.errors import QueryChanged, QueryFailed, TableTaken
from seeder.failures import judged
from seeder.history import Figures
from seeder.manifests import Manifest
from seeder.matviews import indexes, keys, lock, measure, stamp
from seeder.matviews.copies import discard
from seeder.matviews.create import create
from seeder.matviews.functions import refuse_volatile
from seeder.matviews.indexes import Difference
from seeder.matviews.lock import Found
from seeder.matviews.meaning import compare, new_stamp
from seeder.matviews.policy import Policy
from seeder.matviews.publishing import Terms, refuse_unfit, refuse_unfit_to, settle_copy
from seeder.matviews.refresh import How, Refreshed, choose, refresh
from seeder.matviews.stamp import Stamp
from seeder.matviews.swap import BeforeExchange, swap
from seeder.settings import OnQueryChange
from seeder.sql.directives import Index
from seeder.sql.guard import SafeQuery

#: pg_class.relkind, https://www.postgresql.org/docs/current/catalog-pg-class.html
KINDS = {
    "r": "table",
    "p": "partitioned table",
    "v": "view",
    "f": "foreign table",
    "i": "index",
    "I": "partitioned index",
    "S": "sequence",
    "c": "composite type",
}

KEPT = "The manifest's SQL has changed; the matview keeps its old definition (SEEDER_ON_QUERY_CHANGE=keep)."


class Outcome(StrEnum):
    """What was done."""

    CREATED = "created"
    #: Its own definition, the rows anew: plain or concurrently, ...
    REFRESHED = "refreshed"
    #: ... or beside it.
    SWAPPED = "swapped"
    #: A new definition, beside it.
    REBUILT = "rebuilt"


@dataclass(frozen=True)
class RefreshResult:
    outcome: Outcome
    figures: Figures
    #: What a person should know although it went well.
    note: str | None = None

    def as_dict(self) -> dict[str, Any]:
        return {
            "outcome": str(self.outcome),
            "records": self.figures.records,
            "bytes": self.figures.total_bytes,
            "note": self.note,
        }


@dataclass(frozen=True)
class _Done:
    outcome: Outcome
    records: int
    total_bytes: int
    note: str | None = None


def bring_up_to_date(
    session: Session,
    manifest: Manifest,
    found: Found,
    policy: Policy,
    before_exchange: BeforeExchange | None = None,
) -> RefreshResult:
    """Create, refresh or rebuild the manifest's matview. The caller holds its advisory lock.

    `policy` is the general one; what the manifest says itself is worked in here. Raises ManifestError (final)
    or TemporaryError (another try may help).
    """
    own = policy.of_manifest(manifest.directives)
    with lock.limited(session, own.limits, policy.limits):
        meter = session.meter()
        if found.leftover is not None:
            discard(session, found.leftover, own)
        done = _Upkeep(session, manifest, found, own, before_exchange).done()
        usage = meter.usage()
        figures = Figures(done.records, done.total_bytes, usage.memory_mb, usage.cpu_percentage)
        return RefreshResult(done.outcome, figures, done.note)


@dataclass(frozen=True)
class _Upkeep:
    """One run's work on its matview."""

    session: Session
    manifest: Manifest
    found: Found
    policy: Policy
    before_exchange: BeforeExchange | None

    def done(self) -> _Done:
        oid = self.found.oid
        if oid is None:
            return self._create()
        if self.found.kind != "m":
            kind = KINDS.get(self.found.kind or "", "relation")
            raise TableTaken(table_name=self.manifest.table_name, kind=kind)
        meaning = compare(self.session, self.manifest, oid, self.found, self.policy)
        if meaning.same:
            return self._refresh(oid, meaning.wanted)
        match self.policy.on_query_change:
            case OnQueryChange.REBUILD:
                return self._rebuild(oid)
            case OnQueryChange.KEEP:
                return self._refresh(oid, meaning.there, KEPT)
            case OnQueryChange.ERROR:
                raise QueryChanged(table_name=self.manifest.table_name)

    def _create(self) -> _Done:
        manifest, policy = self.manifest, self.policy
        wanted = new_stamp(manifest, policy)
        made = create(self.session, manifest.matview, manifest.query, wanted, policy)
        return _Done(Outcome.CREATED, made.records, made.total_bytes)

    def _rebuild(self, oid: int) -> _Done:
        query, policy = self.manifest.query, self.policy
        refuse_unfit(self.session, query, policy)
        refuse_volatile(self.session, query, policy.allowed_functions, policy.set_role)
        what = self._without_superfluous_indexes(oid)
        return self._swap(Outcome.REBUILT, oid, query, new_stamp(self.manifest, policy), what.missing)

    def _refresh(self, oid: int, current: Stamp | None, note: str | None = None) -> _Done:
        """`current` is the stamp that the matview should bear, None where it isn't ours."""
        found = self.found
        missing: tuple[Index, ...] = ()
        if not self._is_in_step(current):
            try:
                refuse_unfit_to(self.session, str(oid), self.policy)
            except psycopg2.Error as error:
                raise judged(error) from error
            what = self._without_superfluous_indexes(oid)
            found, missing = replace(found, keyed=what.keyed), what.missing
        how, reason = choose(found, self.policy)
        if how is How.SWAP:
            notes = " ".join(filter(None, (note, reason)))
            return self._swap(Outcome.SWAPPED, oid, None, current, missing, notes or None)
        done = refresh(self.session, self.manifest.matview, found, self.policy, missing)
        self._keep_statistics_true(current, done)
        notes = " ".join(filter(None, (note, done.note)))
        return _Done(Outcome.REFRESHED, done.records, done.total_bytes, notes or None)

    def _swap(
        self,
        outcome: Outcome,
        oid: int,
        query: SafeQuery | None,
        current: Stamp | None,
        missing: tuple[Index, ...],
        note: str | None = None,
    ) -> _Done:
        terms = Terms(missing, self.policy.expect)

        def publish(session: Session, copy: str) -> None:
            if terms:
                settle_copy(session, matview, copy, terms, self.found, self.policy)
            if self.before_exchange:
                self.before_exchange(session, copy)

        def comment(now: str | None, records: int) -> str | None:
            return stamp.written(now, replace(current, analyzed_rows=records)) if current else now

        matview = self.manifest.matview
        try:
            built = swap(self.session, matview, oid, query, comment, self.policy, publish)
        except QueryFailed as error:
            text = query.text if query else None
            if key_error := keys.refused_key_of_copy(self.session, matview, oid, text, self.policy, error):
                raise key_error from error
            raise
        return _Done(outcome, built.records, built.total_bytes, note)

    def _is_in_step(self, current: Stamp | None) -> bool:
        """Whether the indexes needn't be looked at: the SQL is the one that the matview bears the stamp of,
        or its old definition is kept, and with it what belongs to it."""
        if current is None or current.source != self.manifest.source(self.policy.allowed_functions):
            return True
        wants_key = any(index.unique for index in self.policy.indexes)
        there = stamp.read(self.found.comment)
        is_known = there is not None and there.source == current.source
        return is_known and (self.found.keyed or not wants_key)

    def _without_superfluous_indexes(self, oid: int) -> Difference:
        """Drop the indexes that are no longer asked for, and tell which are missing.

        They go before the refresh, which a key that isn't one any more would end, and a rebuild would carry
        over.
        """
        try:
            what = indexes.difference(indexes.existing(self.session, oid), self.policy.indexes)
            if what.superfluous:
                indexes.drop(self.session, what.superfluous, self.policy)
        except psycopg2.Error as error:
            raise judged(error) from error
        return what

    def _keep_statistics_true(self, current: Stamp | None, done: Refreshed) -> None:
        """ANALYZE where the rows have moved, and write the stamp where it is no longer what it was."""
        matview, before = self.manifest.matview.quoted, self.found.comment
        statements = []
        if measure.moved_noticeably(done.records, current.analyzed_rows if current else None):
            statements.append(f"analyze {matview};\n")
            current = current and replace(current, analyzed_rows=done.records)
        comment = stamp.written(before, current) if current else None
        if comment and comment != before:
            statements.append(f"comment on materialized view {matview} is %(comment)s;\n")
        if not statements:
            return
        try:
            self.session.run(self.policy.set_role + "".join(statements), comment=comment)
        except psycopg2.Error as error:
            raise judged(error) from error
