"""A matview that is there: what is done to it, and what is told of it."""

import pytest
from support.workbench import Bench

from seeder.config.settings import OnQueryChange
from seeder.errors import KeyNotUnique, QueryChanged, QueryFailed, TableTaken
from seeder.matviews import refresh as refreshing
from seeder.matviews.decision import KEPT
from seeder.matviews.found import Found
from seeder.matviews.query.alteration import SQL_CHANGED
from seeder.matviews.result import Outcome
from seeder.sql.directives import RefreshMode

UNUSABLE = {
    "no index at all": "",
    "one that is not unique": "create index on reporting.sales (id)",
    "a partial one": "create unique index on reporting.sales (id) where id > 0",
    "one over an expression": "create unique index on reporting.sales ((id + 0))",
    "one partly over an expression": "create unique index on reporting.sales (id, (id + 0))",
    "an invalid one": """
        create unique index seen on reporting.sales (id);
        update pg_index set indisvalid = false where indexrelid = 'reporting.seen'::regclass
    """,
    "a deferred one": """
        create unique index seen on reporting.sales (id);
        update pg_index set indimmediate = false where indexrelid = 'reporting.seen'::regclass
    """,
}


@pytest.mark.parametrize("mode", [RefreshMode.AUTO, RefreshMode.CONCURRENTLY])
def test_with_a_usable_unique_index_readers_need_not_wait(bench: Bench, mode: RefreshMode) -> None:
    bench.refresh()
    bench.sql("create unique index on reporting.sales (id) include (amount)")
    before = bench.rewritten()
    bench.sql("update sale set amount = 0 where id <= 10; delete from sale where id > 98")
    done = bench.refresh(policy=bench.policy(refresh_mode=mode))
    assert (done.outcome, done.note, done.figures.records) == (Outcome.REFRESHED, None, 98)
    assert bench.rewritten() == before
    assert bench.value("select count(*) from reporting.sales where amount = 0") == 10


@pytest.mark.parametrize(
    ("mode", "note"),
    [
        (RefreshMode.AUTO, None),
        (RefreshMode.CONCURRENTLY, "Refreshed plain, not concurrently: it has no usable unique index."),
    ],
)
@pytest.mark.parametrize("index", UNUSABLE.values(), ids=UNUSABLE)
def test_without_a_usable_index_it_is_refreshed_plain(
    bench: Bench, index: str, mode: RefreshMode, note: str | None
) -> None:
    bench.refresh()
    if index:
        bench.sql(index)
    before = bench.rewritten()
    done = bench.refresh(policy=bench.policy(refresh_mode=mode))
    assert (done.note, done.figures.records) == (note, 100)
    assert bench.rewritten() != before


def test_plain_is_plain_whatever_indexes_there_are(bench: Bench) -> None:
    bench.refresh()
    bench.sql("create unique index on reporting.sales (id)")
    before = bench.rewritten()
    assert bench.refresh(policy=bench.policy(refresh_mode=RefreshMode.PLAIN)).note is None
    assert bench.rewritten() != before


@pytest.mark.parametrize("mode", RefreshMode)
def test_an_unpopulated_one_is_filled(bench: Bench, mode: RefreshMode) -> None:
    bench.sql("create materialized view reporting.sales as select * from public.sale with no data")
    bench.sql("create unique index on reporting.sales (id)")
    done = bench.refresh(policy=bench.policy(refresh_mode=mode))
    concurrently = "Refreshed plain, not concurrently: it holds no rows yet."
    assert done.note == (concurrently if mode is RefreshMode.CONCURRENTLY else None)
    assert (done.figures.records, bench.value("select count(*) from reporting.sales")) == (100, 100)


def test_an_index_that_goes_after_the_look_makes_it_plain_with_a_note(bench: Bench) -> None:
    bench.refresh()
    with bench.claimed(bench.manifest(), bench.policy()) as (session, found):
        seen = Found(found.oid, found.kind, True, found.comment, keyed=True)
        done = refreshing.refresh(session, bench.manifest().matview, seen, bench.policy())
    assert done.method is refreshing.Method.PLAIN
    assert done.note is not None
    assert done.note.startswith("Refreshed plain, not concurrently: cannot refresh materialized view")
    assert done.records == 100


def test_rows_that_go_after_the_look_make_it_plain_with_a_note(bench: Bench) -> None:
    bench.refresh()
    bench.sql("create unique index on reporting.sales (id)")
    with bench.claimed(bench.manifest(), bench.policy()) as (session, found):
        bench.sql("refresh materialized view reporting.sales with no data")
        assert found.populated
        assert found.keyed
        done = refreshing.refresh(session, bench.manifest().matview, found, bench.policy())
    assert done.method is refreshing.Method.PLAIN
    assert done.note is not None
    assert (done.records, "not populated" in done.note) == (100, True)


def test_duplicate_rows_under_a_unique_index_are_an_error_and_the_old_rows_stay(bench: Bench) -> None:
    bench.refresh()
    bench.sql("create unique index on reporting.sales (id)")
    bench.sql("insert into sale values (1, 7, 0)")
    for mode in RefreshMode:
        with pytest.raises(KeyNotUnique, match="the old rows were kept: 2 rows have id = 1"):
            bench.refresh(policy=bench.policy(refresh_mode=mode))
    assert bench.value("select count(*) from reporting.sales") == 100


def test_a_failed_refresh_keeps_the_old_rows(bench: Bench) -> None:
    manifest = bench.manifest("select id, 100 / amount as share from sale")
    bench.refresh(manifest)
    bench.sql("update sale set amount = 0 where id = 50")
    with pytest.raises(QueryFailed, match=r"^22012: division by zero"):
        bench.refresh(manifest)
    assert bench.value("select count(*) from reporting.sales") == 100
    bench.sql("update sale set amount = 1")
    assert bench.refresh(manifest).figures.records == 100


# --- figures -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("counting", ["on", "off"])
@pytest.mark.parametrize("index", ["", "create unique index on reporting.sales (id)"])
def test_the_number_of_rows_is_exact_however_the_session_went_before(
    bench: Bench, counting: str, index: str
) -> None:
    database = bench.value("select current_database()")
    bench.sql(f"alter database {database} set track_counts = {counting}")
    bench.platform.databases.dispose()
    try:
        bench.refresh()
        if index:
            bench.sql(index)
        manifest, policy = bench.manifest(), bench.policy()
        with bench.claimed(manifest, policy) as (session, found):
            for change in (
                "select 1",
                "insert into public.sale select n, 7, n from generate_series(101, 937) as n",
                "delete from public.sale where id % 3 = 0",
                "update public.sale set amount = 1 where id < 50",
                "delete from public.sale",
                "insert into public.sale select n, 7, n from generate_series(1, 12) as n",
            ):
                session.run_text(change)
                done = refreshing.refresh(session, manifest.matview, found, policy)
                assert done.records == session.row("select count(*) as n from reporting.sales").n
    finally:
        bench.sql(f"alter database {database} reset track_counts")
        bench.platform.databases.dispose()


def test_the_size_counts_indexes_and_long_values_too(bench: Bench) -> None:
    wide = (
        "select id, repeat(md5(id::text), 400) || string_agg(md5(n::text), '') as long from sale, "
        "generate_series(1, 300) n group by id"
    )
    bench.refresh(bench.manifest(wide))
    bench.sql("create index on reporting.sales (id)")
    done = bench.refresh(bench.manifest(wide))
    assert done.figures.total_bytes == bench.value("select pg_total_relation_size('reporting.sales')")
    assert done.figures.total_bytes > bench.value("select pg_relation_size('reporting.sales')")


# --- the stamp, and SQL that changes ---------------------------------------------------------------------


def test_a_persons_own_comment_is_kept_with_the_stamp_behind_it(bench: Bench) -> None:
    bench.sql("create materialized view reporting.sales as select * from public.sale")
    own = "Sales of all agencies.\nAsk 'Ann' before {changing} it: 100 %.\n"
    bench.sql("comment on materialized view reporting.sales is '{}'".format(own.replace("'", "''")))
    for _ in range(3):
        bench.refresh()
    comment = bench.comment() or ""
    assert comment.startswith(own)
    assert comment.count('"seeder"') == 1
    assert bench.stamp() is not None


def test_a_new_layout_of_the_sql_refreshes_and_is_stamped(bench: Bench) -> None:
    bench.refresh()
    before = bench.stamp()
    manifest = bench.manifest("SELECT *\n  FROM sale -- all of them")
    assert bench.refresh(manifest).outcome is Outcome.REFRESHED
    after = bench.stamp()
    assert before is not None
    assert after is not None
    assert (after.source, after.fingerprint) == (manifest.source(()), before.fingerprint)
    assert after.source != before.source
    assert after.analyzed_rows == 100


def test_another_manifest_of_the_same_sql_takes_the_matview_over(bench: Bench) -> None:
    bench.refresh()
    bench.refresh(bench.manifest(manifest_id=9))
    assert bench.stamp().manifest == "custom-9"  # type: ignore[union-attr]


def test_changed_sql_is_an_error_that_keeps_the_old_rows(bench: Bench) -> None:
    bench.refresh()
    bench.sql("delete from sale where id > 10")
    policy = bench.policy(on_query_change=OnQueryChange.ERROR)
    with pytest.raises(
        QueryChanged, match=r"^The manifest's SQL has changed. The old rows of sales were kept"
    ):
        bench.refresh(bench.manifest("select id from sale"), policy)
    assert bench.value("select count(*) from reporting.sales") == 100
    assert bench.refresh().figures.records == 10


def test_changed_sql_may_be_kept_out_with_a_note(bench: Bench) -> None:
    bench.refresh()
    stamp = bench.stamp()
    bench.sql("delete from sale where id > 95")
    done = bench.refresh(
        bench.manifest("select id from sale"), bench.policy(on_query_change=OnQueryChange.KEEP)
    )
    assert (done.figures.records, done.note) == (95, f"{SQL_CHANGED} {KEPT}")
    assert bench.value("select count(amount) from reporting.sales") == 95
    assert bench.stamp() == stamp


def test_notes_of_both_kinds_are_told_together(bench: Bench) -> None:
    bench.refresh()
    policy = bench.policy(on_query_change=OnQueryChange.KEEP, refresh_mode=RefreshMode.CONCURRENTLY)
    done = bench.refresh(bench.manifest("select id from sale"), policy)
    assert (
        done.note == f"{SQL_CHANGED} {KEPT} Refreshed plain, not concurrently: it has no usable unique index."
    )


def test_a_matview_without_a_stamp_is_adopted_when_it_means_the_same(bench: Bench) -> None:
    bench.sql(
        "create materialized view reporting.sales as select s.id,\n"
        ' sum(s.amount) "sum" from public.sale s group by 1'
    )
    manifest = bench.manifest("SELECT s.id, sum(s.amount) FROM sale AS s GROUP BY s.id")
    bench.refresh(manifest)
    assert bench.stamp().fingerprint == manifest.query.fingerprint  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "definition",
    [
        "select id from public.sale",
        "select id, agency_id, amount from public.sale where true",
        "select 1 as one",
    ],
)
def test_a_matview_without_a_stamp_that_means_something_else_is_left_alone(
    bench: Bench, definition: str
) -> None:
    bench.sql(f"create materialized view reporting.sales as {definition}")
    with pytest.raises(QueryChanged):
        bench.refresh(policy=bench.policy(on_query_change=OnQueryChange.ERROR))
    assert bench.comment() is None
    done = bench.refresh(policy=bench.policy(on_query_change=OnQueryChange.KEEP))
    stranger = f"A materialized view of {bench.value('select current_user')} with another definition, made"
    assert done.note == f"{stranger} without seeder, stands there. {KEPT}"
    assert bench.comment() is None


def test_what_a_strangers_matview_was_is_told_when_it_is_replaced(bench: Bench) -> None:
    bench.sql(f"create materialized view reporting.sales as select '{'x' * 5000}' as much, 1 as one")
    done = bench.refresh()
    assert done.outcome is Outcome.REBUILT
    assert done.note
    assert "with another definition, made without seeder, stands there." in done.note
    assert "The manifest's definition has taken its place; its own was:\nSELECT 'xxxx" in done.note
    assert done.note.endswith("xxxx…")
    assert len(done.note) < 4400
    assert bench.refresh().note is None


def test_adoption_leaves_nothing_behind(bench: Bench) -> None:
    bench.sql("create materialized view reporting.sales as select * from public.sale")
    with bench.claimed(bench.manifest(), bench.policy()) as (session, found):
        from seeder.matviews.upkeep import bring_up_to_date

        bring_up_to_date(session, bench.manifest(), found, bench.policy())
        assert session.row("select to_regclass('pg_temp.seeder_probe') as probe").probe is None
        assert session.row("select current_setting('transaction_isolation') as one").one


TAKEN = {
    "table": "create table reporting.sales (id int); insert into reporting.sales values (1)",
    "partitioned table": "create table reporting.sales (id int) partition by list (id)",
    "view": "create view reporting.sales as select 1 as id",
    "sequence": "create sequence reporting.sales",
    "foreign table": """
        create foreign data wrapper nothing; create server nowhere foreign data wrapper nothing;
        create foreign table reporting.sales (id int) server nowhere
    """,
    "composite type": "create type reporting.sales as (id int)",
    "index": "create table public.other (id int); create table reporting.t (id int); "
    "create index sales on reporting.t (id)",
}


@pytest.mark.parametrize(("kind", "ddl"), TAKEN.items(), ids=TAKEN)
def test_whatever_else_bears_the_name_is_told_and_not_touched(bench: Bench, kind: str, ddl: str) -> None:
    bench.sql(ddl)
    before = bench.sql("select oid, relfilenode, xmin::text, relkind from pg_class where relname = 'sales'")
    try:
        with pytest.raises(
            TableTaken, match=rf"^sales exists already and is a {kind}, not a materialized view"
        ):
            bench.refresh()
        after = bench.sql(
            "select oid, relfilenode, xmin::text, relkind from pg_class where relname = 'sales'"
        )
        assert after == before
    finally:
        bench.sql("drop foreign data wrapper if exists nothing cascade")


# --- the planner's statistics ----------------------------------------------------------------------------


@pytest.mark.parametrize("index", ["", "create unique index on reporting.sales (id)"])
def test_statistics_are_gathered_when_the_rows_have_moved_and_only_then(bench: Bench, index: str) -> None:
    bench.refresh()
    if index:
        bench.sql(index)

    def histogram() -> str:
        text: str = bench.value("""
            select coalesce(array_to_string(stadistinct_and, ','), '') from (
                select array_agg(starelid::text || stawidth || stanullfrac || xmin::text order by staattnum)
                    as stadistinct_and
                from pg_statistic where starelid = 'reporting.sales'::regclass
            ) as s
        """)
        return text

    gathered = histogram()
    assert gathered
    for change in ("select 1", "insert into sale select n, 7, n from generate_series(101, 160) as n"):
        # 60 rows more are not more than 50 and a tenth of 100.
        bench.sql(change)
        bench.refresh()
        assert histogram() == gathered
    bench.sql("insert into sale values (161, 7, 0)")
    bench.refresh()
    assert histogram() != gathered
    assert bench.stamp().analyzed_rows == 161  # type: ignore[union-attr]


def test_an_adopted_matview_gets_its_statistics_once(bench: Bench) -> None:
    bench.sql("create materialized view reporting.sales as select * from public.sale")
    bench.refresh()
    assert bench.stamp().analyzed_rows == 100  # type: ignore[union-attr]
    assert bench.value("select count(*) from pg_stats where tablename = 'sales'") == 3


def test_rows_that_change_without_their_number_are_analyzed_too(bench: Bench) -> None:
    bench.refresh()
    bench.sql("create unique index on reporting.sales (id)")

    def known() -> set[str]:
        text = bench.value(
            "select most_common_vals::text from pg_stats where tablename = 'sales' and attname = 'agency_id'"
        )
        return set(text.strip("{}").split(","))

    bench.sql("update sale set agency_id = 8 where id <= 20")
    bench.refresh()
    assert known() == {"7"}, "40 changes are not more than 50 and a tenth of 100"
    bench.sql("update sale set agency_id = 8 where id <= 40")
    bench.refresh()
    assert known() == {"7", "8"}, "40 and 40 are, in two runs"
    assert bench.stamp().changes_when_analyzed == 0  # type: ignore[union-attr]
    bench.sql("update sale set agency_id = 9 where id <= 30")
    bench.refresh()
    assert known() == {"7", "8"}, "and from there they are counted anew"


def test_changes_count_on_when_the_counters_were_lost(bench: Bench) -> None:
    bench.refresh()
    bench.sql("create unique index on reporting.sales (id)")
    bench.sql("select pg_stat_force_next_flush()")
    bench.sql("select pg_stat_reset()")
    bench.sql("update sale set agency_id = 8 where id <= 35")
    bench.refresh()
    assert bench.stamp().changes_when_analyzed == 0  # type: ignore[union-attr]
