"""One manifest as a frozen value."""

import hashlib
from collections.abc import Container, Sequence
from dataclasses import dataclass
from functools import cached_property

from seeder import __version__
from seeder.errors import FieldMissing, FieldUnreadable, ManifestError, UnknownDatabase, UnknownReport
from seeder.models import ReportType
from seeder.run_ids import manifest_identity
from seeder.sql import directives
from seeder.sql.directives import Directives
from seeder.sql.guard import SafeQuery, check
from seeder.sql.names import MatviewName, matview_name, render_table_name
from seeder.sql.placeholders import RenderedQuery, render_query


@dataclass(frozen=True)
class Manifest:
    """One manifest as its row has it; what a run needs is computed from it on demand.

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
    #: The field whose bytes aren't text; the first of them, where it is several.
    unreadable: str | None = None

    @cached_property
    def identity(self) -> str:
        """``custom-12``: unique over both types, and part of every run_id."""
        return manifest_identity(self.report_type, self.manifest_id)

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
        """The rendered SQL, if the guard accepts it."""
        self._require_text()
        self._require("query", self.raw_query.strip())
        return check(self.rendered_query)

    @cached_property
    def rendered_query(self) -> RenderedQuery:
        """The SQL with its placeholders filled in, not checked by the guard."""
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

    @cached_property
    def after(self) -> tuple[MatviewName, ...]:
        """The matviews that are to be fresh before its own is refreshed, whatever its query reads."""
        rendered = (self._filled(name) for name in self.directives.after)
        return tuple(matview_name(name, self.default_schema) for name in rendered)

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
        """Raise what is wrong with the row itself; a run also checks the query."""
        self._require_text()
        self._require_report()
        self._require("table_name", self.raw_table_name)
        self._require("agency_id", self.agency_id is not None)
        self._require("agency_slug", self.agency_slug)
        _ = self.matview

    def verify_database(self, databases: Container[int | None]) -> None:
        """Raise UnknownDatabase if its database isn't configured."""
        if self.database_id is not None and self.database_id not in databases:
            raise UnknownDatabase(database_id=self.database_id)

    def _rendered_table_name(self) -> str:
        self._require_report()
        self._require("table_name", self.raw_table_name)
        if self.report_type is ReportType.CUSTOM or "{" not in self.raw_table_name:
            return self.raw_table_name
        self._require("agency_slug", self.agency_slug)
        return self._filled(self.raw_table_name)

    def _filled(self, template: str) -> str:
        return render_table_name(
            template,
            agency_slug=self.agency_slug,
            agency_id=self.agency_id,
            manifest_id=self.manifest_id,
        )

    def _require_text(self) -> None:
        if self.unreadable is not None:
            raise FieldUnreadable(field=self.unreadable)

    def _require_report(self) -> None:
        if self.missing_report is not None:
            self._require("canned_report_id", self.missing_report)
            raise UnknownReport(number=self.missing_report)

    def _require(self, field: str, present: object) -> None:
        if not present:
            raise FieldMissing(field=field)
