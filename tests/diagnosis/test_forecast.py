"""What `seeder plan` foretells is what a run then does."""

from collections.abc import Iterator

import pytest
from support.contract import Platform, as_it_is

from seeder.config.settings import OnQueryChange, Settings
from seeder.diagnosis.forecast import Forecast, forecast
from seeder.errors import SeederError
from seeder.history import Figures, NewRun
from seeder.matviews import bring_up_to_date, policy_of
from seeder.matviews.locks import lock
from seeder.matviews.swap.copy_names import copy_of
from seeder.postgres.databases import Databases
from seeder.postgres.session import LOCK_TIMEOUT
from seeder.seedings.planning import Selection, new_run
from seeder.sql.directives import RefreshMode


@pytest.fixture
def world(any_platform: Platform) -> Platform:
    any_platform.sql("""
        create table public.sale (id integer, agency_id integer, amount numeric);
        insert into public.sale select n, 7, n from generate_series(1, 1000) as n;
        analyze public.sale
    """)
    any_platform.custom(1, table_name="sales", query="select id, amount from sale")
    return any_platform


@pytest.fixture
def made(world: Platform) -> Platform:
    run(world)
    return world


def foresee(
    world: Platform, selection: Selection | None = None, databases=None, **settings
) -> list[Forecast]:
    return forecast(
        databases or world.databases,
        world.all_manifests(),
        world.history.jobs(),
        selection or Selection(),
        policy_of(Settings(**settings)),
    )


def only(world: Platform, **settings) -> Forecast:
    (found,) = foresee(world, **settings)
    return found


def run(world: Platform, number: int = 1, **settings) -> str:
    """What a run does, or the error it ends with."""
    manifest, policy = world.manifest("custom", number), policy_of(Settings(**settings))
    assert manifest is not None
    with world.databases.session() as session:
        found = lock.take(session, manifest.matview, "seeder n1.custom-1 0", policy.limits)
        try:
            return str(bring_up_to_date(session, manifest, found, policy).outcome)
        except SeederError as error:
            return str(error)
        finally:
            lock.release(session, manifest.matview)


def test_what_is_missing_will_be_created(world: Platform) -> None:
    found = only(world)
    assert (found.action, found.diff, found.last_seconds) == ("create", None, None)
    assert found.estimated_rows == 1000
    assert found.cost == pytest.approx(
        float(world.value("explain select id, amount from public.sale").split("..")[1].split(" ")[0])
    )
    assert world.sql("select 1 from pg_class where relname = 'sales'") == []
    assert run(world) == "created"


def test_a_query_without_columns_is_planned_as_any_other(world: Platform) -> None:
    world.custom(2, table_name="none", query="select from sale")
    assert [one.action for one in foresee(world)] == ["create", "create"]
    assert (run(world), run(world, 2)) == ("created", "created")
    for settings, action, done in (
        ({}, "refresh plain", "refreshed"),
        ({"refresh_mode": RefreshMode.SWAP}, "refresh swap", "swapped"),
        ({"expect": "rows > 0"}, "refresh swap", "swapped"),
    ):
        assert [one.action for one in foresee(world, **settings)] == [action, action]
        assert foresee(world, **settings)[1].estimated_rows == 1000
        assert run(world, 2, **settings) == done
    world.sql("update reporting.seeder_custom_report_manifest set query = 'select id from sale' where id = 2")
    assert foresee(world)[1].action == "rebuild"
    assert run(world, 2) == "rebuilt"
    world.sql("update reporting.seeder_custom_report_manifest set query = 'select from sale' where id = 2")
    assert foresee(world)[1].action == "rebuild"
    assert run(world, 2) == "rebuilt"


SWAPPING = (RefreshMode.SWAP, RefreshMode.AUTO_SWAP)


@pytest.mark.parametrize(
    ("mode", "index", "action", "why"),
    [
        (RefreshMode.AUTO, "", "refresh plain", "Readers wait until it is done."),
        (RefreshMode.AUTO, "unique", "refresh concurrently", "The unique index sales_key lets readers go on"),
        (RefreshMode.PLAIN, "unique", "refresh plain", "Readers wait until it is done."),
        (RefreshMode.CONCURRENTLY, "", "refresh plain", "not concurrently: it has no usable unique index"),
        (RefreshMode.SWAP, "unique", "refresh swap", "It is built anew beside the old one"),
        (RefreshMode.AUTO_SWAP, "", "refresh swap", "It is built anew beside the old one"),
    ],
)
def test_how_it_will_be_refreshed_and_why(
    made: Platform, mode: RefreshMode, index: str, action: str, why: str
) -> None:
    made.sql(f"create {index} index sales_key on reporting.sales (id)")
    before = made.value("select pg_relation_filenode('reporting.sales'::regclass)")
    found = only(made, refresh_mode=mode)
    assert found.action == action
    assert why in found.why
    assert found.index == ("sales_key" if action == "refresh concurrently" else None)
    assert made.value("select pg_relation_filenode('reporting.sales'::regclass)") == before
    assert run(made, refresh_mode=mode) == ("swapped" if mode in SWAPPING else "refreshed")
    kept = made.value("select pg_relation_filenode('reporting.sales'::regclass)") == before
    assert kept == (action == "refresh concurrently")


def test_a_look_leaves_no_limits_on_its_connection(made: Platform) -> None:
    assert only(made, statement_timeout=1).action == "refresh plain"
    with made.databases.session() as session:
        found = session.row("""
            select current_setting('statement_timeout') as statement, current_setting('lock_timeout') as lock
        """)
    assert found == ("0", LOCK_TIMEOUT)


def test_a_changed_query_shows_how_both_definitions_differ(made: Platform) -> None:
    made.sql("update reporting.seeder_custom_report_manifest set query = 'select id, agency_id from sale'")
    found = only(made, on_query_change=OnQueryChange.ERROR)
    assert found.action == "error"
    assert found.why.startswith("The manifest's SQL has changed. The old rows")
    assert found.diff is not None
    lines = found.diff.split("\n")
    assert lines[:2] == ["--- materialized view", "+++ manifest"]
    # PostgreSQL 15 names the table before a column, later versions only where they must.
    changed = [line.replace("sale.", "") for line in lines[2:] if line[0] in "+-"]
    assert changed == ["-    amount", "+    agency_id"]
    assert run(made, on_query_change=OnQueryChange.ERROR) == found.why
    kept = only(made, on_query_change=OnQueryChange.KEEP)
    assert (kept.action, kept.diff) == ("refresh plain", found.diff)
    assert "keeps its old definition" in kept.why


def test_a_changed_query_will_be_rebuilt_and_its_functions_are_asked_for(made: Platform) -> None:
    made.sql("update reporting.seeder_custom_report_manifest set query = 'select id, agency_id from sale'")
    found = only(made)
    assert (found.action, found.estimated_rows) == ("rebuild", 1000)
    assert found.diff is not None
    assert run(made) == "rebuilt"
    made.sql("create function public.writes() returns int volatile language sql as 'select 1'")
    made.sql("update reporting.seeder_custom_report_manifest set query = 'select public.writes()'")
    found = only(made)
    assert (found.action, run(made)) == ("error", found.why)


def test_why_it_will_be_rebuilt_is_told(made: Platform) -> None:
    run(made)
    made.sql("alter table sale rename to sale_old; create table public.sale as table sale_old")
    assert only(made).why.startswith(
        "What the manifest's SQL reads has changed, and so what it means: it now reads public.sale, "
        "it no longer reads public.sale_old. Readers"
    )
    made.sql("update reporting.seeder_custom_report_manifest set query = 'select 1 as one'")
    assert only(made).why == "The manifest's SQL has changed. Readers go on reading the old rows meanwhile."
    made.sql("comment on materialized view reporting.sales is null")
    why = only(made).why
    assert "made without seeder, stands there. The manifest's definition will take its place. Readers" in why
    assert run(made) == "rebuilt"


IN_THE_WAY = {
    "a view that reads a lost column": "create view public.top as select amount from reporting.sales",
    "an index on a lost column": "create index on reporting.sales (amount)",
    "a function of its row type": "create function public.of(reporting.sales) returns int stable "
    "language sql as 'select 1'",
}


@pytest.mark.parametrize("ddl", IN_THE_WAY.values(), ids=IN_THE_WAY)
def test_what_is_in_a_rebuilds_way_is_foretold(made: Platform, ddl: str) -> None:
    made.sql(ddl)
    made.sql("update reporting.seeder_custom_report_manifest set query = 'select id, agency_id from sale'")
    found = only(made)
    assert found.action == "error"
    assert found.diff is not None
    assert run(made) == found.why
    assert made.sql("select relname from pg_class where relname like 'seeder:%'") == []


def test_a_rebuild_that_goes_on_already_is_not_waited_for(made: Platform) -> None:
    made.sql("update reporting.seeder_custom_report_manifest set query = 'select id, agency_id from sale'")
    (manifest,) = made.all_manifests()
    with made.databases.session() as other:
        lock.take(other, manifest.matview, "seeder n1.custom-1 0", policy_of(Settings()).limits)
        other.run_text(
            f"begin; create materialized view {copy_of(manifest.matview).quoted} as select 1 as one"
        )
        assert only(made).action == "rebuild"
        other.run_text("rollback")
        lock.release(other, manifest.matview)


def test_one_that_was_made_without_seeder_will_be_adopted(world: Platform) -> None:
    world.sql("create materialized view reporting.sales as select id, amount from public.sale")
    found = only(world)
    assert (found.action, found.diff) == ("refresh plain", None)
    assert "so it is adopted. Readers wait" in found.why
    assert run(world) == "refreshed"
    assert "adopted" not in only(world).why


ERRORS = {
    "a missing column": ("select id,\n price from sale", 'column "price" does not exist', (2, 2)),
    "refused SQL": ("delete from sale", "it is not a SELECT but DELETE", (1, 1)),
    "a directive": ("-- seeder: mode=fast\nselect 1", "there is no mode fast", (1, 17)),
    "a placeholder": ("select :nothing", "The placeholder :nothing can't be filled", (1, 8)),
    "a volatile function": ("select public.writes()", "public.writes, which is volatile", None),
}


@pytest.mark.parametrize(("query", "words", "position"), ERRORS.values(), ids=ERRORS)
def test_what_can_only_fail_is_an_error_in_a_runs_own_words(
    world: Platform, query: str, words: str, position: tuple[int, int] | None
) -> None:
    world.sql("create function public.writes() returns int volatile language sql as 'select 1'")
    world.sql(f"update reporting.seeder_custom_report_manifest set query = '{query}'")
    found = only(world)
    assert found.action == "error"
    assert words in found.why
    assert found.position == position
    assert run(world) == found.why


def test_a_table_in_the_way_is_an_error(world: Platform) -> None:
    world.sql("create table reporting.sales (id int)")
    found = only(world)
    assert (found.action, run(world)) == ("error", found.why)


def test_a_missing_privilege_is_an_error(world: Platform) -> None:
    world.sql("create role seeder_test_guest; grant usage, create on schema reporting to seeder_test_guest")
    try:
        found = only(world, manifest_role="seeder_test_guest")
        assert found.action == "error"
        assert "permission denied for table sale" in found.why
    finally:
        world.sql("drop owned by seeder_test_guest; drop role seeder_test_guest")


def test_a_shared_table_is_its_owners_and_a_conflict_an_error(world: Platform) -> None:
    world.custom(2, table_name="sales", query="select id, amount from sale", agency_slug="b6")
    world.custom(3, table_name="sales", query="select 3 as three", agency_slug="b6")
    shared, conflict = foresee(world, Selection(agency_slug="b6"))
    assert (shared.action, shared.owner) == ("shared", "custom-1")
    assert "custom-1 (Report 1, agency ua) does it: create" in shared.why
    assert (conflict.action, "belongs to custom-1" in conflict.why) == ("error", True)


def test_the_last_duration_is_told(world: Platform) -> None:
    (manifest,) = world.all_manifests()
    queued: NewRun = new_run("n1", manifest)
    world.history.queue([queued])
    world.history.start(queued.run_id, "sales")
    world.history.succeed(as_it_is(world.history, queued.run_id), Figures(1, 8192))
    world.sql("update reporting.seeder_job_status set duration_seconds = 17")
    assert only(world).last_seconds == 17


def test_a_database_out_of_reach_is_an_error_of_its_manifests_only(world: Platform) -> None:
    databases = Databases(world.url, {4: "postgresql://someone:geheim@127.0.0.1:1/there"})
    world.custom(2, database_id=4)
    first, second = foresee(world, databases=databases)
    assert (first.action, second.action) == ("create", "error")
    assert "SEEDER_DATABASES" in second.why
    assert "geheim" not in second.why
    databases.dispose()


@pytest.fixture
def everything(world: Platform) -> Iterator[Platform]:
    """Whatever a plan could touch is as it was afterwards."""
    world.custom(2, query="select nothing")
    world.custom(3, query="select count(*) from sale")
    run(world)
    run(world, 3)
    world.sql("update reporting.seeder_custom_report_manifest set query = 'select 3' where id = 3")
    state = """
        select (select array_agg(oid::text || relname || xmin::text order by oid) from pg_class),
               (select array_agg(description order by objoid, objsubid) from pg_description
                where classoid = 'pg_class'::regclass),
               (select count(*) from reporting.seeder_run_history)
    """
    before = world.sql(state)
    yield world
    assert world.sql(state) == before


def test_nothing_is_changed(everything: Platform) -> None:
    found = foresee(everything, on_query_change=OnQueryChange.ERROR)
    assert [one.action for one in found] == ["refresh plain", "error", "error"]


UNFIT = {
    "a column that isn't there": ("expect=(not_null(nope))", "it has no column nope"),
    "a column that can't be sorted": ("unique=(j)", "j is of type json, which has no order"),
    "two of them": ("expect=(fresh(id, 1 day), not_null(nope))", "nor does not_null(nope): it has no column"),
}


@pytest.mark.parametrize(("directives", "words"), UNFIT.values(), ids=UNFIT)
def test_directives_that_will_not_fit_are_foretold_at_any_time(
    world: Platform, directives: str, words: str
) -> None:
    query = "select id, '{}'::json as j from sale"
    for there in (False, True):
        if there:
            world.sql(f"update reporting.seeder_custom_report_manifest set query = $q${query}$q$")
            assert run(world) == "created"
        text = f"-- seeder: {directives}\n{query}"
        world.sql(f"update reporting.seeder_custom_report_manifest set query = $q${text}$q$")
        found = only(world)
        assert (found.action, run(world)) == ("error", found.why)
        assert words in found.why


def test_directives_that_do_not_fit_a_kept_matview_are_foretold(made: Platform) -> None:
    text = "-- seeder: expect=(not_null(agency_id))\nselect agency_id from sale"
    made.sql(f"update reporting.seeder_custom_report_manifest set query = $q${text}$q$")
    found = only(made, on_query_change=OnQueryChange.KEEP)
    assert (found.action, run(made, on_query_change=OnQueryChange.KEEP)) == ("error", found.why)
    assert "doesn't fit sales, which keeps its old definition" in found.why


ANALYST = "seeder_test_analyst"
DENIED = {
    "another's matview": f"grant select on sale to {ANALYST}",
    "no right to create": "drop materialized view reporting.sales; "
    f"revoke create on schema reporting from {ANALYST}",
    "no such schema": "update reporting.seeder_custom_report_manifest set table_name = 'nosch.sales'",
    "an owner who may not read": f"alter materialized view reporting.sales owner to {ANALYST}",
}


@pytest.mark.parametrize("ddl", DENIED.values(), ids=DENIED)
def test_what_is_denied_is_foretold_in_the_runs_own_words(made: Platform, ddl: str) -> None:
    made.sql(f"create role {ANALYST}; grant usage, create on schema reporting to {ANALYST}")
    role = None if "owner to" in ddl else ANALYST
    try:
        made.sql(ddl)
        found = only(made, manifest_role=role)
        assert (found.action, run(made, manifest_role=role)) == ("error", found.why)
        assert ANALYST in found.why
    finally:
        made.sql(f"drop owned by {ANALYST} cascade; drop role {ANALYST}")


def test_what_is_unchanged_is_foretold_or_why_it_is_not(made: Platform) -> None:
    made.sql("select pg_stat_force_next_flush()")
    first = only(made, skip_unchanged=True)
    assert first.action == "refresh plain"
    assert first.why.startswith("Not unchanged: no run has noted yet what its sources were like. ")

    run(made, skip_unchanged=True)
    told = only(made, skip_unchanged=True)
    assert (told.action, told.why.startswith("Unchanged since ")) == ("unchanged", True)
    assert run(made, skip_unchanged=True) == "unchanged"

    made.sql("insert into sale values (1001, 7, 1), (1002, 7, 1), (1003, 7, 1)")
    made.sql("select pg_stat_force_next_flush()")
    assert only(made, skip_unchanged=True).why.startswith("Not unchanged: sale was written to: 3 rows.")
    assert "unchanged" not in only(made).why.lower()


def test_what_keeps_a_report_from_being_skipped_is_named(world: Platform) -> None:
    world.custom(2, table_name="today", query="-- seeder: unchanged=skip\nselect now() as at from sale")
    run(world, 2)

    (told,) = foresee(world, Selection(table_name="today"))

    assert told.why.startswith("Not unchanged: calls now(). ")
