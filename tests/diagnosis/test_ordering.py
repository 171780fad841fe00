"""What plan and check say of order: what waits, what is made on the way, circles, other databases."""

from typing import Any

import pytest
from sqlalchemy.engine import make_url
from support.contract import Platform
from support.emptied import fresh_database

from seeder.config.settings import Settings
from seeder.diagnosis.check import Findings, check_manifests
from seeder.diagnosis.forecast import Forecast, forecast
from seeder.manifests import owned
from seeder.matviews import policy_of
from seeder.postgres.databases import Databases
from seeder.seedings.order import read_graph
from seeder.seedings.planning import Selection

POLICY = policy_of(Settings())


def graph_of(world: Platform, databases: Databases) -> Any:
    return read_graph(databases, owned(world.all_manifests(), databases), POLICY)


def foreseen(world: Platform, selection: Selection | None = None) -> dict[str, Forecast]:
    found = forecast(
        world.databases, world.all_manifests(), [], selection or Selection(), POLICY,
        graph=graph_of(world, world.databases),
    )  # fmt: skip
    return {one.table_name: one for one in found}


def checked(world: Platform, databases: Databases | None = None) -> Findings:
    databases = databases or world.databases
    return check_manifests(
        databases, world.all_manifests(), Selection(), POLICY, graph=graph_of(world, databases)
    )


def test_a_chain_that_is_not_there_yet_is_planned_and_nothing_is_wrong_with_it(
    any_platform: Platform,
) -> None:
    world = any_platform
    world.custom(3, table_name="a", query="select 1 as one")
    world.custom(2, table_name="b", query="select * from a")
    world.custom(1, table_name="c", query="select b.one from b cross join reporting.a")
    found = foreseen(world)
    assert {name: (one.action, one.step, one.waits_for) for name, one in found.items()} == {
        "a": ("create", 1, ()),
        "b": ("create", 2, ("a",)),
        "c": ("create", 3, ("a", "b")),
    }
    assert checked(world).problems == ()
    # Alone it has nothing to be made of.
    (alone,) = foreseen(world, Selection(table_name="b")).values()
    assert (alone.step, alone.waits_for) == (1, ())
    # What isn't there and is nobody's is missing all the same, once that can be told.
    world.custom(4, table_name="d", query="select * from nobodys")
    (problem,) = checked(world).problems
    assert problem.where == "custom-4 d"


def test_what_reads_one_that_would_fail_would_not_be_run(platform: Platform) -> None:
    platform.custom(1, table_name="a", query="select form a")
    platform.custom(2, table_name="b", query="-- seeder: after=(a)\nselect 1 as one")
    platform.custom(3, table_name="c", query="-- seeder: after=(b)\nselect 1 as one")
    found = foreseen(platform)
    assert {name: one.action for name, one in found.items()} == {"a": "error", "b": "not run", "c": "not run"}
    assert found["c"].why == "It reads a, which would end in an error."


def test_a_circle_is_planned_as_an_error_and_found_by_check(platform: Platform) -> None:
    platform.custom(1, table_name="a", query="-- seeder: after=(b)\nselect 1 as one")
    platform.custom(2, table_name="b", query="-- seeder: after=(a)\nselect 1 as one")
    assert {one.action for one in foreseen(platform).values()} == {"error"}
    words = [one.problem for one in checked(platform).problems]
    assert ["a reads b, b reads a" in words[0], "b reads a, a reads b" in words[1], len(words)] == [
        True,
        True,
        2,
    ]


def test_after_a_table_that_is_nobodys_is_warned_of(platform: Platform) -> None:
    platform.custom(1, table_name="a", query="-- seeder: after=(gone, a)\nselect 1 as one")
    (warning,) = (one for one in checked(platform).warnings if "superuser" not in one)
    assert warning.startswith("custom-1 a: after= names reporting.gone, which is the table of no manifest")


@pytest.mark.parametrize("said", ["", "-- seeder: after=(sums)\n"])
def test_who_reads_a_report_of_another_database_through_a_foreign_table_is_warned_unless_it_says_so(
    platform: Platform, postgres_url: str, said: str
) -> None:
    with fresh_database(postgres_url) as url:
        databases = Databases(platform.url, {7: url})
        other = make_url(url).database
        platform.sql(f"""
            create schema theirs;
            create extension postgres_fdw schema theirs;
            create server other foreign data wrapper postgres_fdw options (host 'h', dbname '{other}');
            create foreign table theirs.t1 (n integer) server other
                options (schema_name 'reporting', table_name 'sums');
            create foreign table theirs.t2 (n integer) server other options (table_name 'nobodys');
            create view theirs.v as select t1.n from theirs.t1, theirs.t2;
            create materialized view reporting.reader as select * from theirs.v with no data;
        """)
        try:
            platform.custom(1, table_name="sums", query="select 1 as n", database_id=7)
            platform.custom(2, table_name="reader", query=f"{said}select * from theirs.v")
            found = [one for one in checked(platform, databases).warnings if "theirs.t1" in one]
            assert len(found) == (not said)
            if found:
                assert (
                    "reads theirs.t1, which by its options is reporting.sums in another database" in found[0]
                )
                assert "write after=(reporting.sums)" in found[0]
        finally:
            platform.sql("drop materialized view reporting.reader; drop extension postgres_fdw cascade;"
                         " drop schema theirs cascade")  # fmt: skip
            databases.dispose()
