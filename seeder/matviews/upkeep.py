"""What a run does to its matview: create it, refresh it, or say why neither will do."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import psycopg2

from seeder.database import Session
from seeder.errors import QueryChanged, TableTaken
from seeder.failures import judged
from seeder.history import Figures
from seeder.manifests import Manifest
from seeder.matviews import indexes, lock, measure, stamp
from seeder.matviews.adopt import same_meaning
from seeder.matviews.create import create
from seeder.matviews.lock import Found
from seeder.matviews.policy import Policy
from seeder.matviews.publishing import refuse_unfit_to
from seeder.matviews.refresh import Refreshed, refresh
from seeder.matviews.stamp import Stamp
from seeder.settings import OnQueryChange
from seeder.sql.directives import Index

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
    CREATED = "created"
    REFRESHED = "refreshed"


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


def bring_up_to_date(session: Session, manifest: Manifest, found: Found, policy: Policy) -> RefreshResult:
    """Create or refresh the manifest's matview. The caller holds its advisory lock.

    `policy` is the general one; what the manifest says itself is worked in here. Raises ManifestError (final)
    or TemporaryError (another try may help).
    """
    own = policy.of_manifest(manifest.directives)
    with lock.limited(session, own.limits, policy.limits):
        return _bring_up_to_date(session, manifest, found, own)


def _bring_up_to_date(session: Session, manifest: Manifest, found: Found, policy: Policy) -> RefreshResult:
    meter = session.meter()
    oid = found.oid
    if oid is None:
        wanted = Stamp(
            manifest.identity, manifest.source(policy.allowed_functions), manifest.query.fingerprint, None
        )
        made = create(session, manifest.matview, manifest.query, wanted, policy)
        usage = meter.usage()
        figures = Figures(made.records, made.total_bytes, usage.memory_mb, usage.cpu_percentage)
        return RefreshResult(Outcome.CREATED, figures)
    if found.kind != "m":
        raise TableTaken(table_name=manifest.table_name, kind=KINDS.get(found.kind or "", "relation"))
    current, note = _current_stamp(session, manifest, oid, found, policy)
    found, missing = _without_superfluous_indexes(session, manifest, found, policy, current)
    done = refresh(session, manifest.matview, found, policy, missing)
    _keep_statistics_true(session, manifest, found, current, done, policy)
    usage = meter.usage()
    figures = Figures(done.records, done.total_bytes, usage.memory_mb, usage.cpu_percentage)
    return RefreshResult(Outcome.REFRESHED, figures, " ".join(filter(None, (note, done.note))) or None)


def _current_stamp(
    session: Session, manifest: Manifest, oid: int, found: Found, policy: Policy
) -> tuple[Stamp | None, str | None]:
    """The stamp the matview should bear after this run, and what to note about its definition."""
    there = stamp.read(found.comment)
    source = manifest.source(policy.allowed_functions)
    if there and there.source == source and there.manifest == manifest.identity:
        return there, None
    wanted = Stamp(
        manifest.identity, source, manifest.query.fingerprint, there.analyzed_rows if there else None
    )
    if there and there.fingerprint == wanted.fingerprint:
        return wanted, None
    if not there and same_meaning(session, oid, manifest.query, policy):
        return wanted, None
    if policy.on_query_change is OnQueryChange.KEEP:
        return there, KEPT
    raise QueryChanged(table_name=manifest.table_name)


def _without_superfluous_indexes(
    session: Session, manifest: Manifest, found: Found, policy: Policy, current: Stamp | None
) -> tuple[Found, tuple[Index, ...]]:
    """Drop the indexes that are no longer asked for, and tell which are missing; nothing is looked up where
    the SQL is the one that the matview bears the stamp of.

    They go before the refresh, which a key that isn't one any more would end.
    """
    if found.oid is None or current is None or current.source != manifest.source(policy.allowed_functions):
        # An old definition is kept, and with it what belongs to it.
        return found, ()
    there = stamp.read(found.comment)
    wants_key = any(index.unique for index in policy.indexes)
    if there is not None and there.source == current.source and (found.keyed or not wants_key):
        return found, ()
    try:
        refuse_unfit_to(session, str(found.oid), policy)
        what = indexes.difference(indexes.existing(session, found.oid), policy.indexes)
        if what.superfluous:
            indexes.drop(session, what.superfluous, policy)
    except psycopg2.Error as error:
        raise judged(error) from error
    return replace(found, keyed=what.keyed), what.missing


def _keep_statistics_true(
    session: Session,
    manifest: Manifest,
    found: Found,
    current: Stamp | None,
    done: Refreshed,
    policy: Policy,
) -> None:
    """ANALYZE where the rows have moved, and write the stamp where it is no longer what it was."""
    matview = manifest.matview.quoted
    statements = []
    if measure.moved_noticeably(done.records, current.analyzed_rows if current else None):
        statements.append(f"analyze {matview};\n")
        current = current and replace(current, analyzed_rows=done.records)
    comment = stamp.written(found.comment, current) if current else None
    if comment and comment != found.comment:
        statements.append(f"comment on materialized view {matview} is %(comment)s;\n")
    if not statements:
        return
    try:
        session.run(policy.set_role + "".join(statements), comment=comment)
    except psycopg2.Error as error:
        raise judged(error) from error
