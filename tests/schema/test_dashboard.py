"""``seeder_dashboard``: one row per manifest with its latest run."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text
from support.scripts import run_script

from seeder.manifests import Manifest
from seeder.models import ReportType, contract
from seeder.schema import check, ddl

TABLES = contract("reporting")
MONDAY = datetime(2026, 11, 23, 2, tzinfo=UTC)
TUESDAY = MONDAY + timedelta(days=1)

Record = Callable[..., None]


def rows(connection: Connection, where: str = "true") -> list[dict[str, Any]]:
    found = connection.execute(
        text(f"select * from reporting.seeder_dashboard where {where} order by report_type desc, manifest_id")
    )
    return [dict(row) for row in found.mappings()]


def custom(connection: Connection, manifest_id: int, **columns: Any) -> None:
    values = {
        "id": manifest_id,
        "table_name": f"t{manifest_id}",
        "report_name": "Report",
        "agency_id": 1,
        "agency_slug": "ua",
        "query": "select 1",
        "enabled": True,
    }
    connection.execute(TABLES.custom_manifest.insert(), values | columns)


def canned(connection: Connection, manifest_id: int, table_name: str | None, **columns: Any) -> None:
    report = {"id": manifest_id, "table_name": table_name, "report_name": "Canned", "query": "select 1"}
    connection.execute(TABLES.canned_report.insert(), report)
    values = {"id": manifest_id, "agency_id": 1, "agency_slug": "ua", "canned_report_id": manifest_id}
    connection.execute(TABLES.canned_manifest.insert(), values | columns)


def record(
    connection: Connection,
    run_id: str,
    table_name: str,
    *,
    shown: bool = True,
    at: datetime = MONDAY,
    **columns: Any,
) -> None:
    """A run of the manifest that the run_id names, in the history and, when shown, in the status."""
    report_type, _, number = run_id.rpartition(".")[2].rpartition("-")
    run = {
        "run_id": run_id,
        "manifest_id": int(number),
        "table_name": table_name,
        "report_name": "Report",
        "agency_id": 1,
        "agency_slug": "ua",
        "report_type": report_type,
        "status": "success",
        "start_time": at,
        "created_at": at,
        "updated_at": at,
    } | columns
    connection.execute(TABLES.history.insert(), run)
    if shown:
        connection.execute(
            text("delete from reporting.seeder_job_status where table_name = :t"), {"t": table_name}
        )
        status = {column.name: run[column.name] for column in TABLES.status.columns if column.name in run}
        status |= {"last_run_id": run_id, "last_errors": run.get("errors")}
        connection.execute(TABLES.status.insert(), status)


def test_a_manifest_that_never_ran_has_a_row_without_a_status(connection: Connection) -> None:
    custom(connection, 7, table_name="reporting.flights", report_name="Flights")
    assert rows(connection) == [
        {
            "report_type": "custom",
            "manifest_id": 7,
            "table_name": "reporting.flights",
            "report_name": "Flights",
            "agency_id": 1,
            "agency_slug": "ua",
            "agency_name": None,
            "enabled": True,
            "status": None,
            "duration_seconds": None,
            "start_time": None,
            "finish_time": None,
            "records_processed": None,
            "bytes_processed": None,
            "consecutive_failures": 0,
            "last_run_id": None,
            "last_errors": None,
            "updated_at": None,
        }
    ]


def test_a_run_shows_what_the_status_says_and_the_histories_figures(connection: Connection) -> None:
    custom(connection, 7)
    record(connection, "a.custom-7", "t7", records_processed=9, bytes_processed=9)
    record(
        connection,
        "b.custom-7",
        "t7",
        at=TUESDAY,
        finish_time=TUESDAY + timedelta(seconds=5),
        duration_seconds=5,
        records_processed=12,
        bytes_processed=8192,
        consecutive_failures=0,
    )
    (row,) = rows(connection)
    assert {key: row[key] for key in list(row)[8:]} == {
        "status": "success",
        "duration_seconds": 5,
        "start_time": TUESDAY,
        "finish_time": TUESDAY + timedelta(seconds=5),
        "records_processed": 12,
        "bytes_processed": 8192,
        "consecutive_failures": 0,
        "last_run_id": "b.custom-7",
        "last_errors": None,
        "updated_at": TUESDAY,
    }


def test_every_manifest_has_one_row_whatever_it_lacks(connection: Connection) -> None:
    custom(connection, 1, enabled=False)
    custom(connection, 2, enabled=None, table_name=None, report_name=None, agency_id=None, agency_slug=None)
    canned(connection, 1, "t_{agency_slug}")
    canned(connection, 2, None, agency_slug=None)
    connection.execute(
        TABLES.canned_manifest.insert(), {"id": 3, "agency_slug": "ua", "canned_report_id": 99}
    )
    assert [
        (row["report_type"], row["manifest_id"], row["table_name"], row["report_name"], row["enabled"])
        for row in rows(connection)
    ] == [
        ("custom", 1, "t1", "Report", False),
        # As in the record, whose columns are not null.
        ("custom", 2, "", "", False),
        ("canned", 1, "t_ua", "Canned", True),
        ("canned", 2, "", "Canned", True),
        ("canned", 3, "", "", True),
    ]


def test_a_canned_manifest_is_switched_off_where_it_has_such_a_column(connection: Connection) -> None:
    connection.execute(text("alter table reporting.seeder_canned_report_manifest add column enabled boolean"))
    canned(connection, 1, "one")
    canned(connection, 2, "two")
    connection.execute(
        text("update reporting.seeder_canned_report_manifest set enabled = false where id = 2")
    )
    assert [row["enabled"] for row in rows(connection)] == [True, False]
    # The view is the same with the column and without it.
    assert check(connection, "reporting", "public.agency") == []


# --- the agency's name ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("agency_table", "columns", "name"),
    [
        ("public.agency", "id integer primary key, name text", "United"),
        ("agency", "id bigint primary key, name varchar(20)", "United"),
        ('"Core"."Agency table"', "id smallint primary key, name text", "United"),
        ("public.agency", "id integer primary key, title text", None),
        ("public.agency", "id uuid, name text", None),
        ("public.other", "id integer primary key, name text", None),
    ],
)
def test_the_agencys_name_comes_from_its_table_where_there_is_one(
    connection: Connection, agency_table: str, columns: str, name: str | None
) -> None:
    connection.execute(text('create schema "Core"'))
    made = "public.agency" if agency_table == "public.other" else agency_table
    connection.execute(text(f"create table {made} ({columns})"))
    number = "gen_random_uuid()" if "uuid" in columns else "1"
    connection.execute(text(f"insert into {made} values ({number}, 'United')"))
    run_script(connection, ddl("reporting", agency_table))
    custom(connection, 1)
    custom(connection, 2, agency_id=2)
    assert [row["agency_name"] for row in rows(connection)] == [name, None]
    assert check(connection, "reporting", agency_table) == []


def test_an_agency_table_that_the_views_owner_may_not_read_spoils_nothing(connection: Connection) -> None:
    owner = "seeder_view_owner_" + connection.execute(text("select txid_current()::text")).scalar_one()
    connection.execute(
        text(
            f"create table public.agency (id integer primary key, name text); create role {owner};"
            f"grant create, usage on schema reporting to {owner};"
            f"grant select on all tables in schema reporting to {owner};"
            f"alter view reporting.seeder_dashboard owner to {owner}"
        )
    )
    custom(connection, 1)
    assert check(connection, "reporting", "public.agency") == []
    assert rows(connection)[0]["agency_name"] is None


# --- tables that several manifests name -------------------------------------------------------------------


def test_manifests_that_share_a_table_show_the_owners_run(connection: Connection) -> None:
    custom(connection, 1, table_name="shared")
    canned(connection, 1, "shared")
    record(connection, "a.custom-1", "shared", records_processed=3)
    first, second = rows(connection)
    assert (first["report_type"], second["report_type"]) == ("custom", "canned")
    assert [(row["status"], row["last_run_id"], row["records_processed"]) for row in (first, second)] == [
        ("success", "a.custom-1", 3)
    ] * 2


@pytest.mark.parametrize("refused_at", [MONDAY - timedelta(seconds=1), MONDAY + timedelta(seconds=1)])
def test_a_manifest_whose_table_is_anothers_shows_its_own_error(
    connection: Connection, refused_at: datetime
) -> None:
    custom(connection, 1, table_name="shared")
    custom(connection, 2, table_name="shared")
    # Of one seeding, whichever of the two was recorded first.
    record(connection, "a.custom-1", "shared", at=MONDAY)
    record(
        connection,
        "a.custom-2",
        "shared",
        shown=False,
        at=refused_at,
        status="error",
        errors="It belongs to custom-1",
        consecutive_failures=4,
    )
    owner, other = rows(connection)
    assert (owner["status"], owner["last_run_id"]) == ("success", "a.custom-1")
    assert (other["status"], other["last_run_id"]) == ("error", "a.custom-2")
    assert (other["last_errors"], other["consecutive_failures"]) == (
        "It belongs to custom-1",
        4,
    )


def test_an_error_from_before_a_newer_seeding_no_longer_shows(connection: Connection) -> None:
    custom(connection, 1, table_name="shared")
    custom(connection, 2, table_name="shared")
    record(connection, "a.custom-2", "shared", shown=False, status="error", errors="another's")
    record(connection, "b.custom-1", "shared", at=TUESDAY)
    assert [(row["status"], row["last_run_id"]) for row in rows(connection)] == [
        ("success", "b.custom-1")
    ] * 2


def test_a_refusal_shows_until_a_tick_has_passed_without_one_whatever_the_owner_runs(
    connection: Connection,
) -> None:
    custom(connection, 1, table_name="shared")
    custom(connection, 2, table_name="shared")

    def shown() -> list[str]:
        return [row["last_run_id"] for row in rows(connection)]

    record(connection, "20261123T0200Z.custom-1", "shared")
    record(
        connection, "20261123T0200Z.custom-2", "shared", shown=False, finish_time=MONDAY, status="error"
    )  # fmt: skip
    for number in range(3):
        adhoc = f"20261123T09000{number}Z-k3f9.custom-1"
        record(connection, adhoc, "shared", at=MONDAY + timedelta(hours=7))
        assert shown() == [adhoc, "20261123T0200Z.custom-2"]
    record(connection, "20261124T0200Z.custom-1", "shared", at=TUESDAY)
    assert shown() == ["20261124T0200Z.custom-1"] * 2
    record(connection, "20261124T090000Z-k3f9.custom-1", "shared", at=TUESDAY + timedelta(hours=7))
    assert shown() == ["20261124T090000Z-k3f9.custom-1"] * 2


def test_a_refusal_shows_even_where_the_table_never_had_a_run(connection: Connection) -> None:
    custom(connection, 1, table_name=None)
    record(connection, "a.custom-1", "", shown=False, status="error", errors="The manifest has no table_name")
    record(connection, "b.custom-1", "", shown=False, status="error", errors="Still none", at=TUESDAY)
    assert [(row["status"], row["last_errors"]) for row in rows(connection)] == [("error", "Still none")]


def test_ids_of_the_two_types_are_not_confused(connection: Connection) -> None:
    custom(connection, 1, table_name="shared")
    canned(connection, 1, "shared")
    record(connection, "a.canned-1", "shared", shown=False, status="error", errors="another's")
    record(connection, "a.custom-1", "shared")
    assert [row["last_run_id"] for row in rows(connection)] == ["a.custom-1", "a.canned-1"]


def test_a_status_whose_run_was_pruned_still_shows(connection: Connection) -> None:
    custom(connection, 1)
    record(connection, "a.custom-1", "t1", duration_seconds=3)
    connection.execute(text("delete from reporting.seeder_run_history"))
    (row,) = rows(connection)
    assert (row["status"], row["duration_seconds"], row["finish_time"]) == ("success", 3, None)


# --- names ------------------------------------------------------------------------------------------------

PIECES = st.sampled_from(
    [
        "{agency_slug}",
        "{agency_id}",
        "{manifest_id}",
        "{agency}",
        "{}",
        "{",
        "}",
        "reporting.",
        "_x",
        "É",
        "%",
        "\n",
    ]
)
# PostgreSQL's text holds no NUL, and UTF-8 no lone surrogates.
SLUGS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    template=st.lists(st.one_of(PIECES, SLUGS), max_size=5).map("".join),
    slug=st.one_of(st.none(), SLUGS, st.sampled_from(["a-b", "Ünïted", "İ", "K", "UA ", "a{manifest_id}"])),
    agency_id=st.one_of(st.none(), st.integers(-(2**31), 2**31 - 1)),
    manifest_id=st.integers(1, 2**31 - 1),
)
def test_the_view_renders_a_name_as_the_record_does(
    connection: Connection, template: str, slug: str | None, agency_id: int | None, manifest_id: int
) -> None:
    with connection.begin_nested() as savepoint:
        canned(connection, manifest_id, template, agency_slug=slug, agency_id=agency_id)
        (row,) = rows(connection)
        savepoint.rollback()
    manifest = Manifest(
        report_type=ReportType.CANNED,
        manifest_id=manifest_id,
        raw_table_name=template,
        report_name="",
        agency_id=agency_id,
        agency_slug=slug or "",
        raw_query="",
        database_id=None,
        default_schema="reporting",
    )
    assert row["table_name"] == manifest.table_name


def test_a_custom_manifests_name_is_left_as_written(connection: Connection) -> None:
    custom(connection, 1, table_name="t_{agency_slug}")
    assert rows(connection)[0]["table_name"] == "t_{agency_slug}"


# --- speed ------------------------------------------------------------------------------------------------

MANY = """
insert into reporting.seeder_canned_report (id, table_name, report_name)
select 1, 't_{manifest_id}', 'Report';
insert into reporting.seeder_canned_report_manifest (id, agency_id, agency_slug, canned_report_id)
select n, n % 100, 'agency' || n % 100, 1 from generate_series(1, 500) as n;
insert into reporting.seeder_run_history
    (run_id, manifest_id, table_name, report_name, agency_id, agency_slug, report_type, status)
select s || '.canned-' || n, n, 't_' || n, 'Report', n % 100, 'agency' || n % 100, 'canned', 'success'
from generate_series(1, 40) as s, generate_series(1, 500) as n;
insert into reporting.seeder_job_status
    (table_name, manifest_id, report_name, report_type, agency_id, agency_slug, status, last_run_id)
select 't_' || n, n, 'Report', 'canned', n % 100, 'agency' || n % 100, 'success', '40.canned-' || n
from generate_series(1, 500) as n
where n % 10 > 0;
"""


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for child in plan.get("Plans", []) for node in nodes(child))]


@pytest.mark.parametrize("analyzed", [True, False])
def test_the_history_is_only_ever_looked_up_through_its_indexes(
    connection: Connection, analyzed: bool
) -> None:
    run_script(connection, MANY)
    if analyzed:
        connection.execute(text("analyze"))
    plan = connection.execute(
        text("explain (analyze, format json) select * from reporting.seeder_dashboard")
    ).scalar_one()
    plan = plan if isinstance(plan, list) else json.loads(plan)
    found = nodes(plan[0]["Plan"])
    assert not [
        node
        for node in found
        if node.get("Relation Name") == "seeder_run_history" and node["Node Type"] == "Seq Scan"
    ]
    assert {node["Index Name"] for node in found if "seeder_run_history" in node.get("Index Name", "")} == {
        "seeder_run_history_run_id_idx",
        "seeder_run_history_table_name_idx",
    }
    # The second look-up is made for the manifests alone whose status row is not their own, the third
    # for those of them alone that were refused.
    by_table = [node for node in found if node.get("Index Name") == "seeder_run_history_table_name_idx"]
    assert sum(node["Actual Loops"] for node in by_table) == 50
