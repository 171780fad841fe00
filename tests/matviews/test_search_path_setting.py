"""SEEDER_SEARCH_PATH: where a manifest's names are looked up, and what psql would find instead."""

from collections.abc import Iterator

import pytest
from support.workbench import Bench

from seeder.config.settings import OnQueryChange, load_settings
from seeder.diagnosis.check import check_manifests
from seeder.errors import BadSetting, QueryFailed
from seeder.seedings.planning import Selection

ROLE = "seeder_test_reader"

ANN = "select id from app.person where email = 'ann@x.org'"

OID = "select 'reporting.sales'::regclass::oid"

WITH_EXTENSIONS = "reporting, public, extensions"


@pytest.fixture
def world(bench: Bench) -> Iterator[Bench]:
    """A database whose sessions have extensions on their path, as in psql."""
    bench.sql("""
        create schema extensions;
        create schema app;
        create extension citext schema extensions;
        create table app.person (id integer, email extensions.citext);
        insert into app.person values (1, 'ann@x.org'), (2, 'Ann@X.org');
        create function extensions.doubled(n integer) returns integer immutable language sql
            as 'select 2 * n';
        create type extensions.mood as enum ('fine');
        create table extensions.only_there as select 1 as one
    """)
    name = bench.value("select current_database()")
    bench.sql(f'alter database {name} set search_path = "$user", public, extensions')
    yield bench
    bench.sql(f"alter database {name} reset search_path; drop schema extensions, app cascade")


def rows(bench: Bench) -> list[int]:
    return [row[0] for row in bench.sql("select id from reporting.sales order by 1")]


def warnings(bench: Bench, query: str, role: str | None = None, **settings: str) -> list[str]:
    policy = bench.policy(role=role, **settings)
    found = check_manifests(bench.platform.databases, [bench.manifest(query)], Selection(), policy)
    assert found.problems == ()
    return [one for one in found.warnings if "superuser" not in one]


def test_an_extensions_operator_is_found_on_the_path_that_is_set(world: Bench) -> None:
    world.refresh(world.manifest(ANN))
    assert rows(world) == [1], "text's ="
    world.refresh(world.manifest(ANN))
    assert world.stamp().shape is not None, "and from now on PostgreSQL isn't asked what it means"
    policy = world.policy(search_path=WITH_EXTENSIONS)
    world.refresh(world.manifest(ANN), policy)
    assert rows(world) == [1, 2], "rebuilt, since its SQL means something else now"
    oid = world.value(OID)
    world.sql("insert into app.person values (3, 'ANN@x.org')")
    world.refresh(world.manifest(ANN), policy)
    assert rows(world) == [1, 2, 3], "a refresh, whose path is restricted from 17 on, keeps to it"
    assert world.value(OID) == oid, "and rebuilds nothing"


def test_a_path_that_changes_rebuilds_nothing_that_means_the_same(world: Bench) -> None:
    world.refresh()
    oid = world.value(OID)
    world.refresh(policy=world.policy(search_path=WITH_EXTENSIONS, on_query_change=OnQueryChange.ERROR))
    assert world.value(OID) == oid


def test_check_names_what_psql_would_find_instead(world: Bench) -> None:
    (said,) = warnings(world, ANN)
    assert said.startswith("custom-1 sales: with the search_path of the role ")
    assert '("$user", public, extensions)' in said
    assert "operator extensions.=(extensions.citext,extensions.citext)" in said
    assert "SEEDER_SEARCH_PATH (now reporting, public)" in said
    assert warnings(world, ANN, search_path="public, extensions") == []


@pytest.mark.parametrize(
    ("query", "there"),
    [
        ("select sum(id) from sale", "table public.sale"),
        ("select tripled(id) from public.sale", "function public.tripled(integer)"),
        ("select 'up'::way::text", "type public.way"),
    ],
)
def test_tables_functions_and_types_are_told_apart_too(world: Bench, query: str, there: str) -> None:
    world.sql("""
        create table reporting.sale (id integer);
        create function public.tripled(n integer) returns integer immutable language sql as 'select 3 * n';
        create function reporting.tripled(n integer) returns integer immutable language sql as 'select n';
        create type public.way as enum ('up');
        create type reporting.way as enum ('up')
    """)
    try:
        (said,) = warnings(world, query)
        assert f"there {there}, here " in said
        assert there.replace("public.", "reporting.") in said.partition(", here ")[2]
    finally:
        world.sql("drop function reporting.tripled; drop type reporting.way, public.way")


@pytest.mark.parametrize(
    "query",
    [
        "select * from public.sale",
        "select * from sale",
        "select count(*) from only_here",
        "select now(), lower('X')",
        "select id from app.person where email operator(extensions.=) 'ann@x.org'",
    ],
)
def test_nothing_is_said_where_both_mean_the_same_or_psql_finds_nothing(world: Bench, query: str) -> None:
    world.sql("create table reporting.only_here (id integer)")
    assert warnings(world, query) == []


def test_a_roles_own_path_is_the_one_that_it_is_compared_with(world: Bench) -> None:
    world.sql(f"""
        create role {ROLE};
        alter role {ROLE} set search_path = public;
        grant usage, create on schema reporting to {ROLE};
        grant usage on schema app, extensions to {ROLE};
        grant select on app.person to {ROLE}
    """)
    try:
        assert warnings(world, ANN, role=ROLE) == []
        world.sql(f"alter role {ROLE} in database {world.value('select current_database()')}"
                  " set search_path = extensions")  # fmt: skip
        (said,) = warnings(world, ANN, role=ROLE)
        assert f"of the role {ROLE} in psql (extensions)" in said
    finally:
        world.sql(f"drop owned by {ROLE}; drop role {ROLE}")


def test_what_is_not_on_the_path_is_not_found(world: Bench) -> None:
    with pytest.raises(QueryFailed, match="sale"):
        world.refresh(policy=world.policy(search_path="extensions"))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("public, pg_catalog", "leave pg_catalog out"),
        ("pg_temp", "leave pg_temp out"),
        ('"$user", public', "write that name"),
        ("public,,reporting", "1 to 63 bytes"),
        ('a"b', "as the catalogue has them"),
        ("x" * 64, "1 to 63 bytes"),
    ],
)
def test_a_path_that_would_be_another_is_refused(value: str, words: str) -> None:
    with pytest.raises(BadSetting, match=words):
        load_settings(search_path=value)


def test_names_are_as_the_catalogue_has_them_and_catalogue_and_temporary_schema_are_at_the_ends() -> None:
    made = load_settings(search_path=' "My Schema" ,Public')
    assert made.schemas_of_manifests == ("pg_catalog", "My Schema", "Public", "pg_temp")
    assert load_settings(SEEDER_SCHEMA="r").schemas_of_manifests == ("pg_catalog", "r", "public", "pg_temp")
