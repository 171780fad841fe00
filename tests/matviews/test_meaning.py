"""Whether a matview is what its manifest asks for, told by what PostgreSQL means and as cheaply as can be."""

import re
from typing import Any

import pytest
from support.workbench import Bench

from seeder.config.settings import OnQueryChange
from seeder.errors import MayNotRefresh, QueryChanged, QueryFailed, ReadsItself
from seeder.manifests import Manifest
from seeder.matviews.decision import KEPT
from seeder.matviews.query import meaning
from seeder.matviews.query.alteration import SQL_CHANGED
from seeder.matviews.result import Outcome
from seeder.sql.directives import RefreshMode


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each time that PostgreSQL was asked for its own words."""
    calls: list[int] = []
    real = meaning.same_meaning

    def counted(*arguments: Any, **more: Any) -> bool:
        calls.append(1)
        return real(*arguments, **more)

    monkeypatch.setattr(meaning, "same_meaning", counted)
    return calls


def identity(bench: Bench) -> int:
    oid: int = bench.value("select 'reporting.sales'::regclass::oid::bigint")
    return oid


ALIKE = {
    "layout": ("select id, amount::int from sale", "SELECT  id,\n amount :: INT -- !\nFROM Sale"),
    "another cast": ("select amount::int from sale", "select cast(amount as integer) from public.sale"),
    "an alias": ("select id from sale", "select sale.id as id from sale"),
    "parentheses": ("select id from sale where id > 1", "select (id) from sale where ((id > (1)))"),
    "every column by its name": ("select * from sale", "select id, agency_id, amount from sale"),
}


@pytest.mark.parametrize(("before", "after"), ALIKE.values(), ids=ALIKE)
def test_another_text_of_the_same_meaning_rebuilds_nothing(bench: Bench, before: str, after: str) -> None:
    bench.refresh(bench.manifest(before))
    oid, manifest = identity(bench), bench.manifest(after)
    for _ in range(2):
        done = bench.refresh(manifest, bench.policy(on_query_change=OnQueryChange.ERROR))
        assert (done.outcome, done.note) == (Outcome.REFRESHED, None)
    assert identity(bench) == oid
    stamp = bench.stamp()
    assert stamp
    assert (stamp.source, stamp.fingerprint) == (manifest.source(()), manifest.query.fingerprint)


UNLIKE = {
    "a constant": ("select id from sale where id > 1", "select id from sale where id > 2"),
    "a column's name": ("select id from sale", "select id as number from sale"),
    "the order of columns": ("select id, amount from sale", "select amount, id from sale"),
    "the order of rows": ("select id from sale", "select id from sale order by id"),
    "a type": ("select id from sale", "select id::bigint from sale"),
    "a table's alias": ("select s.id from sale s", "select sold.id from sale sold"),
}


@pytest.mark.parametrize(("before", "after"), UNLIKE.values(), ids=UNLIKE)
def test_another_meaning_is_rebuilt_once(bench: Bench, before: str, after: str) -> None:
    bench.refresh(bench.manifest(before))
    assert bench.refresh(bench.manifest(after)).outcome is Outcome.REBUILT
    assert bench.refresh(bench.manifest(after)).outcome is Outcome.REFRESHED


MORE = "alter table sale add more int default 5"
HAS_MORE = "it now has more"
GAINED = {
    "select * from sale": (MORE, HAS_MORE),
    "table sale": (MORE, HAS_MORE),
    "select s.* from sale s, other": (MORE, HAS_MORE),
    "select count(*) as n from (select distinct * from sale) s": (MORE, "it now reads more of public.sale"),
    "select count(*) as n from sale natural join other": (
        "alter table other add amount numeric default 1",
        "it now reads amount of public.other, amount of public.sale",
    ),
    "select * from seen": (
        "create or replace view public.seen as select id, agency_id from sale",
        "it now has agency_id",
    ),
    "with s as (table sale) select * from s": (
        "alter table sale rename amount to price",
        "it now has price, it no longer has amount",
    ),
}


@pytest.mark.parametrize(("query", "ddl", "changed"), [(query, *told) for query, told in GAINED.items()])
def test_a_star_means_something_else_when_its_source_changes(
    bench: Bench, asked: list[int], query: str, ddl: str, changed: str
) -> None:
    bench.sql("create table public.other (id int); insert into public.other values (1)")
    bench.sql("create view public.seen as select id from sale")
    manifest = bench.manifest(query)
    bench.refresh(manifest)
    for _ in range(3):
        assert bench.refresh(manifest).outcome is Outcome.REFRESHED
    # What it reads was learnt when it was made.
    assert asked == []
    bench.sql(ddl)
    why = f"What the manifest's SQL reads has changed, and so what it means: {changed}."
    with pytest.raises(QueryChanged, match=f"^{re.escape(why)} The old rows of sales were kept"):
        bench.refresh(manifest, bench.policy(on_query_change=OnQueryChange.ERROR))
    kept = bench.refresh(manifest, bench.policy(on_query_change=OnQueryChange.KEEP))
    assert (kept.outcome, kept.note) == (Outcome.REFRESHED, f"{why} {KEPT}")
    done = bench.refresh(manifest)
    assert (done.outcome, done.note) == (Outcome.REBUILT, why)
    expected = [tuple(row) for row in bench.sql(query)]
    assert sorted(bench.sql("table reporting.sales")) == sorted(expected)
    assert bench.refresh(manifest).outcome is Outcome.REFRESHED


def test_a_source_that_changes_elsewhere_than_under_the_star_is_asked_about_once(
    bench: Bench, asked: list[int]
) -> None:
    bench.sql("create table public.other (id int); insert into public.other values (1)")
    manifest = bench.manifest("select sale.* from sale, other")
    bench.refresh(manifest)
    bench.refresh(manifest)
    oid = identity(bench)
    bench.sql("alter table other add more int")
    for _ in range(3):
        assert bench.refresh(manifest).outcome is Outcome.REFRESHED
    assert (identity(bench), len(asked)) == (oid, 1)


def test_a_source_that_gains_a_column_nobody_asked_for_is_asked_about_once(
    bench: Bench, asked: list[int]
) -> None:
    manifest = bench.manifest("select id, count(*) as n from sale group by id")
    for _ in range(3):
        bench.refresh(manifest)
    oid = identity(bench)
    bench.sql("alter table sale add more int")
    for _ in range(3):
        assert bench.refresh(manifest).outcome is Outcome.REFRESHED
    assert (identity(bench), len(asked)) == (oid, 1)


READ_BY_NAME = {
    "a table": "select id, amount from sale",
    "a table with its schema": "select id, amount from public.sale",
    "a table behind a WITH query of its name": (
        "with sale as (select id, amount from public.sale) select * from sale"
    ),
    "a table in a sub-select": "select 1 as one, (select sum(amount) from sale) as total",
    "a view": "select id, amount from seen as sale",
}


@pytest.mark.parametrize("query", READ_BY_NAME.values(), ids=READ_BY_NAME)
@pytest.mark.parametrize("runs", [1, 2])
def test_a_source_that_is_replaced_by_a_rename_is_read_by_its_name(
    bench: Bench, query: str, runs: int
) -> None:
    bench.sql("create view public.seen as table sale")
    manifest = bench.manifest(query)
    for _ in range(runs):
        bench.refresh(manifest)
    bench.sql("""
        create table public.sale_new (id integer, agency_id integer, amount numeric);
        insert into sale_new values (1, 7, 2);
        create view public.seen_new as table sale_new;
        begin;
        alter table sale rename to sale_old; alter table sale_new rename to sale;
        alter view seen rename to seen_old; alter view seen_new rename to seen;
        commit
    """)
    with pytest.raises(
        QueryChanged, match=r"it now reads public\.\w+, it no longer reads public\.\w+_old\. "
    ):
        bench.refresh(manifest, bench.policy(on_query_change=OnQueryChange.ERROR))
    assert bench.refresh(manifest).outcome is Outcome.REBUILT
    assert bench.sql("table reporting.sales") == bench.sql(query) == [(1, 2)]
    oid = identity(bench)
    for _ in range(2):
        assert bench.refresh(manifest).outcome is Outcome.REFRESHED
    assert identity(bench) == oid


MOVED = {
    "a column": ("select amount from sale", "alter table sale rename amount to price"),
    "a function": ("select half(amount) as half from sale", "alter function half(numeric) rename to halved"),
    "a table": ("select amount from sale", "alter table sale rename to sold"),
    "a table to another schema": (
        "select amount from public.sale",
        "create schema attic; alter table sale set schema attic",
    ),
}


@pytest.mark.parametrize(("query", "ddl"), MOVED.values(), ids=MOVED)
def test_a_name_that_is_gone_is_an_error_that_keeps_the_rows(bench: Bench, query: str, ddl: str) -> None:
    bench.sql(
        "create function public.half(numeric) returns numeric immutable language sql as 'select $1 / 2'"
    )
    manifest = bench.manifest(query)
    for _ in range(2):
        bench.refresh(manifest)
    bench.sql(ddl)
    with pytest.raises(QueryFailed, match=r"^42(P01|703|883): .* does not exist"):
        bench.refresh(manifest)
    assert bench.value("select count(*) from reporting.sales") == 100


def test_columns_that_change_their_names_are_read_by_their_names(bench: Bench) -> None:
    manifest = bench.manifest("select sum(amount) as total from sale")
    for _ in range(2):
        bench.refresh(manifest)
    bench.sql("""
        alter table sale add amount_new numeric default 1;
        alter table sale rename amount to amount_old; alter table sale rename amount_new to amount
    """)
    assert bench.refresh(manifest).outcome is Outcome.REBUILT
    assert bench.value("select total from reporting.sales") == 100


def test_a_relation_of_the_same_name_earlier_on_the_search_path_is_noticed(bench: Bench) -> None:
    manifest = bench.manifest("select id from sale")
    for _ in range(2):
        bench.refresh(manifest)
    bench.sql("create table reporting.sale as select * from public.sale where id < 4")
    done = bench.refresh(manifest)
    assert (done.outcome, done.figures.records) == (Outcome.REBUILT, 3)


def test_so_is_one_in_a_schema_whose_name_is_full_of_a_lists_signs(bench: Bench) -> None:
    bench.sql('create schema "o""d, d"')
    try:
        manifest = bench.manifest("select id from sale")
        policy = bench.policy(SEEDER_SCHEMA='o"d, d')
        for _ in range(2):
            bench.refresh(manifest, policy)
        bench.sql('create table "o""d, d".sale as select * from public.sale where id < 4')
        done = bench.refresh(manifest, policy)
        assert (done.outcome, done.figures.records) == (Outcome.REBUILT, 3)
    finally:
        bench.sql('drop schema "o""d, d" cascade')


def test_names_are_the_same_after_a_dump_and_a_restore(bench: Bench, asked: list[int]) -> None:
    """As far as it matters here: everything has another oid, the comment is the old one."""
    manifest = bench.manifest()
    for _ in range(2):
        bench.refresh(manifest)
    comment = bench.comment()
    bench.sql(f"""
        drop materialized view reporting.sales; alter table sale rename to dumped;
        create table public.sale as table dumped; drop table dumped;
        create materialized view reporting.sales as select * from sale;
        comment on materialized view reporting.sales is '{comment}'
    """)
    before = len(asked)
    assert bench.refresh(manifest).outcome is Outcome.REFRESHED
    assert len(asked) == before


def test_a_matview_of_its_sources_name_goes_on_reading_the_source(bench: Bench) -> None:
    manifest = bench.manifest("select id, amount from sale", table_name="sale")
    bench.refresh(manifest)
    bench.sql("delete from public.sale where id > 7")
    for _ in range(2):
        assert bench.refresh(manifest).figures.records == 7
    with pytest.raises(ReadsItself, match="Write the table's schema before its name"):
        bench.refresh(bench.manifest("select id from sale", table_name="sale"))
    done = bench.refresh(bench.manifest("select id from public.sale", table_name="sale"))
    assert (done.outcome, done.figures.records) == (Outcome.REBUILT, 7)


def test_an_ordinary_run_does_not_even_read_its_query(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    manifests = [bench.manifest("select id from sale"), bench.manifest(table_name="starred")]
    for _ in range(2):
        for manifest in manifests:
            bench.refresh(manifest)

    def never(self: Manifest) -> None:
        raise AssertionError(self)

    monkeypatch.setattr(Manifest, "query", property(never))
    for manifest in manifests:
        assert bench.refresh(manifest).outcome is Outcome.REFRESHED


def test_a_kept_definition_is_swapped_as_it_is(bench: Bench) -> None:
    bench.refresh()
    before = bench.stamp()
    bench.sql("delete from sale where id > 7")
    policy = bench.policy(on_query_change=OnQueryChange.KEEP, refresh_mode=RefreshMode.SWAP)
    done = bench.refresh(bench.manifest("select id from sale"), policy)
    assert (done.outcome, done.figures.records) == (Outcome.SWAPPED, 7)
    assert done.note == f"{SQL_CHANGED} {KEPT}"
    assert bench.value("select count(amount) from reporting.sales") == 7
    after = bench.stamp()
    assert before
    assert after
    assert (after.fingerprint, after.source) == (before.fingerprint, before.source)


def test_new_sql_that_is_wrong_leaves_the_old_matview_in_service(bench: Bench) -> None:
    bench.refresh()
    for mode in OnQueryChange:
        with pytest.raises(QueryFailed, match=r'column "amuont" does not exist\n(.*\n)?At line 1, column 8'):
            bench.refresh(bench.manifest("select amuont from sale"), bench.policy(on_query_change=mode))
    assert bench.refresh().outcome is Outcome.REFRESHED


# --- adoption --------------------------------------------------------------------------------------------


def test_names_are_those_of_the_manifests_search_path_not_of_whoever_made_it(bench: Bench) -> None:
    """`sale` is first looked up in reporting; whoever made the matview meant the one in public."""
    bench.sql("create table reporting.sale as select * from public.sale where id < 4")
    error = bench.policy(on_query_change=OnQueryChange.ERROR)
    bench.sql("set search_path = public; create materialized view reporting.sales as select id from sale")
    with pytest.raises(QueryChanged):
        bench.refresh(bench.manifest("select id from sale"), error)
    assert bench.refresh(bench.manifest("select id from public.sale"), error).outcome is Outcome.REFRESHED
    bench.sql("drop materialized view reporting.sales")
    bench.sql("set search_path = reporting; create materialized view reporting.sales as select id from sale")
    assert bench.refresh(bench.manifest("select id from sale"), error).figures.records == 3
    assert bench.stamp() is not None


def test_names_are_looked_up_as_the_role_that_manifests_run_as(bench: Bench) -> None:
    """A schema that the role may not use is passed over."""
    bench.sql("create role seeder_test_reader; grant create, usage on schema reporting to seeder_test_reader")
    try:
        bench.sql("""
            create table reporting.sale as select * from public.sale where id < 4;
            grant select on reporting.sale to seeder_test_reader;
            create materialized view reporting.sales as select id from reporting.sale;
            alter materialized view reporting.sales owner to seeder_test_reader
        """)
        policy = bench.policy(role="seeder_test_reader", on_query_change=OnQueryChange.ERROR)
        with pytest.raises(QueryChanged):
            bench.refresh(bench.manifest("select id from public.sale"), policy)
        assert bench.refresh(bench.manifest("select id from sale"), policy).figures.records == 3
        assert bench.stamp() is not None
    finally:
        bench.sql("drop owned by seeder_test_reader cascade; drop role seeder_test_reader")


def test_another_roles_matview_is_adopted_and_stays_that_roles(bench: Bench) -> None:
    bench.sql("create role seeder_test_owner; grant create, usage on schema reporting to seeder_test_owner")
    try:
        bench.sql("""
            grant select on sale to seeder_test_owner;
            create materialized view reporting.sales as select * from public.sale where id <> 7;
            comment on materialized view reporting.sales is 'Hers';
            alter materialized view reporting.sales owner to seeder_test_owner
        """)
        owner = "select matviewowner::text from pg_matviews where matviewname = 'sales'"
        manifest = bench.manifest("SELECT * FROM sale WHERE id != 7")
        oid = identity(bench)
        assert bench.refresh(manifest).outcome is Outcome.REFRESHED
        assert (identity(bench), bench.value(owner)) == (oid, "seeder_test_owner")
        assert (bench.comment() or "").startswith("Hers\n{")
        assert bench.refresh(policy=bench.policy(refresh_mode=RefreshMode.SWAP)).outcome is Outcome.REBUILT
        assert bench.value(owner) == "seeder_test_owner"
        # It is the owner who reads, as in a refresh: a new source is no more open to it than before.
        bench.sql("create table public.secret as select 1 as one")
        whose = (
            "42501: permission denied for table secret\nThe query is run with the rights of seeder_test_owner"
        )
        with pytest.raises(QueryFailed, match=whose):
            bench.refresh(bench.manifest("select * from secret"))
        assert bench.value("select count(*) from reporting.sales") == 100
    finally:
        bench.sql("drop owned by seeder_test_owner cascade; drop role seeder_test_owner")


def test_a_manifest_is_never_run_with_the_rights_of_a_matview_it_does_not_own(bench: Bench) -> None:
    bench.sql("create role seeder_test_weak; grant create, usage on schema reporting to seeder_test_weak")
    try:
        bench.sql("create materialized view reporting.sales as select 1 as one")
        bench.sql("grant select on sale to seeder_test_weak")
        for mode in (RefreshMode.PLAIN, RefreshMode.SWAP):
            policy = bench.policy(role="seeder_test_weak", refresh_mode=mode)
            for query in ("select 1 as one", "select id from sale"):
                with pytest.raises(MayNotRefresh, match="role seeder_test_weak may not refresh reporting"):
                    bench.refresh(bench.manifest(query), policy)
        assert bench.sql("table reporting.sales") == [(1,)]
        assert bench.relations() == {"sales"}
    finally:
        bench.sql("drop owned by seeder_test_weak cascade; drop role seeder_test_weak")


def test_an_old_definition_that_can_not_be_read_any_more_is_rebuilt(bench: Bench) -> None:
    """PostgreSQL doesn't hold what is stored already against a check that has changed since."""
    function = "create or replace function public.is_small(integer) returns boolean immutable return "
    bench.sql(f"""
        {function} true;
        create domain public.small as integer check (public.is_small(value));
        create type public.pair as (a small, b small)
    """)
    bench.refresh(bench.manifest("select ('(1,2)'::pair).a::integer as id from sale"))
    bench.sql(f"{function} false")
    # A session that has read the check keeps it.
    bench.platform.databases.dispose()
    try:
        assert bench.refresh(bench.manifest("select id from sale")).outcome is Outcome.REBUILT
    finally:
        bench.sql("drop type public.pair cascade; drop domain public.small")
