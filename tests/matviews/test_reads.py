"""Which reports a report reads: by the catalogue, and by its SQL where the catalogue doesn't know (yet)."""

from typing import Any

from support.workbench import Bench

from seeder.manifests import Manifest
from seeder.matviews.query.reads import reads, reads_by_sql_alone


def three(bench: Bench, **queries: str) -> dict[str, Manifest]:
    """Manifests by their table's name, numbered in that order."""
    return {
        name: bench.manifest(query, name, manifest_id=number)
        for number, (name, query) in enumerate(queries.items(), 1)
    }


def read(bench: Bench, manifests: dict[str, Manifest], **settings: Any) -> dict[str, set[str]]:
    """By name, without those that read none."""
    with bench.platform.databases.session() as session:
        found = reads(session, list(manifests.values()), bench.policy(**settings))
    names = {one.identity: name for name, one in manifests.items()}
    return {names[reader]: {names[one] for one in sources} for reader, sources in found.items() if sources}


def test_what_is_there_is_known_by_the_catalogue_through_views_at_any_depth(bench: Bench) -> None:
    some = three(
        bench,
        base="select * from sale",
        reader="select * from view_2",
        twice="select * from view_2 join base using (id) join reader using (id)",
        other="select count(*) from sale",
    )
    bench.refresh(some["base"])
    bench.sql("create view view_1 as select id from reporting.base; create view view_2 as table view_1")
    for name in ("reader", "twice", "other"):
        bench.refresh(some[name])
    expected = {"reader": {"base"}, "twice": {"base", "reader"}}
    assert read(bench, some) == expected
    # By oid: what bears the name now is another.
    bench.sql("alter view view_2 rename to view_3; create view view_2 as select id from sale")
    assert read(bench, some) == expected


def test_functions_show_what_they_read_where_postgresql_has_parsed_them(bench: Bench) -> None:
    some = three(
        bench,
        base="select * from sale",
        calls="select own.how_many() as n",
        operates="select 1 operator(own.<+>) 2 as n",
        gathers="select own.gathered(id) from sale",
        hidden="select own.in_quotes() as n",
    )
    bench.refresh(some["base"])
    bench.sql("""
        create schema own;
        create view own.view_1 as select id from reporting.base;
        create function own.how_many() returns bigint stable
            begin atomic select count(*) from own.view_1; end;
        create function own.plus(integer, integer) returns bigint stable
            begin atomic select $1 + $2 + own.how_many(); end;
        create operator own.<+> (function = own.plus, leftarg = integer, rightarg = integer);
        create function own.add(bigint, integer) returns bigint stable
            begin atomic select $1 + $2 + own.how_many(); end;
        create aggregate own.gathered(integer) (sfunc = own.add, stype = bigint, initcond = 0);
        create function own.in_quotes() returns bigint stable language sql
            as 'select count(*) from reporting.base';
    """)
    for name in ("calls", "operates", "gathers", "hidden"):
        bench.refresh(some[name])
    assert read(bench, some) == {"calls": {"base"}, "operates": {"base"}, "gathers": {"base"}}
    bench.sql("drop schema own cascade")


def test_of_what_is_not_there_yet_the_sql_tells(bench: Bench) -> None:
    some = three(
        bench,
        base="select * from sale",
        bare="select * from BASE",
        written='with base as (select * from reporting."base") table base',
        late="select * from bare b where exists (select from U&\"\\0077ritten\")",
        strange="select 'base', sale.* from public.sale -- base",
        deep="select * from public.view_1",
        calling="select how_many()",
    )  # fmt: skip
    expected = {"bare": {"base"}, "written": {"base"}, "late": {"bare", "written"}}
    assert read(bench, some) == expected
    # Of a database that can't be asked, what views and functions read isn't known.
    alone = reads_by_sql_alone(list(some.values()), bench.policy())
    assert {reader: len(found) for reader, found in alone.items() if found} == {
        "custom-2": 1, "custom-3": 1, "custom-4": 2,
    }  # fmt: skip
    bench.refresh(some["base"])
    bench.sql("""
        create view public.view_1 as select id from reporting.base;
        create function public.how_many() returns bigint stable
            begin atomic select count(*) from public.view_1; end;
    """)
    assert read(bench, some) == {**expected, "deep": {"base"}, "calling": {"base"}}


def test_names_are_found_along_the_search_path_as_a_creation_finds_them(bench: Bench) -> None:
    # There the report's own name, and pg_catalog's, mean something else.
    some = three(bench, sale="select * from sale", pg_tables="select 1 as one", reader="select * from sale")
    catalogues = three(bench, pg_tables="select 1 as one", reader="select * from pg_tables")
    assert read(bench, some) == {"reader": {"sale"}}
    assert read(bench, catalogues) == {}
    assert read(bench, some, SEEDER_SEARCH_PATH="public, reporting") == {"reader": {"sale"}}


def test_a_changed_sql_counts_at_once_and_the_old_one_where_it_is_kept(bench: Bench) -> None:
    some = three(bench, base="select * from sale", other="select * from sale", reader="select * from base")
    for one in some.values():
        bench.refresh(one)
    changed = three(
        bench, base="select * from sale", other="select * from sale", reader="select * from other"
    )
    assert read(bench, changed) == {"reader": {"other"}}
    assert read(bench, changed, on_query_change="keep") == {"reader": {"base"}}
    # A matview of that name that nobody stamped is made anew, or adopted where it means the same.
    bench.sql("drop materialized view reporting.reader;"
              " create materialized view reporting.reader as select * from reporting.base")  # fmt: skip
    assert read(bench, changed) == {"reader": {"other"}}


def test_a_matview_that_is_nobodys_hides_what_it_reads_as_it_is_as_old_as_it_is(bench: Bench) -> None:
    some = three(bench, base="select * from sale", reader="select * from public.theirs")
    bench.refresh(some["base"])
    bench.sql("create materialized view public.theirs as select * from reporting.base")
    assert read(bench, some) == {}
    bench.refresh(some["reader"])
    assert read(bench, some) == {}


def test_sql_that_no_run_would_take_reads_nothing_and_harms_nobody(bench: Bench) -> None:
    some = three(
        bench,
        base="select * from sale",
        unfilled="select * form base where id = :agency_id",
        unscannable="select 'from base",
        reader="select * from base",
    )
    assert read(bench, some) == {"reader": {"base"}}
