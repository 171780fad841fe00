"""The demo's reports: reads files of SQL and inserts them into the contract's three input tables.

A file's name says the rest: ``canned/03_worst_routes.sql`` is canned report 3, with one table per airline,
``flights_{agency_slug}_worst_routes``; ``custom/11_ha_honolulu_log.sql`` is custom manifest 11 of the agency
``ha``, with the table ``flights_ha_honolulu_log``. The first line, a comment, is the report's name.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

from psycopg2 import extensions
from psycopg2.sql import SQL, Composed, Identifier

#: The custom manifests that are switched off, so that nothing is created for them.
DISABLED = frozenset({13})

PUT_CANNED_REPORT = """
insert into {schema}.seeder_canned_report (id, table_name, report_name, query, database_id)
values (%(id)s, %(table_name)s, %(report_name)s, %(query)s, null)
on conflict (id) do update
set table_name = excluded.table_name, report_name = excluded.report_name, query = excluded.query,
    database_id = excluded.database_id
"""

#: Every airline subscribes to the report. Manifest 304 is canned report 3 for agency 4.
SUBSCRIBE_ALL = """
insert into {schema}.seeder_canned_report_manifest (id, agency_id, agency_slug, canned_report_id)
select %(id)s * 100 + a.id, a.id, a.slug, %(id)s
from public.agency a
join flights.airlines l on lower(l.carrier) = a.slug
on conflict (id) do update
set agency_id = excluded.agency_id, agency_slug = excluded.agency_slug,
    canned_report_id = excluded.canned_report_id
"""

PUT_CUSTOM_MANIFEST = """
insert into {schema}.seeder_custom_report_manifest
    (id, table_name, report_name, agency_id, agency_slug, query, database_id, enabled)
select %(id)s, %(table_name)s, %(report_name)s, a.id, a.slug, %(query)s, null, %(enabled)s
from public.agency a
where a.slug = %(agency_slug)s
on conflict (id) do update
set table_name = excluded.table_name, report_name = excluded.report_name, agency_id = excluded.agency_id,
    agency_slug = excluded.agency_slug, query = excluded.query, database_id = excluded.database_id,
    enabled = excluded.enabled
"""


@dataclass(frozen=True)
class CannedReport:
    """One file of ``reports/canned``: a report that every airline subscribes to."""

    id: int
    table_name: str
    report_name: str
    query: str


@dataclass(frozen=True)
class CustomReport:
    """One file of ``reports/custom``: a report of one airline."""

    id: int
    table_name: str
    report_name: str
    agency_slug: str
    query: str

    @property
    def enabled(self) -> bool:
        return self.id not in DISABLED


def canned_reports() -> tuple[CannedReport, ...]:
    """The canned reports, by id."""
    return tuple(
        CannedReport(number, f"flights_{{agency_slug}}_{name}", title, query)
        for number, name, title, query in _reports("canned")
    )


def custom_reports() -> tuple[CustomReport, ...]:
    """The custom reports, by id."""
    return tuple(
        CustomReport(number, f"flights_{name}", title, name.partition("_")[0], query)
        for number, name, title, query in _reports("custom")
    )


def put_manifests(connection: extensions.connection, schema: str = "reporting") -> int:
    """Insert the demo's reports into the contract's tables in `schema`, or put them back; commits.

    Returns the number of manifests, the disabled one included. Other rows are left alone. Needs what ``load``
    creates, and the contract's tables with ``id`` as their key.
    """

    def statement(text: str) -> Composed:
        return SQL(text).format(schema=Identifier(schema))

    manifests = 0
    with connection, connection.cursor() as cursor:
        for report in canned_reports():
            cursor.execute(statement(PUT_CANNED_REPORT), vars(report))
            cursor.execute(statement(SUBSCRIBE_ALL), {"id": report.id})
            manifests += cursor.rowcount
        for custom in custom_reports():
            cursor.execute(statement(PUT_CUSTOM_MANIFEST), vars(custom) | {"enabled": custom.enabled})
            manifests += cursor.rowcount
    return manifests


def _reports(kind: str) -> Iterator[tuple[int, str, str, str]]:
    """Number, name, title and text of each file of that kind."""
    folder = files("seeder.demo").joinpath("reports", kind)
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if named := re.fullmatch(r"(\d+)_(\w+)\.sql", file.name):
            text = file.read_text(encoding="utf-8")
            yield int(named[1]), named[2], text.splitlines()[0].removeprefix("-- "), text
