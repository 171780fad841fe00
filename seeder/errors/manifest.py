"""Errors that the manifest's author corrects; the run ends as ``error`` at once."""

from seeder.errors.base import Fact, SeederError
from seeder.errors.reports import Position, Report


class ManifestError(SeederError):
    """{what}"""

    @property
    def position(self) -> Position | None:
        """Where in the manifest's SQL it is, if it is about a place there."""
        position = self.facts.get("position")
        return position if isinstance(position, Position) else None


class FieldMissing(ManifestError):
    """The manifest has no {field}. Fill {field} in its row."""


class FieldUnreadable(ManifestError):
    """The manifest's {field} holds bytes that are no text: not UTF-8, or nothing in the database's encoding.
    Write {field} in its row anew."""


class UnknownReport(ManifestError):
    """There is no canned report {number} in seeder_canned_report. Correct canned_report_id in the manifest's
    row, or add that report."""


class NameRefused(ManifestError):
    """The table name {name!r} can't be used: {reason}. Change table_name in the manifest."""

    reason = Fact[str]()


class PlaceholderRefused(ManifestError):
    """The placeholder {placeholder} can't be filled: {reason}."""

    reason = Fact[str]()


class QueryPlaceholderRefused(PlaceholderRefused):
    """The placeholder {placeholder} can't be filled: {reason} ({position})."""


class DirectiveRefused(ManifestError):
    """The directive can't be used: {reason} ({position}). docs/manifests.md says what a manifest can ask for
    in its SQL's leading comment."""

    reason = Fact[str]()
    position = Fact[Position]()


class QueryRefused(ManifestError):
    """The query is refused: {reason} ({position}). A manifest's query must be one SELECT that only reads."""

    position = Fact[Position]()


class DirectiveUnfit(ManifestError):
    """The directive {directive} doesn't fit {what}: {reason}. Correct it in the SQL's leading comment, or
    in SEEDER_EXPECT where it stands there."""


class RoleRefused(ManifestError):
    """The manifest asks for the role {role}, which is not in SEEDER_ALLOWED_ROLES. Add it there, or take
    role= out of the SQL's leading comment."""


class FunctionRefused(ManifestError):
    """The query calls {function}, which is volatile and so might write. If it only reads, have it
    declared STABLE or add it to SEEDER_ALLOWED_FUNCTIONS."""


class TextFunctionRefused(FunctionRefused):
    """The query calls {function} ({why}), which may run SQL or read objects that a text argument
    contains, or change the session. Write that SQL into the query itself, or allow the function in
    SEEDER_ALLOWED_FUNCTIONS."""


class FunctionUnresolved(ManifestError):
    """The query calls {function}, whose body can't be resolved during a refresh: {reason}. From PostgreSQL 17
    on a refresh runs with the search_path pg_catalog, pg_temp. Write the schemas before the names in it, or
    give it a path of its own by `alter function {function} set search_path = …`."""


class MayNotRefresh(ManifestError):
    """The role {role} may not refresh {table_name}, which belongs to {owner}. Have its owner changed, or
    {role} made a member of {owner}{maintain}."""


class MayNotCreate(ManifestError):
    """The role {role} may not create {table_name}: {reason}."""


class UnknownDatabase(ManifestError):
    """The manifest's database_id {database_id} is not in SEEDER_DATABASES. Add it there, or correct the
    manifest."""


class SharedTableConflict(ManifestError):
    """The table {table_name} belongs to {owner} ({owner_report}, agency {owner_agency}), whose {what}
    differs. Give this manifest another table_name, or the same {what}."""


class TableTaken(ManifestError):
    """{table_name} exists already and is a {kind}, not a materialized view; it was not touched. Rename one
    of the two."""


class QueryChanged(ManifestError):
    """{why} The old rows of {table_name} were kept. Set SEEDER_ON_QUERY_CHANGE=rebuild to have it rebuilt, or
    =keep to go on refreshing it as it is."""


class ReadsItself(ManifestError):
    """The query reads its own materialized view, whose name is found before that of the table it means;
    nothing was changed. Write the table's schema before its name."""


class DependentsInTheWay(ManifestError):
    """{table_name} can't be exchanged for its new build, because {reason}: {dependents}. Nothing was changed.
    Drop or change what is listed and refresh again, or set SEEDER_ON_QUERY_CHANGE and SEEDER_REFRESH_MODE so
    that no exchange is needed."""


class PartUnfit(ManifestError):
    """The {part} of {table_name} can't be made for its new build: {reason}. The old matview was kept.
    Drop it, or change the manifest's SQL so that it fits again."""


class CopyUnlike(ManifestError):
    """The new build of {table_name} can't be made like the old matview: {what} differs each time, however
    often it is carried over. The old rows were kept. Take that off the old matview, or set it to what it is
    by default, and refresh again; mode=plain or concurrently needs no new build."""


class ManifestMoved(ManifestError):
    """The manifest {identity} was queued as {queued} but is {now} by now. Refresh it again."""


class ManifestGone(ManifestError):
    """The manifest {identity} was deleted or switched off after this run was queued; its matview was left as
    it is."""


class KeyNotUnique(ManifestError):
    """The key {key} of {table_name} is not unique, and {kept}: {found}. Mend the data or the query, or name
    columns that are a key."""


class Rejected(ManifestError):
    """Rejected, {kept}: {failed}. Mend the data that the query reads, or change what is expected of it
    (expect= in the SQL's leading comment, SEEDER_EXPECT)."""


class QueryFailed(ManifestError):
    """{report}"""

    report = Fact[Report]()

    @property
    def position(self) -> Position | None:
        return self.report.position


class CircularReads(ManifestError):
    """The report reads itself by way of others, so none of them can go first: {circle}. Take one of them out
    of the other's SQL, or out of its after=."""


class UpstreamFailed(ManifestError):
    """Not run: {table_name} (agency {agency_slug}), which it reads, ended in an error: {reason} Mend that,
    then refresh it and what reads it: `seeder refresh --table {table_name} --downstream`."""
