"""Manifests: rows of the contract's input tables become frozen values, and shared tables find their owner."""

import hashlib
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from seeder import __version__
from seeder.errors import FieldMissing, ManifestError, SharedTableConflict, UnknownDatabase, UnknownReport
from seeder.failures import expecting_contract
from seeder.models import ReportType
from seeder.session import Session
from seeder.sql import directives
from seeder.sql.directives import Directives
from seeder.sql.guard import SafeQuery, check
from seeder.sql.names import MatviewName, matview_name, quoted, render_table_name
from seeder.sql.placeholders import RenderedQuery, render_query

#: One row per manifest that counts. `enabled` is no column of canned manifests in the contract; going through
#: jsonb honours it where a deployment has one, and any other column it may have added is no concern of ours.
MANIFESTS = """
select 'custom' as report_type, m.id as manifest_id, m.table_name, m.report_name,
       m.agency_id, m.agency_slug, m.query, m.database_id, null as missing_report
from {schema}.seeder_custom_report_manifest m
where m.enabled or {off_too}
union all
select 'canned', m.id, r.table_name, r.report_name,
       m.agency_id, m.agency_slug, r.query, r.database_id,
       case when r.id is null then coalesce(m.canned_report_id::text, '') end
from {schema}.seeder_canned_report_manifest m
left join {schema}.seeder_canned_report r on r.id = m.canned_report_id
where coalesce((to_jsonb(m) ->> 'enabled')::boolean, true) or {off_too}
"""

ONE = """
select * from ({every}) m where m.report_type = %(report_type)s and m.manifest_id = %(manifest_id)s
"""

#: Of every manifest's row, those switched off too: a run of theirs may still be at work there.
PLACES = """
select 'custom-' || m.id as identity, m.database_id
from {schema}.seeder_custom_report_manifest m
union all
select 'canned-' || m.id, r.database_id
from {schema}.seeder_canned_report_manifest m
join {schema}.seeder_canned_report r on r.id = m.canned_report_id
"""


@dataclass(frozen=True)
class Manifest:
    """One manifest, as its row says it, with whatever a run needs worked out from it on demand.

    The properties raise ManifestError where the row can't be used, so that reading 10,000 manifests never
    fails because of one of them.
    """

    report_type: ReportType
    manifest_id: int
    raw_table_name: str
    report_name: str
    agency_id: int | None
    agency_slug: str
    raw_query: str
    database_id: int | None
    default_schema: str
    #: The id of the canned report that it subscribes to and that isn't there, empty where it names none;
    #: None is that nothing is missing.
    missing_report: str | None = None

    @property
    def identity(self) -> str:
        """``custom-12``: unique over both types, and part of every run_id."""
        return f"{self.report_type}-{self.manifest_id}"

    @cached_property
    def table_name(self) -> str:
        """The name as the record keeps it: as written, placeholders filled in where they can be."""
        try:
            return self._rendered_table_name()
        except ManifestError:
            return self.raw_table_name

    @cached_property
    def matview(self) -> MatviewName:
        return matview_name(self._rendered_table_name(), self.default_schema)

    @cached_property
    def query(self) -> SafeQuery:
        """The rendered SQL, past the guard."""
        self._require("query", self.raw_query.strip())
        return check(self.rendered_query)

    @cached_property
    def rendered_query(self) -> RenderedQuery:
        """The SQL with its placeholders filled in; nobody has judged it."""
        values = {
            "agency_id": self.agency_id,
            "agency_slug": self.agency_slug or None,
            "manifest_id": self.manifest_id,
        }
        return render_query(self.raw_query, values)

    @cached_property
    def directives(self) -> Directives:
        """What the SQL's leading comments say about the matview."""
        return directives.read(self.raw_query)

    def source(self, allowed_functions: Sequence[str]) -> str:
        """Hash of all that the rendered SQL, its directives and the guard's verdict on it depend on.

        Where it is the one a matview was stamped with, none of them has to be worked out again.
        """
        parts = (
            # A new release may judge otherwise.
            __version__,
            self.raw_query,
            self.agency_id,
            self.agency_slug,
            self.manifest_id,
            sorted(allowed_functions),
        )
        return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()

    def verify(self) -> None:
        """Raise what is wrong with the row itself; the query is judged by the run."""
        self._require_report()
        self._require("table_name", self.raw_table_name)
        self._require("agency_id", self.agency_id is not None)
        self._require("agency_slug", self.agency_slug)
        _ = self.matview

    def verify_database(self, databases: Container[int | None]) -> None:
        """Raise UnknownDatabase where its database isn't one of these."""
        if self.database_id is not None and self.database_id not in databases:
            raise UnknownDatabase(database_id=self.database_id)

    def _rendered_table_name(self) -> str:
        self._require_report()
        self._require("table_name", self.raw_table_name)
        if self.report_type is ReportType.CUSTOM or "{" not in self.raw_table_name:
            return self.raw_table_name
        self._require("agency_slug", self.agency_slug)
        return render_table_name(
            self.raw_table_name,
            agency_slug=self.agency_slug,
            agency_id=self.agency_id,
            manifest_id=self.manifest_id,
        )

    def _require_report(self) -> None:
        if self.missing_report is not None:
            self._require("canned_report_id", self.missing_report)
            raise UnknownReport(number=self.missing_report)

    def _require(self, field: str, present: object) -> None:
        if not present:
            raise FieldMissing(field=field)


class ManifestReader:
    """Reads manifests from the reporting database."""

    def __init__(self, schema: str) -> None:
        self._schema = schema
        self._all = MANIFESTS.format(schema=quoted(schema), off_too="false")
        self._off_too = MANIFESTS.format(schema=quoted(schema), off_too="true")
        self._places = PLACES.format(schema=quoted(schema))

    def every(self, session: Session) -> list[Manifest]:
        """All manifests that count, owners first: custom before canned, then by id."""
        with expecting_contract():
            found = session.rows(f"{self._all} order by report_type desc, manifest_id")
        return [self.manifest(row) for row in found]

    def has_any(self, session: Session) -> bool:
        """Whether there is any manifest, be it switched on or off."""
        with expecting_contract():
            return bool(session.row(f"select exists ({self._off_too}) as there").there)

    def has_table(self, session: Session, table_name: str) -> bool:
        """Whether any manifest, be it switched on or off, is of that table."""
        with expecting_contract():
            found = session.rows(self._off_too)
        return any(self.manifest(row).table_name == table_name for row in found)

    def databases(self, session: Session) -> dict[str, int | None]:
        """The database of each manifest by its identity, those switched off included."""
        with expecting_contract():
            return {row.identity: row.database_id for row in session.rows(self._places)}

    def databases_of(self, session: Session, identity: str) -> list[int | None]:
        """The database of one of them; empty where it is gone."""
        query = f"select database_id from ({self._places}) as place where identity = %(identity)s"
        with expecting_contract():
            return [row.database_id for row in session.rows(query, identity=identity)]

    @property
    def one(self) -> str:
        """A query for one manifest by ``report_type`` and ``manifest_id``; no row where it is gone or off."""
        return ONE.format(every=self._all)

    def find(self, session: Session, report_type: str, manifest_id: int) -> Manifest | None:
        """A manifest, be it switched on or off; None where it is gone."""
        with expecting_contract():
            row = session.row(
                ONE.format(every=self._off_too), report_type=report_type, manifest_id=manifest_id
            )
        return row and self.manifest(row)

    def manifest(self, row: Any) -> Manifest:
        """A row of these queries as a value."""
        return Manifest(
            report_type=ReportType(row.report_type),
            manifest_id=row.manifest_id,
            raw_table_name=row.table_name or "",
            report_name=row.report_name or "",
            agency_id=row.agency_id,
            agency_slug=row.agency_slug or "",
            raw_query=row.query or "",
            database_id=row.database_id,
            default_schema=self._schema,
            missing_report=row.missing_report,
        )


@dataclass(frozen=True)
class Shared:
    """Manifests sorted by whose table it is.

    ``owners`` have a table of their own, ``sharers`` maps the identity of a manifest that asks for the very
    same matview to its owner, ``refused`` pairs a manifest with what is wrong with it, and ``guests`` are the
    identities of those refused whose table_name, and with it its row of status, is another manifest's.
    """

    owners: tuple[Manifest, ...]
    sharers: dict[str, Manifest]
    refused: tuple[tuple[Manifest, ManifestError], ...]
    guests: frozenset[str]


def owned(manifests: Iterable[Manifest], databases: Container[int | None]) -> Shared:
    """Give each table to one manifest: custom before canned, then the lowest id.

    Whether its database is known is asked afterwards: a table doesn't change hands because SEEDER_DATABASES
    does.
    """
    owners: dict[str, Manifest] = {}
    sharers: dict[str, Manifest] = {}
    refused: list[tuple[Manifest, ManifestError]] = []
    for manifest in sorted(manifests, key=lambda m: (m.report_type != ReportType.CUSTOM, m.manifest_id)):
        try:
            manifest.verify()
            owner = owners.setdefault(str(manifest.matview), manifest)
            if owner is not manifest:
                _share(owner, manifest)
            manifest.verify_database(databases)
            if owner is not manifest:
                sharers[manifest.identity] = owner
        except ManifestError as error:
            refused.append((manifest, error))
    unusable = {manifest.identity for manifest, _ in refused}
    return Shared(
        tuple(owner for owner in owners.values() if owner.identity not in unusable),
        sharers,
        tuple(refused),
        _guests(owners.values(), refused),
    )


def _guests(owners: Iterable[Manifest], refused: Iterable[tuple[Manifest, ManifestError]]) -> frozenset[str]:
    # Where nobody owns a name, it is the first's that asks for it.
    first = {owner.table_name: owner for owner in owners}
    return frozenset(
        manifest.identity
        for manifest, error in refused
        if first.setdefault(manifest.table_name, manifest) is not manifest
        or isinstance(error, SharedTableConflict)
    )


def _share(owner: Manifest, other: Manifest) -> None:
    # The record has one row per table_name, so a name can't be used in two databases either.
    elsewhere = owner.database_id != other.database_id
    if elsewhere or _meaning(owner) != _meaning(other):
        raise SharedTableConflict(
            what="database_id" if elsewhere else "SQL",
            table_name=other.table_name,
            owner=owner.identity,
            owner_report=owner.report_name,
            owner_agency=owner.agency_slug,
        )


def _meaning(manifest: Manifest) -> Sequence[str]:
    """What two manifests of one table must agree on. Refused SQL agrees only with its like."""
    try:
        return ("accepted", manifest.query.fingerprint, str(manifest.directives))
    except ManifestError as error:
        return ("refused", manifest.raw_query, str(error))
