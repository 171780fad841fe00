"""Reads the contract's input tables and makes manifests of their rows."""

from typing import Any

from seeder.manifests.manifest import Manifest
from seeder.models import ReportType
from seeder.postgres.encoding import CLIENT_ENCODING, UNREADABLE
from seeder.postgres.failures import expecting_contract
from seeder.postgres.session import Session
from seeder.run_ids import sql_identity
from seeder.sql.names import quoted

#: One row per manifest that counts. `enabled` is no column of canned manifests in the contract; going through
#: jsonb honours it where a deployment has one, and any other column it may have added is no concern of ours.
MANIFESTS = """
select 'custom' as report_type, m.id as manifest_id, m.table_name, m.report_name,
       m.agency_id, m.agency_slug, m.query, m.database_id, null as missing_report,
       current_setting('server_encoding') as encoding
from {schema}.seeder_custom_report_manifest m
where m.enabled or {off_too}
union all
select 'canned', m.id, r.table_name, r.report_name,
       m.agency_id, m.agency_slug, r.query, r.database_id,
       case when r.id is null then coalesce(m.canned_report_id::text, '') end,
       current_setting('server_encoding')
from {schema}.seeder_canned_report_manifest m
left join {schema}.seeder_canned_report r on r.id = m.canned_report_id
where coalesce((to_jsonb(m) ->> 'enabled')::boolean, true) or {off_too}
"""

ONE = """
select * from ({every}) m where m.report_type = %(report_type)s and m.manifest_id = %(manifest_id)s
"""

#: Of every manifest's row, those switched off too: a run of theirs may still be at work there.
PLACES = f"""
select {sql_identity("custom", "m.id")} as identity, m.database_id
from {{schema}}.seeder_custom_report_manifest m
union all
select {sql_identity("canned", "m.id")}, r.database_id
from {{schema}}.seeder_canned_report_manifest m
join {{schema}}.seeder_canned_report r on r.id = m.canned_report_id
"""


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

    def on_and_off(self, session: Session) -> tuple[list[Manifest], list[Manifest]]:
        """All manifests that count, and those switched off.

        One that comes meanwhile is taken for switched off, one that goes counts.
        """
        on = self.every(session)
        counting = {one.identity for one in on}
        with expecting_contract():
            found = map(self.manifest, session.rows(self._off_too))
        return on, [one for one in found if one.identity not in counting]

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
            unreadable=_unreadable(row),
        )


def _unreadable(row: Any) -> str | None:
    """Which field of a row is not text, for PostgreSQL doesn't know either what its bytes mean."""
    if row.encoding == CLIENT_ENCODING:
        return None
    texts = ("table_name", "report_name", "agency_slug", "query")
    return next((name for name in texts if UNREADABLE in (getattr(row, name) or "")), None)
