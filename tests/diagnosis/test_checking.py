"""What is wrong with manifests is found without running them."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from support.contract import Platform

from seeder.config.settings import OnQueryChange, Settings
from seeder.diagnosis.check import Findings, check_manifests
from seeder.errors import UnknownAgency
from seeder.matviews import policy_of
from seeder.postgres.databases import Databases
from seeder.seedings.planning import Selection

ROLE = "seeder_test_analyst"


@pytest.fixture
def world(any_platform: Platform) -> Platform:
    any_platform.sql("""
        create table public.sale (id integer, agency_id integer, amount numeric);
        insert into sale select n, 7, n from generate_series(1, 10) as n
    """)
    return any_platform


@pytest.fixture
def analyst(world: Platform) -> Iterator[str]:
    """A role that may create matviews and, so far, read nothing."""
    world.sql(f"create role {ROLE}; grant usage, create on schema reporting to {ROLE}")
    yield ROLE
    world.sql(f"drop owned by {ROLE} cascade; drop role {ROLE}")


def check(
    world: Platform, selection: Selection | None = None, databases: Databases | None = None, **settings
) -> Findings:
    """The findings, but for the warning that all of it runs as a superuser, as it does here."""
    found = check_as_it_is(world, selection, databases, **settings)
    return replace(found, warnings=tuple(one for one in found.warnings if "a superuser" not in one))


def check_as_it_is(
    world: Platform, selection: Selection | None = None, databases: Databases | None = None, **settings
) -> Findings:
    made = Settings(**settings)
    return check_manifests(
        databases or world.databases, world.all_manifests(), selection or Selection(), policy_of(made)
    )


def problem(world: Platform, **settings) -> str:
    """The only problem's words."""
    (found,) = check(world, **settings).problems
    return found.problem


def version(world: Platform) -> int:
    number: int = world.value("select current_setting('server_version_num')::int")
    return number


def test_nothing_is_wrong_with_what_runs(world: Platform) -> None:
    world.custom(1, query="select * from sale")
    world.custom(2, query="with s as (select * from sale) select count(*) from s")
    assert check(world) == Findings(2, (), ())


WRONG = {
    "a table that is missing": ("select 1,\n  x from nowhere", 'relation "nowhere" does not exist', (2, 10)),
    "a column that is missing": ("select id, price from sale", 'column "price" does not exist', (1, 12)),
    "a function that is missing": ("select worth(id) from sale", "worth(integer) does not exist", (1, 8)),
    "a type that is missing": ("select id::bag from sale", 'type "bag" does not exist', (1, 12)),
    "an operator that is missing": ("select id || id from sale", "operator does not exist", (1, 11)),
    "a limit below zero": (
        "select 'ä', id\n from sale limit -1",
        "2201W: LIMIT must not be negative",
        (2, 18),
    ),
    "a constant that is none": ("select id = 'ten' from sale", "invalid input syntax", (1, 13)),
}


@pytest.mark.parametrize(("query", "words", "place"), WRONG.values(), ids=WRONG)
def test_what_postgresql_can_not_resolve_is_found_with_its_place(
    world: Platform, query: str, words: str, place: tuple[int, int]
) -> None:
    world.custom(1, query=query)
    said = problem(world)
    assert words in said
    assert f"At line {place[0]}, column {place[1]} of the manifest's query" in said


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"query": "delete from sale"}, "it is not a SELECT but DELETE"),
        ({"query": "select 1 as a, 2 as a"}, 'column "a" specified more than once'),
        ({"table_name": "a-b"}, "it holds '-'"),
        ({"database_id": 9}, "database_id 9 is not in SEEDER_DATABASES"),
        ({"table_name": "nowhere.sales"}, "there is no schema nowhere"),
        ({"table_name": "public.sale"}, "is a table, not a materialized view"),
    ],
)
def test_what_the_row_itself_says_wrong_is_found(world: Platform, columns, words: str) -> None:
    world.custom(1, **columns)
    assert words in problem(world)


def test_a_volatile_function_is_found_and_not_called(world: Platform) -> None:
    world.sql("""
        create sequence public.calls;
        create function public.counted() returns bigint language sql as 'select nextval(''public.calls'')'
    """)
    world.custom(1, query="select counted()")
    assert "public.counted, which is volatile" in problem(world)
    assert check(world, allowed_functions=("public.counted",)).problems == ()
    assert world.value("select is_called from public.calls") is False


def test_a_message_that_quotes_a_long_constant_is_cut(world: Platform) -> None:
    world.custom(1, query=f"select cast('{'x' * 200_000}' as int) as a")
    told = problem(world)
    assert told.startswith("22P02: invalid input syntax")
    assert "bytes are left out here" in told
    assert len(told) < 10_000


@pytest.mark.parametrize(
    ("directive", "words"),
    [
        ("uniq=(id)", "there is no uniq"),
        ("unique=(price)", "it has no column price"),
        ("expect=(fresh(id, 1 day))", "neither a date nor a timestamp"),
        ("role=postgres", "postgres"),
    ],
)
def test_a_directive_that_can_not_be_followed_is_found(world: Platform, directive: str, words: str) -> None:
    world.custom(1, query=f"-- seeder: {directive}\nselect * from sale")
    assert words in problem(world)


def test_a_manifest_is_judged_as_the_role_that_it_chooses(world: Platform, analyst: str) -> None:
    world.custom(1, query=f"-- seeder: role={analyst}\nselect * from sale")
    world.custom(2, query="select * from sale")
    (found,) = check(world, allowed_roles=(analyst,)).problems
    assert found.where == "custom-1 report_1"
    assert "permission denied for table sale" in found.problem


def test_two_manifests_of_one_table_are_found(world: Platform) -> None:
    world.custom(1, table_name="sales")
    world.custom(2, table_name="sales", query="select 2 as two")
    (found,) = check(world).problems
    assert (found.where, "belongs to custom-1" in found.problem) == ("custom-2 sales", True)


def test_a_matview_whose_sql_has_changed_is_found_where_that_is_an_error(world: Platform) -> None:
    world.sql("create materialized view reporting.report_1 as select 2 as two")
    world.custom(1)
    assert "The old rows of report_1 were kept" in problem(world, on_query_change=OnQueryChange.ERROR)
    assert check(world, on_query_change=OnQueryChange.KEEP).problems == ()


def test_what_is_in_the_way_of_a_rebuild_is_found(world: Platform) -> None:
    world.sql("create materialized view reporting.report_1 as select 1 as one, 2 as two")
    world.sql("create view public.top as select two from reporting.report_1")
    world.custom(1)
    assert "public.top" in problem(world)
    world.sql("drop view public.top")
    assert check(world).problems == ()


def test_everything_that_is_wrong_with_a_manifest_is_told(world: Platform) -> None:
    world.sql("create view reporting.report_1 as select 1 as one")
    world.custom(1, query="select nothing")
    assert len(check(world).problems) == 2


# --- privileges --------------------------------------------------------------------------------------------


def test_a_role_that_may_not_read_is_told_of_the_table(world: Platform, analyst: str) -> None:
    world.custom(1, query="select * from sale")
    assert "permission denied for table sale" in problem(world, manifest_role=analyst)
    world.sql(f"grant select (id) on sale to {analyst}")
    assert "permission denied for table sale" in problem(world, manifest_role=analyst)
    world.sql(f"grant select on sale to {analyst}")
    assert check(world, manifest_role=analyst).problems == ()


def test_a_role_that_may_not_call_is_told_of_the_function(world: Platform, analyst: str) -> None:
    world.sql("""
        create function public.known() returns int stable language sql as 'select 1';
        revoke execute on function public.known() from public
    """)
    world.custom(1, query="select known()")
    assert "permission denied for function known" in problem(world, manifest_role=analyst)


def test_a_role_that_may_not_create_is_told_of_the_schema(world: Platform, analyst: str) -> None:
    world.sql(f"revoke create on schema reporting from {analyst}")
    world.custom(1)
    said = problem(world, manifest_role=analyst)
    assert f"grant usage, create on schema reporting to {analyst}" in said


def test_a_role_that_may_not_refresh_is_told_of_the_owner(world: Platform, analyst: str) -> None:
    world.sql("create materialized view reporting.report_1 as select 1 as one")
    world.custom(1)
    said = problem(world, manifest_role=analyst)
    assert f"The role {analyst} may not refresh reporting.report_1" in said
    assert ("MAINTAIN" in said) == (version(world) >= 170000)
    if version(world) >= 170000:
        world.sql(f"grant maintain on reporting.report_1 to {analyst}")
        assert check(world, manifest_role=analyst).problems == ()
    else:
        world.sql(f"alter materialized view reporting.report_1 owner to {analyst}")
        assert check(world, manifest_role=analyst).problems == ()


def test_a_matviews_query_runs_with_its_owners_rights(world: Platform, analyst: str) -> None:
    """So what the role itself may not read is no problem where the matview belongs to another."""
    if version(world) < 170000:
        pytest.skip("only MAINTAIN, new in PostgreSQL 17, lets a role refresh another's matview")
    world.sql(f"""
        create materialized view reporting.report_1 as select * from sale;
        grant maintain on reporting.report_1 to {analyst}
    """)
    world.custom(1, query="select * from sale")
    assert check(world, manifest_role=analyst).problems == ()


def test_a_role_that_is_not_there_is_one_problem_for_all(world: Platform) -> None:
    for number in range(5):
        world.custom(number)
    (found,) = check(world, manifest_role="nobody").problems
    assert (found.where, 'role "nobody" does not exist' in found.problem) == ("reporting database", True)


# --- what the restricted search_path of a refresh hides ----------------------------------------------------

FUNCTION = "create function public.total() returns bigint stable language {language} {more} as '{body}'"
SQL_BODY = "select count(*) from sale"
PLPGSQL_BODY = "begin return (with s as (select 1) select count(*) from sale, s where id = 0); end"


@pytest.fixture
def restricted(world: Platform) -> Platform:
    if version(world) < 170000:
        pytest.skip("a refresh has a search_path of its own from PostgreSQL 17 on")
    world.custom(1, query="select public.total()")
    return world


def test_a_sql_function_whose_names_will_not_resolve_is_found(restricted: Platform) -> None:
    restricted.sql(FUNCTION.format(language="sql", more="", body=SQL_BODY))
    said = problem(restricted)
    assert "The query calls public.total(), whose body" in said
    assert 'relation "sale" does not exist' in said


@pytest.mark.parametrize(
    ("language", "more", "body"),
    [
        ("sql", "set search_path = public", SQL_BODY),
        ("sql", "", "select count(*) from public.sale"),
        ("plpgsql", "set search_path = public", PLPGSQL_BODY),
        ("plpgsql", "", PLPGSQL_BODY.replace("sale", "public.sale")),
        ("plpgsql", "", "declare x bigint := length(''a''); begin x := x + 1; return x; end"),
    ],
)
def test_a_function_whose_names_resolve_anywhere_is_let_pass(
    restricted: Platform, language: str, more: str, body: str
) -> None:
    restricted.sql(FUNCTION.format(language=language, more=more, body=body))
    assert check(restricted) == Findings(1, (), ())


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (PLPGSQL_BODY, "it names sale without a schema"),
        ("begin return other(1); end", "it names other() without a schema"),
        ("declare x bigint; begin x := other(1); return x; end", "it names other() without a schema"),
        ("declare x bigint; begin execute ''select 1'' into x; return x; end", "made at run time (EXECUTE)"),
    ],
)
def test_what_a_plpgsql_function_may_reach_is_a_warning_said_once(
    restricted: Platform, body: str, reason: str
) -> None:
    restricted.sql(FUNCTION.format(language="plpgsql", more="", body=body))
    restricted.custom(2, query="select public.total() as again")
    found = check(restricted)
    (warning,) = found.warnings
    assert found.problems == ()
    assert "The function public.total() may fail during a refresh" in warning
    assert reason in warning


def test_a_function_that_a_view_calls_is_found_too(restricted: Platform) -> None:
    restricted.sql(FUNCTION.format(language="sql", more="", body=SQL_BODY))
    restricted.sql("create view public.totals as select total() as one")
    restricted.custom(2, query="select * from totals")
    assert {one.where for one in check(restricted).problems} == {"custom-1 report_1", "custom-2 report_2"}


def test_the_warning_is_true(restricted: Platform) -> None:
    """What is found fails when it is created, and what passes doesn't."""
    import psycopg2

    restricted.sql(FUNCTION.format(language="plpgsql", more="", body=PLPGSQL_BODY))
    with pytest.raises(psycopg2.Error, match='relation "sale" does not exist'):
        restricted.sql("create materialized view reporting.one as select public.total()")


# --- many ---------------------------------------------------------------------------------------------------


def test_agencies_of_a_canned_report_share_its_verdict_but_not_their_constants(world: Platform) -> None:
    world.canned_report(1, table_name="slugs_{agency_slug}", query="select :agency_slug::int as n from sale")
    world.canned_report(2, table_name="lost_{agency_slug}", query="select price from sale")
    for number, slug in enumerate(["ua", "7", "b6", "8"], 1):
        world.canned(number, 1, agency_slug=slug)
        world.canned(number + 10, 2, agency_slug=slug)
    found = check(world).problems
    assert [one.agency_slug for one in found if "invalid input syntax" in one.problem] == ["ua", "b6"]
    assert len([one for one in found if 'column "price" does not exist' in one.problem]) == 4


def test_only_what_is_selected_is_checked(world: Platform) -> None:
    world.custom(1, query="select nothing")
    world.custom(2, query="select nothing", agency_slug="b6")
    found = check(world, Selection(agency_slug="b6"))
    assert (found.manifests, [one.agency_slug for one in found.problems]) == (1, ["b6"])
    with pytest.raises(UnknownAgency):
        check(world, Selection(agency_slug="nobody"))


def test_who_shares_a_table_is_checked_by_its_owner(world: Platform) -> None:
    world.custom(1, table_name="joint", query="select nothing")
    world.custom(2, table_name="joint", query="select nothing", agency_slug="b6")
    (found,) = check(world, Selection(agency_slug="b6")).problems
    assert found.where == "custom-1 joint"


def test_a_database_out_of_reach_is_a_problem_and_the_others_are_checked(world: Platform) -> None:
    databases = Databases(world.url, {4: "postgresql://someone:geheim@127.0.0.1:1/there"})
    world.custom(1, query="select nothing")
    world.custom(2, database_id=4)
    world.custom(3, database_id=4, query="delete from x")
    found = check(world, databases=databases).problems
    assert [one.where for one in found] == ["database 4", "custom-1 report_1", "custom-3 report_3"]
    assert "SEEDER_DATABASES" in found[0].problem
    assert "geheim" not in str(found)
    databases.dispose()


def test_it_leaves_nothing_behind(world: Platform) -> None:
    world.custom(1, query="select * from sale")
    world.custom(2, query="select nothing")
    everything = "select count(*), max(oid::text) from pg_class"
    before = world.sql(everything)
    check(world)
    assert world.sql(everything) == before
    assert world.sql("select * from pg_prepared_statements where name = 'seeder_check'") == []


def test_progress_comes_to_as_many_as_there_are(world: Platform) -> None:
    world.custom(1)
    world.custom(2, table_name="report_1")
    world.custom(3, query="delete from sale")
    told: list[int] = []
    check_manifests(world.databases, world.all_manifests(), Selection(), policy_of(Settings()), told.append)
    assert sum(told) == 3


def test_a_matview_of_another_meaning_that_would_be_replaced_is_warned_of(world: Platform) -> None:
    world.sql("create materialized view reporting.report_1 as select 1 as one")
    world.custom(1, query="select * from sale")
    found = check(world)
    assert found.problems == ()
    (warning,) = found.warnings
    owner = world.value("select current_user")
    assert warning.startswith(f"custom-1 report_1: A materialized view of {owner} with another definition, ")
    assert "The next run puts the manifest's in its place." in warning
    assert "made without seeder, stands there. The old rows" in problem(
        world, on_query_change=OnQueryChange.ERROR
    )


def test_what_a_matviews_owner_may_not_read_is_found(world: Platform, analyst: str) -> None:
    """A superuser asks, but the query runs with the owner's rights."""
    world.sql(f"""
        create table public.secret as select 1 as id;
        grant select on sale to {analyst};
        create materialized view reporting.report_1 as select id from sale;
        alter materialized view reporting.report_1 owner to {analyst}
    """)
    world.custom(1, query="select id from sale")
    assert check(world).problems == ()
    world.sql("update reporting.seeder_custom_report_manifest set query = 'select id from public.secret'")
    said = problem(world)
    assert said.startswith("42501: permission denied for table secret")
    assert said.endswith(f"The query is run with the rights of {analyst}.")


def test_what_is_wrong_in_another_database_is_told_with_its_number(world: Platform) -> None:
    databases = Databases(world.url, {7: world.url})
    world.custom(1, query="select * from nowhere", database_id=7)
    try:
        (found,) = check(world, databases=databases).problems
    finally:
        databases.dispose()
    assert found.problem.startswith('42P01: relation "nowhere" does not exist')
    assert found.problem.endswith("\nIn database 7 (SEEDER_DATABASES)")


def test_a_directive_whose_colon_was_forgotten_is_warned_of(world: Platform) -> None:
    world.custom(1, query="-- Sales\n-- seeder unique=(id)\nselect id from sale")
    world.custom(2, query="-- seeder: unique=(id)\n-- seeder is great\nselect id from sale")
    world.custom(3, query="select '-- seeder mode=plain' as words")
    found = check(world)
    assert found.problems == ()
    assert found.warnings == (
        "custom-1 report_1: the comment in line 2 of its SQL is no directive; write -- seeder: with a colon.",
    )


def test_a_schema_of_the_path_in_which_nothing_is_looked_up_is_warned_of_once(
    world: Platform, analyst: str
) -> None:
    world.sql("create schema tools")
    try:
        world.custom(1)
        world.custom(2, database_id=2)
        both = Databases(world.url, {2: f"{world.url}?application_name=other"})
        path = "reporting, tools, extensoins, public"
        (said,) = check(world, databases=both, search_path=path).warnings
        assert "the schema extensoins, which is in no database" in said
        (other, same) = check(world, search_path=path, manifest_role=analyst).warnings
        assert f"the schema tools, which the role {analyst} may not use" in other
        assert same == said
        world.sql(f"grant usage on schema tools to {analyst}")
        assert check(world, search_path="tools", manifest_role=analyst).warnings == ()
        assert check(world).warnings == ()
        both.dispose()
    finally:
        world.sql("drop schema tools")


def test_manifests_that_run_as_a_superuser_are_warned_of_once(world: Platform, analyst: str) -> None:
    world.sql(f"grant select on sale to {analyst}")
    world.custom(1, query="select * from sale")
    world.custom(2, query="select id from sale")
    databases = Databases(world.url, {7: f"{world.url}?application_name=other"})
    world.custom(3, query="select id from sale", database_id=7)
    owner = world.value("select current_user")
    try:
        ours, theirs = check_as_it_is(world, databases=databases).warnings
    finally:
        databases.dispose()
    assert ours.startswith(f"Manifests (2) run with the rights of {owner}, a superuser: whoever")
    assert (
        f"Manifests (1) run with the rights of {owner}, a superuser of database 7 (SEEDER_DATABASES)"
        in theirs
    )
    world.sql("delete from reporting.seeder_custom_report_manifest where id = 3")
    assert check_as_it_is(world, manifest_role=analyst).warnings == ()


def test_a_superusers_matview_is_warned_of_though_the_role_is_another(world: Platform, analyst: str) -> None:
    """A refresh runs with the rights of its owner."""
    world.sql("create materialized view reporting.report_1 as select id from sale")
    world.custom(1, query="select id from sale")
    (warning,) = check_as_it_is(world, manifest_role=analyst, on_query_change=OnQueryChange.KEEP).warnings
    assert "a superuser" in warning
