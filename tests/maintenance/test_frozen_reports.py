"""Reports that nothing refreshes any more are found by their stamps, and dropped where nothing is lost."""

from collections.abc import Iterator

import pytest
from sqlalchemy.engine import make_url
from support.contract import Platform, new_run, platform_on
from support.emptied import fresh_database
from support.frozen_reports import recorded, stamped

from seeder.maintenance.frozen import Dropping, FrozenReports, Kept, Outcome, Why, find
from seeder.matviews.locks import lock
from seeder.matviews.locks.lock_key import key_of
from seeder.postgres.databases import Databases
from seeder.postgres.session import LOCK_TIMEOUT
from seeder.sql.names import MatviewName

#: Nothing listens there.
NOWHERE = "postgresql://seeder@127.0.0.1:1/seeder"


@pytest.fixture
def world(any_platform: Platform) -> Platform:
    """With a manifest that is refreshed, so that there is one at all."""
    any_platform.custom(99, table_name="alive")
    stamped(any_platform, "reporting.alive", "custom-99")
    recorded(any_platform, "alive", "custom-99")
    return any_platform


def frozen(world: Platform, databases: Databases | None = None) -> FrozenReports:
    return find(databases or world.databases, world.manifests, world.history, "reporting")


def dropping(world: Platform, databases: Databases | None = None) -> Dropping:
    return Dropping(databases or world.databases, world.manifests, world.history, "reporting", "ann")


def drop(world: Platform, found: FrozenReports | None = None) -> list[tuple[str, Kept | None]]:
    return [told(one) for one in dropping(world).let_go(found or frozen(world))]


def told(outcome: Outcome) -> tuple[str, Kept | None]:
    one = outcome.one
    return (str(one.stamped.name) if hasattr(one, "stamped") else one.row.table_name), outcome.kept


def there(world: Platform) -> list[str]:
    return [row[0] for row in world.sql("select relname from pg_class where relkind = 'm' order by 1")]


def names(found: FrozenReports) -> dict[str, tuple[Why, Kept | None]]:
    return {str(one.stamped.name): (one.why, one.kept) for one in found.matviews}


def test_a_matview_whose_manifest_is_gone_is_found_with_what_is_known_of_it(world: Platform) -> None:
    stamped(world, "reporting.sales")
    recorded(world, "sales")
    (one,) = frozen(world).matviews
    assert (one.table_name, one.manifest, one.why, one.kept) == ("sales", "custom-1", Why.GONE, None)
    assert (one.report_name, one.agency_slug, one.database_id) == ("Sales", "ua", None)
    assert one.last_refreshed is not None
    assert frozen(world).count == 1


def test_one_whose_manifest_has_another_table_now_is_found(world: Platform) -> None:
    stamped(world, "reporting.sales")
    recorded(world, "sales")
    world.custom(1, table_name="turnover")
    (one,) = frozen(world).matviews
    assert (one.why, one.now_table) == (Why.RENAMED, "turnover")
    assert drop(world) == [("reporting.sales", None)]
    assert there(world) == ["alive"]


def test_a_drop_is_recorded_and_the_row_of_status_goes(world: Platform) -> None:
    stamped(world, "reporting.sales", query="select 41 as answer")
    recorded(world, "sales")
    before = world.history.runs_of_table("alive")
    assert drop(world) == [("reporting.sales", None)]
    last, run = world.history.runs_of_table("sales")
    assert (last.status, last.report_name, last.consecutive_failures) == ("error", "Sales", 0)
    assert last.errors.startswith("Dropped by ann")
    assert "Its manifest custom-1 is gone." in last.errors
    assert "41 AS answer" in last.errors
    assert run.status == "success"
    assert world.sql("select table_name from reporting.seeder_job_status") == [("alive",)]
    assert world.history.runs_of_table("alive") == before
    assert frozen(world).count == 0


def test_what_is_not_seeders_or_has_a_manifest_is_never_touched(world: Platform) -> None:
    world.sql("""
        create materialized view reporting.theirs as select 1 as one;
        create materialized view reporting.said as select 1 as one;
        comment on materialized view reporting.said is 'not {"seeder": 1}'
    """)
    assert names(frozen(world)) == {}
    assert drop(world) == []
    assert there(world) == ["alive", "said", "theirs"]


@pytest.mark.parametrize(
    "columns",
    [{}, {"agency_slug": "o'r", "table_name": "reporting.sales"}, {"query": "no sql"}, {"query": ""}],
)
def test_a_manifest_of_the_same_matview_keeps_it_whoever_it_was_stamped_for(
    world: Platform, columns: dict[str, str]
) -> None:
    stamped(world, "reporting.sales", "canned-7")
    recorded(world, "sales", "canned-7")
    world.custom(5, **{"table_name": "sales", **columns})
    assert names(frozen(world)) == {}


def test_a_manifest_that_does_not_say_where_its_matview_is_keeps_what_it_made(world: Platform) -> None:
    stamped(world, "reporting.sales")
    recorded(world, "sales")
    world.custom(1, table_name="a-b")
    assert (frozen(world).matviews, frozen(world).statuses) == ((), ())
    world.sql(
        "update reporting.seeder_custom_report_manifest set table_name = 'x', database_id = 9 where id = 1"
    )
    assert (frozen(world).matviews, frozen(world).statuses) == ((), ())


def test_one_whose_manifest_is_switched_off_is_listed_apart_and_stays(world: Platform) -> None:
    world.custom(1, table_name="sales", enabled=False)
    stamped(world, "reporting.sales")
    recorded(world, "sales")
    found = frozen(world)
    assert (found.matviews, found.statuses, found.count) == ((), (), 0)
    assert [(str(one.stamped.name), one.why, one.kept) for one in found.off] == [
        ("reporting.sales", Why.OFF, Kept.OFF)
    ]
    assert drop(world) == []


def test_a_manifest_that_was_renamed_and_switched_off_leaves_its_old_matview_frozen(world: Platform) -> None:
    stamped(world, "reporting.sales")
    recorded(world, "sales")
    world.custom(1, table_name="turnover", enabled=False)
    assert names(frozen(world)) == {"reporting.sales": (Why.RENAMED, None)}


def test_nothing_is_dropped_while_there_is_no_manifest_at_all(any_platform: Platform) -> None:
    stamped(any_platform, "reporting.sales")
    recorded(any_platform, "sales")
    found = frozen(any_platform)
    assert names(found) == {"reporting.sales": (Why.GONE, Kept.NO_MANIFESTS)}
    assert [one.kept for one in found.statuses] == [Kept.NO_MANIFESTS]
    assert drop(any_platform) == []


def test_manifests_that_all_vanish_after_the_look_keep_everything(world: Platform) -> None:
    stamped(world, "reporting.sales")
    recorded(world, "sales")
    found = frozen(world)
    world.sql("delete from reporting.seeder_custom_report_manifest")
    assert drop(world, found) == [("reporting.sales", Kept.CHANGED)]


def test_another_seeders_matview_on_the_same_database_stays(world: Platform) -> None:
    """Its manifests have the same numbers, and its record isn't this one."""
    world.custom(1, table_name="mine")
    recorded(world, "mine")
    stamped(world, "public.yours")
    assert names(frozen(world)) == {"public.yours": (Why.RENAMED, Kept.UNRECORDED)}
    recorded(world, "public.yours", "custom-2")
    assert names(frozen(world)) == {"public.yours": (Why.RENAMED, Kept.UNRECORDED)}
    assert drop(world) == []


@pytest.mark.parametrize(
    ("on_top", "what"),
    [
        ("create view public.on_top as select one from reporting.sales", "view public.on_top"),
        (
            "create materialized view public.on_top as select one from reporting.sales",
            "materialized view public.on_top",
        ),
        ("create function public.on_top(reporting.sales) returns int language sql as 'select 1'", "function"),
        (
            "create function public.on_top(reporting.sales[]) returns int language sql as 'select 1'",
            "function",
        ),
        (
            "create function public.on_top() returns bigint begin atomic select 1 from reporting.sales; end",
            "function",
        ),
        ("create table public.on_top (it reporting.sales)", "column it of table public.on_top"),
    ],
)
def test_what_something_is_built_on_stays(world: Platform, on_top: str, what: str) -> None:
    stamped(world, "reporting.sales")
    recorded(world, "sales")
    found = frozen(world)
    world.sql(on_top)
    (one,) = frozen(world).matviews
    assert (one.kept, [name for name in one.stamped.built_on if what in name] != []) == (Kept.BUILT_ON, True)
    # It may come after the look as well.
    assert drop(world, found) == [("reporting.sales", Kept.BUILT_ON)]
    assert "sales" in there(world)
    assert world.sql("select count(*) from reporting.seeder_job_status where table_name = 'sales'") == [(1,)]


def test_indexes_and_grants_are_nothing_built_on_it(world: Platform) -> None:
    stamped(world, "reporting.sales")
    recorded(world, "sales")
    world.sql("create unique index on reporting.sales (one); grant select on reporting.sales to public")
    assert drop(world) == [("reporting.sales", None)]


def test_one_that_a_run_works_on_stays(world: Platform) -> None:
    stamped(world, "reporting.sales")
    recorded(world, "sales")
    found = frozen(world)
    key = key_of(MatviewName("reporting", "sales"))
    with world.databases.session() as worker:
        assert lock.try_lock(worker, key)
        assert names(frozen(world)) == {"reporting.sales": (Why.GONE, Kept.BUSY)}
        assert drop(world, found) == [("reporting.sales", Kept.BUSY)]
        lock.unlock(worker, key)
    assert drop(world, found) == [("reporting.sales", None)]
    with world.databases.session() as another:
        assert lock.try_lock(another, key), "the lock is free again"
        lock.unlock(another, key)
        assert another.row("show lock_timeout").lock_timeout == LOCK_TIMEOUT


def test_one_that_somebody_reads_waits_for_the_next_time(world: Platform) -> None:
    stamped(world, "reporting.sales")
    stamped(world, "reporting.visits", "custom-2")
    recorded(world, "sales")
    recorded(world, "visits", "custom-2")
    with world.databases.session() as reader, reader.transaction():
        reader.run_text("select from reporting.sales")
        assert drop(world) == [("reporting.sales", Kept.IN_USE), ("reporting.visits", None)]
    assert drop(world) == [("reporting.sales", None)]


def test_a_manifest_that_comes_meanwhile_keeps_its_matview(world: Platform) -> None:
    stamped(world, "reporting.sales")
    recorded(world, "sales")
    recorded(world, "left", "custom-3")
    found = frozen(world)
    world.custom(1, table_name="reporting.sales")
    world.custom(3, table_name="left")
    assert drop(world, found) == [("reporting.sales", Kept.CHANGED), ("left", Kept.CHANGED)]
    assert there(world) == ["alive", "sales"]


@pytest.mark.parametrize(
    "change",
    [
        "comment on materialized view reporting.sales is null",
        "alter materialized view reporting.sales rename to others",
        "alter materialized view reporting.sales set schema public",
        "drop materialized view reporting.sales; create materialized view reporting.sales as select 2 as two",
    ],
)
def test_what_is_no_longer_what_was_found_is_not_touched(world: Platform, change: str) -> None:
    stamped(world, "reporting.sales")
    recorded(world, "sales")
    found = frozen(world)
    world.sql(change)
    before = there(world)
    assert drop(world, found) == [("reporting.sales", Kept.CHANGED)]
    assert there(world) == before


def test_a_name_that_becomes_anothers_before_the_drop_keeps_that_one(
    world: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when somebody renames both between the look and the drop."""
    stamped(world, "reporting.sales")
    recorded(world, "sales")
    world.sql("create materialized view reporting.theirs as select 1 as one")
    monkeypatch.setattr(
        "seeder.matviews.stamped.DROP_STAMPED", "drop materialized view reporting.theirs restrict"
    )
    assert drop(world) == [("reporting.sales", Kept.CHANGED)]
    assert there(world) == ["alive", "sales", "theirs"]


@pytest.fixture
def stranger(world: Platform) -> Iterator[str]:
    world.sql("create role seeder_test_stranger; grant all on schema reporting to seeder_test_stranger")
    yield "seeder_test_stranger"
    world.sql("drop owned by seeder_test_stranger cascade; drop role seeder_test_stranger")


def test_what_belongs_to_a_stranger_stays_and_the_manifests_roles_own_goes(
    world: Platform, stranger: str
) -> None:
    stamped(world, "reporting.sales")
    recorded(world, "sales")
    world.sql(f"""
        create role seeder_test_login login noinherit password 'secret';
        grant usage on schema reporting to seeder_test_login;
        grant select, insert, update, delete on all tables in schema reporting to seeder_test_login;
        grant usage on all sequences in schema reporting to seeder_test_login;
        alter materialized view reporting.sales owner to {stranger}
    """)
    url = make_url(world.url).set(username="seeder_test_login", password="secret")
    login = Databases(url.render_as_string(hide_password=False))
    try:
        assert names(frozen(world, login)) == {"reporting.sales": (Why.GONE, Kept.NOT_OWNED)}
        world.sql(f"grant {stranger} to seeder_test_login")
        found = frozen(world, login)
        assert [told(one) for one in dropping(world, login).let_go(found)] == [("reporting.sales", None)]
    finally:
        login.dispose()
        world.sql("drop owned by seeder_test_login; drop role seeder_test_login")


# --- rows of status ----------------------------------------------------------------------------------------


def test_a_row_of_status_alone_is_listed_and_deleted(world: Platform) -> None:
    recorded(world, "left")
    found = frozen(world)
    assert [(one.row.table_name, one.row.identity, one.kept) for one in found.statuses] == [
        ("left", "custom-1", None)
    ]
    assert found.count == 1
    assert drop(world) == [("left", None)]
    assert len(world.history.runs_of_table("left")) == 1, "the history stays"


def test_a_row_with_a_run_under_way_stays(world: Platform) -> None:
    recorded(world, "left")
    found = frozen(world)
    world.history.queue([new_run("20261125T0200Z.custom-1", "left")])
    assert [one.kept for one in frozen(world).statuses] == [Kept.BUSY]
    assert drop(world, found) == [("left", Kept.CHANGED)]


def test_a_manifest_that_writes_the_name_otherwise_loses_only_the_old_row(world: Platform) -> None:
    recorded(world, "alive2", "custom-98")
    stamped(world, "reporting.alive2", "custom-98")
    world.custom(98, table_name="reporting.alive2")
    assert drop(world) == [("alive2", None)]
    assert there(world) == ["alive", "alive2"]


# --- several databases -------------------------------------------------------------------------------------


@pytest.fixture
def other(world: Platform) -> Iterator[Platform]:
    with fresh_database(world.url) as url, platform_on(url) as made:
        yield made


def test_one_whose_manifest_has_moved_to_another_database_is_found_on_both(
    world: Platform, other: Platform
) -> None:
    databases = Databases(world.url, {7: other.url, 8: other.url, 9: NOWHERE})
    world.custom(1, table_name="sales", database_id=8)
    for one in (world, other):
        stamped(one, "reporting.sales")
    stamped(other, "reporting.gone", "custom-2")
    recorded(world, "sales")
    recorded(world, "gone", "custom-2")
    recorded(world, "nowhere", "custom-3")
    found = frozen(world, databases)
    assert [
        (str(one.stamped.name), one.database_id, one.why, one.now_database_id) for one in found.matviews
    ] == [
        ("reporting.sales", None, Why.MOVED, 8),
        ("reporting.gone", 7, Why.GONE, None),
    ]
    assert [one.database_id for one in found.unreachable] == [9]
    assert {one.row.table_name: one.kept for one in found.statuses} == {
        "gone": None,
        "nowhere": Kept.UNREACHABLE,
    }
    assert [told(one) for one in dropping(world, databases).let_go(found)] == [
        ("reporting.sales", None),
        ("reporting.gone", None),
    ]
    assert there(other) == ["sales"]
    assert [row[0] for row in world.sql("select table_name from reporting.seeder_job_status order by 1")] == [
        "alive",
        "nowhere",
        "sales",
    ]
    databases.dispose()
