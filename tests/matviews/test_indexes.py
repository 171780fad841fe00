"""The keys and indexes that a manifest asks for: made, kept in step, and told apart from people's own."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.workbench import Bench

from seeder.errors import DirectiveUnfit, KeyNotUnique, QueryFailed
from seeder.manifests import Manifest
from seeder.matviews.indexes import Existing, index_changes, name_of
from seeder.matviews.query import columns
from seeder.matviews.result import Outcome
from seeder.sql.directives import Index, RefreshMode
from seeder.sql.names import MatviewName

INDEXES = """
select pg_get_indexdef(i.indexrelid), obj_description(i.indexrelid, 'pg_class')
from pg_index i where i.indrelid = '{matview}'::regclass order by i.indexrelid
"""


def asking(bench: Bench, directives: str, query: str = "select * from sale") -> Manifest:
    return bench.manifest(f"-- seeder: {directives}\n{query}")


def indexes(bench: Bench, matview: str = "reporting.sales") -> list[tuple[str, str | None]]:
    """Each index as ``unique (id)``, with its comment; oldest first."""
    return [
        (
            ("unique " if definition.startswith("CREATE UNIQUE") else "")
            + re.sub(r"^.* USING btree ", "", definition),
            comment,
        )
        for definition, comment in bench.sql(INDEXES.format(matview=matview))
    ]


def test_keys_and_indexes_come_with_the_matview(bench: Bench) -> None:
    done = bench.refresh(asking(bench, "unique=(id, agency_id) index=(amount) index=(agency_id)"))
    assert done.outcome is Outcome.CREATED
    assert indexes(bench) == [
        ("unique (id, agency_id)", "seeder: unique=(id, agency_id)"),
        ("(amount)", "seeder: index=(amount)"),
        ("(agency_id)", "seeder: index=(agency_id)"),
    ]
    sizes = (
        "select pg_total_relation_size('reporting.sales'), sum(pg_relation_size(indexrelid)) from pg_index"
    )
    total, of_indexes = bench.sql(f"{sizes} where indrelid = 'reporting.sales'::regclass")[0]
    assert done.figures.total_bytes == total > of_indexes


def test_with_a_key_auto_refreshes_concurrently(bench: Bench) -> None:
    manifest = asking(bench, "unique=(id)")
    bench.refresh(manifest)
    before = bench.rewritten()
    bench.sql("insert into sale values (101, 7, 1)")
    assert bench.refresh(manifest).figures.records == 101
    assert bench.rewritten() == before


def test_a_key_with_nulls_is_a_key_and_refreshes_concurrently(bench: Bench) -> None:
    bench.sql("update sale set id = null where id > 97")
    manifest = asking(bench, "unique=(id)")
    bench.refresh(manifest)
    before = bench.rewritten()
    bench.sql("delete from sale where amount in (1, 100)")
    assert bench.refresh(manifest).figures.records == 98
    assert (bench.rewritten(), bench.value("select count(id) from reporting.sales")) == (before, 96)


def test_names_that_need_quotes_are_quoted(bench: Bench) -> None:
    query = 'select id as "Id", amount as "50% ""off""" from sale'
    manifest = asking(bench, 'unique=("Id", "50% ""off""") index=("50% ""off""") ', query)
    bench.refresh(manifest)
    bench.refresh(manifest)
    assert indexes(bench) == [
        ('unique ("Id", "50% ""off""")', 'seeder: unique=("Id", "50% ""off""")'),
        ('("50% ""off""")', 'seeder: index=("50% ""off""")'),
    ]


def test_a_column_that_the_query_lacks_is_named_before_anything_runs(bench: Bench) -> None:
    query = "select id, 1 / (id - id) as never from sale"
    with pytest.raises(DirectiveUnfit) as error:
        bench.refresh(asking(bench, "unique=(id) index=(colour)", query))
    assert str(error.value).startswith(
        "The directive index=(colour) doesn't fit the query: it has no column colour; its columns are id, "
        "never."
    )
    assert bench.relations() == set()


def test_a_column_that_can_not_be_sorted_is_named_before_anything_runs(bench: Bench) -> None:
    query = "select id, '{}'::json as j, 1 / (id - id) as never from sale"
    for directives in ("unique=(id, j)", "index=(j)"):
        with pytest.raises(DirectiveUnfit) as error:
            bench.refresh(asking(bench, directives, query))
        assert str(error.value).startswith(
            f"The directive {directives} doesn't fit the query: j is of type json, which has no order and so "
            "can't be indexed."
        )
    assert bench.relations() == set()


ORDERLESS = """
create type public.mood as enum ('well'); create type public.pair as (a int, b int);
create domain public.some_text as varchar; create domain public.some_json as json;
create function public.orderless() returns setof text language plpgsql as $$
declare wanted text;
begin
    create table public.every ();
    for wanted in
        select format_type(oid, null) from pg_type
        where typtype = 'b' and typcategory <> 'A' and typnamespace = 'pg_catalog'::regnamespace
        union all select unnest(array['mood', 'pair', 'some_text', 'some_json', 'int4range', 'text[]'])
    loop
        begin
            execute format('alter table public.every add %I %s', wanted, wanted);
            execute format('create index on public.every (%I)', wanted);
            execute 'drop index ' || (select max(indexrelid)::regclass from pg_index
                                      where indrelid = 'public.every'::regclass);
        exception
            when undefined_object then
                execute format('alter table public.every add %I %s', wanted, wanted);
                return next wanted;
            when others then null;
        end;
    end loop;
end $$
"""


def test_the_types_without_an_order_are_those_that_postgresql_refuses_to_index(bench: Bench) -> None:
    bench.sql(ORDERLESS)
    refused = {row[0] for row in bench.sql("select * from public.orderless()")}
    assert {"json", "point", "some_json"} <= refused
    with bench.platform.databases.session() as session:
        found = session.rows(columns.COLUMNS, relation="public.every")
    assert len(found) > 50
    assert {row.name for row in found if not row.orderable} == refused


# --- not unique --------------------------------------------------------------------------------------------


def not_unique(bench: Bench, manifest: Manifest, mode: RefreshMode = RefreshMode.AUTO) -> str:
    with pytest.raises(KeyNotUnique) as error:
        bench.refresh(manifest, bench.policy(refresh_mode=mode))
    return str(error.value)


def test_a_key_that_isnt_unique_leaves_nothing_at_creation(bench: Bench) -> None:
    bench.sql(
        "insert into sale select 5, 7, n from generate_series(1, 6) as n; insert into sale values (6, 7, 0)"
    )
    assert not_unique(bench, asking(bench, "index=(amount) unique=(id, agency_id)")) == (
        "The key (id, agency_id) of reporting.sales is not unique, and nothing was created: 7 rows have "
        "id = 5, agency_id = 7. Mend the data or the query, or name columns that are a key."
    )
    assert bench.relations() == set()


@pytest.mark.parametrize(
    ("row", "found"), [("(5, 7, 0)", "2 rows have id = 5"), ("(5, 7, 5)", "2 rows have id = 5")]
)
@pytest.mark.parametrize("mode", RefreshMode)
def test_a_key_that_isnt_unique_any_more_keeps_the_old_rows(
    bench: Bench, mode: RefreshMode, row: str, found: str
) -> None:
    manifest = asking(bench, "unique=(id)")
    bench.refresh(manifest)
    bench.sql(f"insert into sale values {row}")
    assert f"is not unique, and the old rows were kept: {found}." in not_unique(bench, manifest, mode)
    assert bench.value("select count(*) from reporting.sales") == 100
    bench.sql("delete from sale where id = 5")
    assert bench.refresh(manifest).figures.records == 99


def test_a_persons_key_over_an_expression_is_told_in_postgresqls_words(bench: Bench) -> None:
    bench.refresh()
    bench.sql("create unique index on reporting.sales ((id * 2))")
    bench.sql("insert into sale values (5, 7, 0)")
    assert "the old rows were kept: Key ((id * 2))=(10) is duplicated." in not_unique(bench, bench.manifest())


def test_a_query_that_is_too_slow_to_run_again_is_told_in_postgresqls_words(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = asking(
        bench,
        "unique=(id)",
        "select id, amount from sale, lateral (select count(*) from "
        "generate_series(1, amount::integer * 3000)) as slow(n)",
    )
    bench.refresh(manifest)
    bench.sql("insert into sale values (5, 7, 0)")
    monkeypatch.setattr("seeder.matviews.keys.QUERY_TIMEOUT", "set local statement_timeout = '1ms'")
    assert "the old rows were kept: Key (id)=(5) already exists." in not_unique(bench, manifest)


def test_a_subselect_of_two_rows_is_no_matter_of_keys(bench: Bench) -> None:
    manifest = asking(
        bench, "unique=(id)", "select id, (select s.amount from sale s where s.id = sale.id) from sale"
    )
    bench.refresh(manifest)
    bench.sql("insert into sale values (5, 7, 0)")
    with pytest.raises(QueryFailed, match=r"^21000: more than one row returned by a subquery"):
        bench.refresh(manifest)


# --- in step -----------------------------------------------------------------------------------------------


def test_a_new_directive_makes_its_index_and_one_that_is_gone_drops_it(bench: Bench) -> None:
    bench.refresh(asking(bench, "index=(amount) index=(agency_id)"))
    made = bench.sql("select oid from pg_class where relname like 'sales\\_agency%'")
    bench.refresh(asking(bench, "unique=(id) index=(agency_id)"))
    assert indexes(bench) == [
        ("(agency_id)", "seeder: index=(agency_id)"),
        ("unique (id)", "seeder: unique=(id)"),
    ]
    assert bench.sql("select oid from pg_class where relname like 'sales\\_agency%'") == made
    bench.refresh()
    assert indexes(bench) == []


def test_a_new_key_is_made_on_the_new_rows(bench: Bench) -> None:
    bench.sql("insert into sale values (5, 7, 0)")
    bench.refresh()
    bench.sql("delete from sale where id = 5")
    assert bench.refresh(asking(bench, "unique=(id)")).figures.records == 99
    assert indexes(bench) == [("unique (id)", "seeder: unique=(id)")]


def test_a_new_key_that_isnt_unique_keeps_the_old_rows_and_is_tried_again(bench: Bench) -> None:
    bench.refresh()
    bench.sql("insert into sale values (5, 7, 0)")
    manifest = asking(bench, "unique=(id)")
    for _ in range(2):
        assert "the old rows were kept: 2 rows have id = 5." in not_unique(bench, manifest)
        assert bench.value("select count(*) from reporting.sales") == 100
    bench.sql("delete from sale where amount = 0")
    bench.refresh(manifest)
    assert indexes(bench) == [("unique (id)", "seeder: unique=(id)")]


def test_a_rebuild_makes_what_is_new_and_carries_over_what_stays(bench: Bench) -> None:
    bench.refresh(asking(bench, "unique=(id) index=(amount)"))
    bench.sql("create index by_hand on reporting.sales (agency_id)")
    done = bench.refresh(
        asking(bench, "unique=(id) index=(twice)", "select *, 2 * amount as twice from sale")
    )
    assert done.outcome is Outcome.REBUILT
    assert sorted(indexes(bench)) == [
        ("(agency_id)", None),
        ("(twice)", "seeder: index=(twice)"),
        ("unique (id)", "seeder: unique=(id)"),
    ]


def test_a_rebuild_without_the_column_of_an_index_that_is_given_up(bench: Bench) -> None:
    bench.refresh(asking(bench, "unique=(id) index=(amount)"))
    done = bench.refresh(asking(bench, "unique=(id)", "select id, agency_id from sale"))
    assert (done.outcome, indexes(bench)) == (Outcome.REBUILT, [("unique (id)", "seeder: unique=(id)")])


@pytest.mark.parametrize("before", ["unique=(id)", "index=(amount)"])
def test_a_rebuild_whose_key_isnt_unique_keeps_the_old_rows(bench: Bench, before: str) -> None:
    bench.refresh(asking(bench, before))
    manifest = asking(bench, "unique=(id)", "select 1 as id, amount from sale where id <= 3")
    assert "the old rows were kept: 3 rows have id = 1." in not_unique(bench, manifest)
    assert bench.value("select count(*) from reporting.sales") == 100
    assert bench.relations() == {"sales"}


def test_a_key_that_is_given_up_doesnt_end_the_refresh(bench: Bench) -> None:
    bench.refresh(asking(bench, "unique=(id)"))
    bench.sql("insert into sale values (5, 7, 0)")
    done = bench.refresh(asking(bench, "index=(id)"))
    assert (done.figures.records, done.note) == (101, None)
    assert indexes(bench) == [("(id)", "seeder: index=(id)")]


def test_a_key_that_someone_dropped_is_made_again(bench: Bench) -> None:
    manifest = asking(bench, "unique=(id)")
    bench.refresh(manifest)
    name = bench.value("select relname from pg_class where relname like 'sales\\_id\\_key%'")
    bench.sql(f'drop index reporting."{name}"')
    bench.refresh(manifest)
    assert indexes(bench) == [("unique (id)", "seeder: unique=(id)")]


def test_a_persons_own_indexes_are_never_touched(bench: Bench) -> None:
    bench.refresh(asking(bench, "unique=(id) index=(amount)"))
    bench.sql("""
        create index by_hand on reporting.sales (amount, id);
        create index commented on reporting.sales (agency_id);
        comment on index reporting.commented is 'for the seeder: keep'
    """)
    bench.refresh(asking(bench, "index=(agency_id, id)"))
    assert indexes(bench) == [
        ("(amount, id)", None),
        ("(agency_id)", "for the seeder: keep"),
        ("(agency_id, id)", "seeder: index=(agency_id, id)"),
    ]


@pytest.mark.parametrize(
    "own",
    [
        "unique index by_hand on reporting.sales (id)",
        "unique index by_hand on reporting.sales (id) include (amount)",
    ],
)
def test_a_persons_own_key_on_the_same_columns_will_do(bench: Bench, own: str) -> None:
    bench.refresh()
    bench.sql(f"create {own}")
    before = bench.rewritten()
    bench.refresh(asking(bench, "unique=(id) index=(id)"))
    assert bench.value("select count(*) from pg_index where indrelid = 'reporting.sales'::regclass") == 1
    assert bench.rewritten() == before
    bench.refresh()
    assert bench.value("select count(*) from pg_class where relname = 'by_hand'") == 1


@pytest.mark.parametrize(
    "own",
    [
        "index on reporting.sales (id)",
        "unique index on reporting.sales (id) where id > 0",
        "unique index on reporting.sales (id, amount)",
        "unique index on reporting.sales ((id + 0))",
    ],
)
def test_an_index_that_means_something_else_will_not(bench: Bench, own: str) -> None:
    bench.refresh()
    bench.sql(f"create {own}")
    bench.refresh(asking(bench, "unique=(id)"))
    assert indexes(bench)[1:] == [("unique (id)", "seeder: unique=(id)")]


def test_nothing_is_looked_up_where_nothing_has_changed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = asking(bench, "unique=(id)")
    bench.refresh(manifest)
    monkeypatch.setattr("seeder.matviews.indexes.existing", None)
    assert bench.refresh(manifest).figures.records == 100


def test_a_matview_under_the_name_of_one_that_was_renamed_gets_indexes_too(bench: Bench) -> None:
    manifest = asking(bench, "unique=(id)")
    bench.refresh(manifest)
    bench.sql("alter materialized view reporting.sales rename to sales_of_last_year")
    bench.refresh(manifest)
    assert indexes(bench) == indexes(bench, "reporting.sales_of_last_year") != []


# --- set arithmetic ----------------------------------------------------------------------------------------

WANTED = st.builds(Index, st.sampled_from([("a",), ("b",), ("a", "b"), ("b", "a")]), st.booleans())
THERE = st.builds(
    Existing,
    quoted_name=st.uuids().map(str),
    name=st.just("x"),
    columns=st.sampled_from([("a",), ("b",), ("a", "b"), ("b", "a")]),
    is_unique=st.booleans(),
    is_plain=st.booleans(),
    is_ours=st.booleans(),
)


@given(st.lists(THERE, max_size=6), st.lists(WANTED, max_size=4, unique=True))
def test_afterwards_what_is_wanted_is_there_and_nothing_is_left_to_do(
    there: list[Existing], wanted: list[Index]
) -> None:
    what = index_changes(there, wanted)
    assert all(index.is_ours for index in what.superfluous)
    made = [
        Existing(str(one), "x", one.columns, one.unique, is_plain=True, is_ours=True) for one in what.missing
    ]
    after = [index for index in there if index not in what.superfluous] + made
    for one in wanted:
        assert any(index.serves(one) for index in after)
    again = index_changes(after, wanted)
    assert (again.superfluous, again.missing) == ((), ())
    assert again.keyed or not any(one.unique for one in wanted)


@given(
    st.text("abcXYZ_0", min_size=1, max_size=63),
    st.lists(st.text(min_size=1, max_size=63), min_size=1, max_size=4).map(tuple),
    st.booleans(),
)
def test_a_name_fits_and_tells_the_matview(name: str, columns: tuple[str, ...], unique: bool) -> None:
    wanted = Index(columns, unique)
    matview = MatviewName("reporting", name)
    made = name_of(matview, 1, wanted)
    assert re.fullmatch(r"[A-Za-z0-9_]{14,63}", made)
    assert made.startswith(name[:50])
    assert made != name_of(matview, 2, wanted)
    assert made != name_of(matview, 1, Index((*columns, "more"), unique))


@pytest.mark.parametrize("mode", list(RefreshMode))
@pytest.mark.parametrize("query", ["select * from sale", "select id, amount + 1 as amount from sale"])
def test_an_index_that_a_run_makes_counts_among_its_bytes(
    bench: Bench, mode: RefreshMode, query: str
) -> None:
    """Whether its matview is refreshed meanwhile, swapped or rebuilt."""
    size = "select pg_total_relation_size('reporting.sales')"
    policy = bench.policy(refresh_mode=mode)
    asked = "-- seeder: unique=(id) index=(amount)\n"
    for manifest in (bench.manifest(), bench.manifest(asked + query), bench.manifest(query)):
        done = bench.refresh(manifest, policy)
        assert done.figures.total_bytes == bench.value(size)
    bench.sql("drop materialized view reporting.sales")
    assert bench.refresh(bench.manifest(asked + query), policy).figures.total_bytes == bench.value(size)
