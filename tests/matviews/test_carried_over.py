"""What was put on a matview is still on it after it was exchanged for another."""

import difflib
from collections.abc import Iterator

import pytest
import structlog
from support.furniture import dump, furnished, roles
from support.workbench import Bench

from seeder.errors import CopyUnlike, KeyNotUnique, PartUnfit, QueryFailed
from seeder.matviews.result import Outcome
from seeder.matviews.stamp import Stamp
from seeder.matviews.swap import exchange
from seeder.matviews.swap.carry_over import say_left_alone
from seeder.matviews.upkeep import bring_up_to_date
from seeder.sql.directives import RefreshMode

#: One column more, and other rows.
REBUILT = "select id, agency_id, amount, note, 'more' as more from sale where id > 10"


@pytest.fixture
def furniture(bench: Bench) -> Iterator[Bench]:
    with roles(bench):
        furnished(bench)
        yield bench


def differing(before: str, after: str) -> list[str]:
    """The lines that went and came, as diff shows them."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    return [line for line in lines if line[:3] not in ("---", "+++", "@@ ")]


def test_a_dump_differs_in_the_definition_only(furniture: Bench) -> None:
    before = dump(furniture)
    assert furniture.refresh(furniture.manifest(REBUILT)).outcome is Outcome.REBUILT
    # PostgreSQL 15 prints columns with their table.
    lines = [line.replace("sale.", "") for line in differing(before, dump(furniture))]
    assert lines == ["-    note", "+    note,", "+    'more'::text AS more", "+  WHERE (id > 10)"]


def test_a_dump_is_the_same_after_a_swap(furniture: Bench) -> None:
    furniture.sql("insert into sale select n, 7, n, 'new' from generate_series(101, 130) n")
    before, file = dump(furniture), furniture.rewritten()
    assert "{stamp}" in before
    for _ in range(2):
        done = furniture.refresh(policy=furniture.policy(refresh_mode=RefreshMode.SWAP))
        assert (done.outcome, done.figures.records) == (Outcome.SWAPPED, 130)
    assert furniture.rewritten() != file
    assert differing(before, dump(furniture)) == []


def test_what_a_dump_leaves_out_is_carried_over_too(furniture: Bench) -> None:
    """The catalogues themselves, names put in the place of what changes with each relation."""
    facts = """
        select 'relation', c.relkind::text, c.relowner::regrole::text, c.relacl::text, c.reloptions::text,
               c.reltablespace::text, c.relam::text, c.relreplident::text, c.relispopulated::text
        from pg_class c where oid = '{m}'::regclass
        union all
        select 'column', attname, attacl::text,
               (select string_agg(one, ',') from unnest(attoptions) as one where one not like 'pg_attver=%'),
               attstattarget::text, attstorage::text,
               attcompression::text, col_description(attrelid, attnum), attnum::text
        from pg_attribute where attrelid = '{m}'::regclass and attnum > 0
        union all
        select 'index', pg_get_indexdef(indexrelid), indisvalid::text, indisclustered::text,
               reltablespace::text, obj_description(indexrelid), indisreplident::text, indisunique::text,
               (select string_agg(attstattarget::text, ',' order by attnum)
                from pg_attribute where attrelid = indexrelid)
        from pg_index join pg_class on oid = indexrelid where indrelid = '{m}'::regclass
        union all
        select 'statistics', pg_get_statisticsobjdef(oid), stxowner::regrole::text, stxstattarget::text,
               obj_description(oid), null, null, null, null
        from pg_statistic_ext where stxrelid = '{m}'::regclass
        union all
        select 'toast', reloptions::text, null, null, null, null, null, null, null
        from pg_class where oid = (select reltoastrelid from pg_class where oid = '{m}'::regclass)
        order by 1, 2
    """
    matviews = ("reporting.sales", "reporting.totals", "reporting.empty")
    before = [furniture.sql(facts.format(m=m)) for m in matviews]
    assert [len(one) for one in before] == [13, 6, 3]
    furniture.refresh(policy=furniture.policy(refresh_mode=RefreshMode.SWAP))
    assert [furniture.sql(facts.format(m=m)) for m in matviews] == before


def test_the_planner_knows_the_new_rows_before_anybody_reads_them(furniture: Bench) -> None:
    furniture.refresh(furniture.manifest(REBUILT))
    known = furniture.sql("""
        select (select reltuples from pg_class where oid = 'reporting.sales'::regclass),
               (select count(*) from pg_stats where tablename = 'sales'),
               (select count(*) from pg_stats where tablename = 'sales_half'),
               (select count(*) from pg_stats_ext where tablename = 'sales'),
               (select count(*) from pg_stats where tablename = 'totals')
    """)
    assert known == [(90, 5, 2, 2, 3)]


def test_figures_and_stamp_are_those_of_the_new_build(furniture: Bench) -> None:
    manifest = furniture.manifest(REBUILT)
    done = furniture.refresh(manifest)
    assert done.figures.records == 90
    assert done.figures.total_bytes == furniture.value("select pg_total_relation_size('reporting.sales')")
    assert furniture.stamp() == Stamp("custom-1", manifest.source(()), manifest.query.fingerprint, 90)
    assert furniture.refresh(manifest).outcome is Outcome.REFRESHED


def test_dependents_show_the_new_rows_and_go_on_doing_so(furniture: Bench) -> None:
    furniture.refresh(furniture.manifest(REBUILT))
    assert furniture.value("select number from reporting.totals") == 90
    assert furniture.value("select count(*) from reporting.bigger") == 30
    furniture.sql("delete from sale where id > 80")
    furniture.refresh(furniture.manifest(REBUILT))
    furniture.sql("refresh materialized view reporting.totals; refresh materialized view reporting.empty")
    assert furniture.value("select number from reporting.totals_seen limit 1") == 70
    assert furniture.value("select count(*) from reporting.bigger") == 10
    assert furniture.value("select most from reporting.empty") == sum(range(11, 81))


def test_default_privileges_do_not_leak_in(furniture: Bench) -> None:
    furniture.sql("grant select on reporting.totals to seeder_test_bob")
    acl = """
        select array_agg(relname || coalesce(relacl, acldefault('r', relowner))::text order by relname)
        from pg_class where relkind = 'm'
    """
    before = furniture.value(acl)
    furniture.sql(
        "alter default privileges in schema reporting grant all on tables to seeder_test_chris, public"
    )
    furniture.sql("alter default privileges revoke insert on tables from current_user")
    try:
        furniture.refresh(furniture.manifest(REBUILT))
        assert furniture.value(acl) == before
    finally:
        furniture.sql("alter default privileges grant insert on tables to current_user")
        furniture.sql(
            "alter default privileges in schema reporting revoke all on tables from seeder_test_chris, public"
        )


def test_an_index_whose_column_is_gone_is_named_and_nothing_is_changed(furniture: Bench) -> None:
    rows = furniture.rewritten()
    furniture.sql("drop view reporting.big, reporting.totals_seen cascade")
    furniture.sql("drop materialized view reporting.totals cascade; drop index reporting.sales_hash")
    before = dump(furniture)
    with pytest.raises(
        PartUnfit, match=r'The index sales_note of reporting.sales .* column "note" does not exist'
    ):
        furniture.refresh(furniture.manifest("select id, agency_id, amount from sale"))
    assert dump(furniture) == before
    furniture.sql('drop index reporting.sales_note; drop index reporting."Sales: by id"')
    gone = r'The statistics object sales_both .* column "agency_id" does not exist'
    with pytest.raises(PartUnfit, match=gone):
        furniture.refresh(furniture.manifest("select id, amount from sale"))
    assert furniture.rewritten() == rows
    assert "seeder:" not in dump(furniture)


def test_a_key_that_is_none_in_the_new_rows_is_told_with_its_rows(furniture: Bench) -> None:
    before = dump(furniture)
    with pytest.raises(KeyNotUnique, match=r"the old rows were kept: \d+ rows have id = 1\."):
        furniture.refresh(furniture.manifest("select 1 as id, agency_id, amount, note from sale"))
    assert dump(furniture) == before


def test_an_invalid_index_comes_back_valid_as_it_does_from_a_plain_refresh(bench: Bench) -> None:
    valid = "select indisvalid from pg_index where indexrelid = 'reporting.seen'::regclass"
    invalid = "update pg_index set indisvalid = false where indexrelid = 'reporting.seen'::regclass"
    bench.refresh()
    bench.sql(f"create index seen on reporting.sales (id); {invalid}")
    for mode in (RefreshMode.PLAIN, RefreshMode.SWAP):
        bench.sql(invalid)
        assert bench.value(valid) is False
        bench.refresh(policy=bench.policy(refresh_mode=mode))
        assert bench.value(valid) is True


def test_tablespaces_and_access_method_are_carried_over(bench: Bench) -> None:
    bench.refresh(bench.manifest("select id, 'x'::text as note from sale"))
    with bench.platform.databases.session() as session:
        session.run_text("set allow_in_place_tablespaces = on")
        session.run_text("create tablespace seeder_test_one location ''")
        session.run_text("create tablespace seeder_test_two location ''")
        session.run_text("reset allow_in_place_tablespaces")
    bench.sql("create access method seeder_test_heap type table handler heap_tableam_handler")
    try:
        bench.sql("""
            create index in_two on reporting.sales (id) tablespace seeder_test_two;
            create index at_home on reporting.sales (note);
            alter materialized view reporting.sales set access method seeder_test_heap;
            alter materialized view reporting.sales set tablespace seeder_test_one
        """)
        where = """
            select relname, spcname, amname from pg_class c
            left join pg_tablespace s on s.oid = reltablespace left join pg_am a on a.oid = relam
            where relname in ('sales', 'in_two', 'at_home') order by 1
        """
        before = bench.sql(where)
        assert before == [
            ("at_home", None, "btree"),
            ("in_two", "seeder_test_two", "btree"),
            ("sales", "seeder_test_one", "seeder_test_heap"),
        ]
        # Where new ones would go by themselves.
        with bench.platform.databases.session() as session:
            session.run_text("set default_tablespace = seeder_test_two")
        assert (
            bench.refresh(bench.manifest("select id, 'y'::text as note from sale")).outcome is Outcome.REBUILT
        )
        assert bench.sql(where) == before
    finally:
        bench.platform.databases.dispose()
        bench.sql("drop materialized view if exists reporting.sales; drop access method seeder_test_heap")
        bench.sql("drop tablespace seeder_test_one")
        bench.sql("drop tablespace seeder_test_two")


def test_a_security_label_that_can_not_be_carried_over_is_not_lost(bench: Bench) -> None:
    """No provider comes with PostgreSQL, so the label is put into the catalogue by hand."""
    bench.refresh()
    bench.sql("""
        insert into pg_seclabel (objoid, classoid, objsubid, provider, label)
        values ('reporting.sales'::regclass, 'pg_class'::regclass, 0, 'nobody', 'secret')
    """)
    file = bench.rewritten()
    with pytest.raises(QueryFailed, match='security label provider "nobody" is not loaded'):
        bench.refresh(policy=bench.policy(refresh_mode=RefreshMode.SWAP))
    assert bench.rewritten() == file


#: As Debian's PostgreSQL 15.20 does with the columns' options, and another server may with others.
KEPT_BY_THE_SERVER = """
set allow_system_table_mods = on;
update pg_attribute set attoptions = array['n_distinct=-0.5', 'invented=' || attnum]
where attrelid = 'reporting.sales'::regclass and attnum = 1;
update pg_class set reloptions = array['fillfactor=70', 'invented=1'] where oid = 'reporting.sales'::regclass;
update pg_class set reloptions = array['invented=2', 'autovacuum_enabled=false']
where oid = (select reltoastrelid from pg_class where oid = 'reporting.sales'::regclass);
update pg_class set reloptions = array['fillfactor=60', 'invented=3', 'deduplicate_items=off']
where oid = 'reporting.seen'::regclass;
update pg_class set reloptions = array['security_barrier=true', 'invented=4']
where oid = 'reporting.looked_at'::regclass;
reset allow_system_table_mods
"""


def test_options_that_only_the_server_knows_are_left_alone_and_told_once(
    bench: Bench,
) -> None:
    say_left_alone.cache_clear()
    bench.refresh(bench.manifest(REBUILT.replace("note", "'a note'::text as note")))
    bench.sql("""
        create index seen on reporting.sales (id) where note <> ' WITH (fillfactor=''60'')';
        create view reporting.looked_at as select id from reporting.sales
    """)
    swapped = bench.policy(refresh_mode=RefreshMode.SWAP)
    manifest = bench.manifest(REBUILT.replace("note", "'a note'::text as note"))
    with structlog.testing.capture_logs() as lines:
        for _ in range(2):
            bench.sql(KEPT_BY_THE_SERVER)
            assert bench.refresh(manifest, swapped).outcome is Outcome.SWAPPED
    options = bench.sql("""
        select c.reloptions, t.reloptions, array(select one from unnest(attoptions) one where one !~ '^pg_')
        from pg_class c join pg_class t on t.oid = c.reltoastrelid
        join pg_attribute on attrelid = c.oid and attnum = 1
        where c.oid = 'reporting.sales'::regclass
    """)
    assert options == [(["fillfactor=70"], ["autovacuum_enabled=false"], ["n_distinct=-0.5"])]
    assert bench.value("select pg_get_indexdef('reporting.seen'::regclass)").endswith(
        "(id) WITH (fillfactor='60', deduplicate_items=off) WHERE (note <> ' WITH (fillfactor=''60'')'::text)"
    )
    assert bench.value("select reloptions from pg_class where relname = 'looked_at'") == [
        "security_barrier=true"
    ]
    told = [line["option"] for line in lines if "isn't carried over" in line["event"]]
    wanted = {f"invented of {one}" for one in ("a table", "a TOAST table", "a column", "an index", "a view")}
    assert wanted <= set(told)
    assert len(told) == len(set(told))


def test_options_of_an_extension_s_kind_of_index_are_carried_over(bench: Bench) -> None:
    """They are the extension's to know."""
    bench.sql("create extension bloom")
    try:
        bench.refresh()
        bench.sql("create index seen on reporting.sales using bloom (id) with (length = 32, col1 = 3)")
        swapped = bench.policy(refresh_mode=RefreshMode.SWAP)
        assert bench.refresh(policy=swapped).outcome is Outcome.SWAPPED
        options = bench.value("select reloptions from pg_class where relname = 'seen'")
        assert options == ["length=32", "col1=3"]
    finally:
        bench.sql("drop extension bloom cascade")


#: Somebody, or something, writes another value each time the copy is touched.
NEVER_ALIKE = """
create function public.never_alike() returns event_trigger language plpgsql set allow_system_table_mods = on
as $$ begin
    update pg_attribute set attoptions = array['n_distinct=' || -random()]
    where attnum = 1 and attrelid in (select oid from pg_class where relname like 'seeder:copy:%');
end $$;
create event trigger never_alike on ddl_command_end when tag in ('ALTER MATERIALIZED VIEW')
execute function public.never_alike()
"""


def test_a_difference_that_comes_back_each_time_is_final(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "PAUSE_SECONDS", 0.001)
    bench.refresh()
    file = bench.rewritten()
    bench.sql(NEVER_ALIKE)
    try:
        with pytest.raises(
            CopyUnlike, match=r"sales can't be made like .*: option n_distinct of column id diff"
        ):
            bench.refresh(policy=bench.policy(refresh_mode=RefreshMode.SWAP))
    finally:
        bench.sql("drop event trigger never_alike")
    assert bench.rewritten() == file
    assert bench.refresh(policy=bench.policy(refresh_mode=RefreshMode.SWAP)).outcome is Outcome.SWAPPED


MODES = {
    RefreshMode.AUTO: (Outcome.REFRESHED, Outcome.REFRESHED),
    RefreshMode.SWAP: (Outcome.SWAPPED, Outcome.SWAPPED),
    RefreshMode.AUTO_SWAP: (Outcome.SWAPPED, Outcome.REFRESHED),
}


@pytest.mark.parametrize(("mode", "outcomes"), MODES.items())
def test_who_swaps_without_and_with_a_unique_index(
    bench: Bench, mode: RefreshMode, outcomes: tuple[Outcome, Outcome]
) -> None:
    policy = bench.policy(refresh_mode=mode)
    assert bench.refresh(policy=policy).outcome is Outcome.CREATED
    assert bench.refresh(policy=policy).outcome is outcomes[0]
    bench.sql("create unique index on reporting.sales (id)")
    done = bench.refresh(policy=policy)
    assert (done.outcome, done.note, done.figures.records) == (outcomes[1], None, 100)


def test_a_connection_that_may_only_become_the_manifests_role_can_rebuild(bench: Bench) -> None:
    """As it is deployed: a login without rights of its own, which inherits none either."""
    bench.sql("create role seeder_test_login noinherit; create role seeder_test_owner")
    try:
        bench.sql("""
            grant seeder_test_owner to seeder_test_login;
            grant usage, create on schema reporting to seeder_test_owner;
            grant select on public.sale to seeder_test_owner
        """)
        policy = bench.policy(role="seeder_test_owner", refresh_mode=RefreshMode.SWAP)
        first, second = bench.manifest("select id from sale"), bench.manifest("select id, amount from sale")
        outcomes = []
        for number, manifest in enumerate((first, first, second, second)):
            if number == 1:
                bench.sql(
                    "create index one on reporting.sales (id); grant select on reporting.sales to public"
                )
                bench.sql("create statistics reporting.two on id, (id + 1) from reporting.sales")
                bench.sql("alter statistics reporting.two owner to seeder_test_owner")
            with bench.claimed(manifest, policy) as (session, found):
                session.run_text("set session authorization seeder_test_login")
                outcomes.append(bring_up_to_date(session, manifest, found, policy).outcome)
                session.run_text("reset session authorization")
        assert outcomes == [Outcome.CREATED, Outcome.SWAPPED, Outcome.REBUILT, Outcome.SWAPPED]
        after = dump(bench)
        for part in (
            "INDEX one ON",
            "STATISTICS reporting.two ON",
            "GRANT SELECT ON TABLE reporting.sales TO PUB",
        ):
            assert part in after
        assert "sales OWNER TO seeder_test_owner" in after
    finally:
        bench.sql("drop owned by seeder_test_owner, seeder_test_login cascade")
        bench.sql("drop role seeder_test_owner, seeder_test_login")
