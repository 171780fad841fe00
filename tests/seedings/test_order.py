"""Which report reads which over several databases, and what manifests say beside."""

from dataclasses import replace

import pytest

from seeder.config.settings import Settings
from seeder.manifests import Manifest, owned
from seeder.matviews import policy_of
from seeder.models import ReportType
from seeder.postgres.databases import Databases
from seeder.seedings.graph import Graph
from seeder.seedings.order import read_graph

POLICY = policy_of(Settings())


@pytest.fixture(scope="module")
def databases(postgres_url: str, postgres15_url: str) -> Databases:
    """The reporting one, 7 is another server, 8 the first one again, 9 is down."""
    others = {7: postgres15_url, 8: postgres_url, 9: "postgresql://nobody:x@127.0.0.1:1/nowhere"}
    return Databases(postgres_url, others)


def report(number: int, query: str, database_id: int | None = None, name: str = "") -> Manifest:
    return Manifest(
        ReportType.CUSTOM, number, name or f"r{number}", "R", 1, "ua", query, database_id, "reporting"
    )


def graph(databases: Databases, *manifests: Manifest) -> Graph:
    return read_graph(databases, owned(manifests, databases), POLICY)


def test_each_database_is_its_own_whatever_numbers_it_has(databases: Databases) -> None:
    found = graph(
        databases,
        report(1, "select 1 as one"),
        report(2, "select * from r1"),
        report(3, "select * from r1", 7),
        report(4, "select * from r1", 8),
        report(5, "select 1 as one", 9),
        report(6, "select * from r5, r1", 9),
    )
    assert found.reads == {
        "custom-2": {"custom-1"},
        "custom-4": {"custom-1"},
        "custom-6": {"custom-5"},
    }


def test_what_a_manifest_says_goes_over_databases_and_agencies(databases: Databases) -> None:
    after = "-- seeder: after=(r1, sums_{agency_slug}, gone)\nselect 1 as one"
    found = graph(
        databases,
        report(1, "select 1 as one", 7),
        report(2, after, 9),
        replace(report(3, "select 1 as one", name="reporting.sums_ua"), agency_slug="dl"),
        report(4, "-- seeder: after=(r4)\nselect * from r2"),
        report(5, "-- seeder: after=(r1\nselect 1"),
    )
    assert found.reads == {"custom-2": {"custom-1", "custom-3"}, "custom-4": {"custom-4"}}


def test_who_cannot_be_refreshed_is_read_all_the_same_unless_the_table_is_anothers(
    databases: Databases,
) -> None:
    found = graph(
        databases,
        report(1, "select 1 as one", 77),
        report(2, "select 2 as two", name="shared"),
        report(3, "select 3 as three", name="shared"),
        report(4, "-- seeder: after=(r1, shared)\nselect 1 as one"),
        report(5, "select 5 as five", name="no name"),
    )
    assert found.reads == {"custom-4": {"custom-1", "custom-2"}}
