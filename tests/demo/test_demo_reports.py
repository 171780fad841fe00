"""Every report does what its file promises, on the oldest and the newest PostgreSQL."""

from itertools import product
from typing import Any

import psycopg2
import pytest
from psycopg2 import extensions
from psycopg2.extras import execute_values

from seeder.config.settings import Settings
from seeder.demo import EXPECTED_FAILURES, put_manifests
from seeder.demo.manifests import CannedReport, CustomReport, canned_reports, custom_reports
from seeder.errors import QueryRefused
from seeder.matviews import Found, Method, policy_of
from seeder.matviews.create import create as create_matview
from seeder.matviews.query.functions import refuse_functions
from seeder.matviews.refresh import refresh
from seeder.matviews.stamp import Stamp
from seeder.postgres.databases import Databases
from seeder.sql.directives import NONE, read
from seeder.sql.guard import SafeQuery, check
from seeder.sql.names import matview_name, render_table_name
from seeder.sql.placeholders import render_query

CANNED = canned_reports()
CUSTOM = custom_reports()
MISSPELT, REFUSED = (CUSTOM[failure.manifest_id - 1] for failure in EXPECTED_FAILURES)
WORKING = [report for report in CUSTOM if report not in (MISSPELT, REFUSED)]

#: The largest airline, the smallest (32 flights), and one whose slug begins with a digit.
AGENCIES = {"ua": 12, "oo": 11, "9e": 1}

#: Columns by which docs/demo.md suggests a unique index.
KEYS = {"flights_dl_transcontinental": "dest, month", "flights_ua_newark_banks": "bank"}

CONTRACT = """
create schema {schema};
create table {schema}.seeder_custom_report_manifest (
    id integer primary key, table_name text, report_name text, agency_id integer, agency_slug text,
    query text, database_id integer, enabled boolean default true
);
create table {schema}.seeder_canned_report_manifest (
    id integer primary key, agency_id integer, agency_slug text, canned_report_id integer
);
create table {schema}.seeder_canned_report (
    id integer primary key, table_name text, report_name text, query text, database_id integer
);
"""


def test_there_are_enough_reports_and_their_numbers_have_no_gap() -> None:
    assert [report.id for report in CANNED] == list(range(1, len(CANNED) + 1))
    assert [report.id for report in CUSTOM] == list(range(1, len(CUSTOM) + 1))
    assert len(CANNED) >= 8
    assert len(CUSTOM) >= 12
    assert [report.table_name for report in CUSTOM if not report.enabled] == ["flights_dl_summer_peak"]
    assert [(report.id, report.table_name) for report in (MISSPELT, REFUSED)] == [
        (failure.manifest_id, failure.table_name) for failure in EXPECTED_FAILURES
    ]


def test_every_table_name_is_valid_and_there_once() -> None:
    slugs = {report.agency_slug for report in CUSTOM} | set(AGENCIES)
    names = [report.table_name for report in CUSTOM]
    names += [canned_table(report, slug) for report, slug in product(CANNED, slugs)]
    matviews = {str(matview_name(name, "reporting")) for name in names}
    assert len(matviews) == len(names)


@pytest.mark.parametrize("report", [*CANNED, *CUSTOM], ids=lambda report: report.table_name)
def test_a_report_begins_with_its_title_as_a_plain_comment(report: CannedReport | CustomReport) -> None:
    first, second, *_ = report.query.splitlines()
    assert first == f"-- {report.report_name}"
    assert second == "--"
    assert max(map(len, report.query.splitlines())) <= 120


@pytest.mark.parametrize("agency", AGENCIES)
@pytest.mark.parametrize("report", CANNED, ids=lambda report: report.table_name)
def test_a_canned_report_gives_rows(loaded: extensions.connection, report: CannedReport, agency: str) -> None:
    matview = create(loaded, canned_table(report, agency), safe(report.query, agency))
    assert count(loaded, matview) > 0


@pytest.mark.parametrize("report", WORKING, ids=lambda report: report.table_name)
def test_a_custom_report_gives_rows(loaded: extensions.connection, report: CustomReport) -> None:
    matview = create(loaded, report.table_name, safe(report.query, report.agency_slug))
    assert count(loaded, matview) > 0


def test_every_report_calls_only_functions_that_are_not_volatile(loaded_url: str) -> None:
    databases = Databases(loaded_url)
    with databases.session() as session:
        for report in [*CANNED, *WORKING]:
            refuse_functions(session, safe(report.query, "ua"), ())
    databases.dispose()


def test_the_keys_that_the_documentation_names_are_unique(loaded: extensions.connection) -> None:
    reports = {report.table_name: (report.query, report.agency_slug) for report in WORKING}
    reports |= {canned_table(report, "ua"): (report.query, "ua") for report in CANNED}
    for table, key in KEYS.items():
        query, agency = reports[table]
        matview = create(loaded, table, safe(query, agency))
        with loaded.cursor() as cursor:
            cursor.execute(f"create unique index on {matview} ({key})")
            cursor.execute(f"refresh materialized view concurrently {matview}")


@pytest.mark.parametrize("agency", AGENCIES)
def test_a_report_with_directives_is_what_it_expects_to_be(loaded_url: str, agency: str) -> None:
    reports = [(canned_table(one, agency), one.query, agency) for one in CANNED]
    reports += [(one.table_name, one.query, one.agency_slug) for one in WORKING]
    saying = {table: read(query) for table, query, _ in reports if read(query) != NONE}
    assert len(saying) >= 3
    databases = Databases(loaded_url)
    with databases.session() as session:
        session.run_text("create schema demo")
        try:
            for table, query, slug in reports:
                if table in saying:
                    matview, policy = (
                        matview_name(table, "demo"),
                        policy_of(Settings()).of_manifest(saying[table]),
                    )
                    create_matview(session, matview, safe(query, slug), Stamp("", "", "", None), policy)
                    oid = session.row(f"select cast('{matview.quoted}' as regclass)::oid as oid").oid
                    found = Found(oid, "m", True, None, keyed=True)
                    assert refresh(session, matview, found, policy).method is Method.CONCURRENTLY
        finally:
            session.run_text("drop schema demo cascade")
    databases.dispose()


def test_the_misspelt_report_passes_the_guard_and_fails_in_postgresql(loaded: extensions.connection) -> None:
    query = safe(MISSPELT.query, MISSPELT.agency_slug)
    with pytest.raises(psycopg2.errors.UndefinedColumn, match=EXPECTED_FAILURES[0].errors_hold):
        create(loaded, MISSPELT.table_name, query)


def test_the_report_that_deletes_is_refused_by_the_guard() -> None:
    with pytest.raises(QueryRefused, match=EXPECTED_FAILURES[1].errors_hold):
        safe(REFUSED.query, REFUSED.agency_slug)


@pytest.mark.parametrize("schema", ["reporting", 'Other "Schema"'])
def test_manifests_are_put_and_put_back(copy_url: str, schema: str) -> None:
    quoted = '"' + schema.replace('"', '""') + '"'
    connection = psycopg2.connect(copy_url)
    with connection.cursor() as cursor:
        cursor.execute(CONTRACT.format(schema=quoted))
        assert put_manifests(connection, schema) == len(CANNED) * 16 + len(CUSTOM)
        first = everything(connection, quoted)

        cursor.execute(f"update {quoted}.seeder_canned_report set query = 'select 1' where id = 1")
        cursor.execute(f"update {quoted}.seeder_canned_report_manifest set agency_slug = 'x' where id = 304")
        cursor.execute(f"update {quoted}.seeder_custom_report_manifest set enabled = not enabled")
        cursor.execute(f"delete from {quoted}.seeder_custom_report_manifest where id = 5")
        assert put_manifests(connection, schema) == len(CANNED) * 16 + len(CUSTOM)
        assert everything(connection, quoted) == first

        execute_values(
            cursor,
            f"insert into {quoted}.seeder_custom_report_manifest (id, table_name) values %s",
            [(1000, "mine")],
        )
        put_manifests(connection, schema)
        cursor.execute(f"select table_name from {quoted}.seeder_custom_report_manifest where id = 1000")
        assert cursor.fetchall() == [("mine",)]
    connection.close()

    custom, canned, reports = first
    assert [row[3:5] for row in custom][:2] == [(12, "ua"), (4, "b6")]
    assert [row[0] for row in custom if not row[-1]] == [13]
    assert (304, 4, "b6", 3) in canned
    assert len({(row[1], row[3]) for row in canned}) == len(CANNED) * 16
    assert [row[1] for row in reports] == [report.table_name for report in CANNED]
    assert {row[-1] for row in reports} == {None}


def canned_table(report: CannedReport, agency: str) -> str:
    return render_table_name(
        report.table_name, agency_slug=agency, agency_id=AGENCIES.get(agency, 0), manifest_id=1
    )


def safe(query: str, agency: str) -> SafeQuery:
    values = {"agency_slug": agency, "agency_id": AGENCIES.get(agency, 0), "manifest_id": 1}
    return check(render_query(query, values))


def create(connection: extensions.connection, table_name: str, query: SafeQuery) -> str:
    matview = f'demo."{table_name}"'
    with connection.cursor() as cursor:
        cursor.execute("create schema if not exists demo; set local search_path = pg_catalog, pg_temp")
        cursor.execute(f"create materialized view {matview} as {query.text}")
    return matview


def count(connection: extensions.connection, matview: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"select count(*) from {matview}")
        found: tuple[int] = cursor.fetchone()
        return found[0]


def everything(connection: extensions.connection, schema: str) -> list[list[tuple[Any, ...]]]:
    tables = ("seeder_custom_report_manifest", "seeder_canned_report_manifest", "seeder_canned_report")
    with connection.cursor() as cursor:
        found = []
        for table in tables:
            cursor.execute(f"select * from {schema}.{table} order by id")
            found.append(cursor.fetchall())
    return found
