"""Matviews that come back from a dump, into the same PostgreSQL and into a newer one, are what they were."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from support.contract import Platform
from support.dumps import PROGRAMS, plain, run
from support.emptied import fresh_database
from support.workbench import Bench

from seeder.config.settings import OnQueryChange
from seeder.config.urls import driver_url
from seeder.errors import QueryChanged
from seeder.matviews.result import Outcome
from seeder.schema import Difference, apply, check
from seeder.sql.directives import RefreshMode

#: Each is printed otherwise once its print has been read again, or might be.
QUERIES = {
    "exists_": "select id from sale where exists (select 'y' from sale)",
    "in_": "select id from sale where id in (select 1 union select 2) and amount not in (3, 4)",
    "unnamed": "select 1, 'x' as x, now() is null as n, case when true then 'y' end, null as nothing",
    "nested": "select * from (select *, row_number() over () from (select 'a' as a) x) y",
    "cte": "with a as (select 'y'), b(c) as materialized (table a) select * from b, lateral (values (1)) v",
    "joined": "select a.*, c.x from sale a join sale b using (id) cross join lateral (select b.id as x) c",
    "grouped": "select agency_id, grouping(amount), count(*) filter (where id > 1) from sale "
               "group by rollup (agency_id, amount) having count(*) > 0 order by 1 limit 3",
    "cast_": "select id::text::varchar(3), '1 day', interval '1' hour, -1e3 as e from sale",
    "ordered": "select array_agg(id order by amount desc nulls last) from sale",
    "recursive": "with recursive n as (select 1 as i union all select i + 1 from n where i < 3) table n",
    "any_": "select id from sale where id = any (array[1, 2]) or (id, 1) in (select 4, 1)",
    "scalar": "select (select 'deep' from sale limit 1), array(select 'y'), (select row(1, 'z'))::text",
    "none": "select from sale where exists (select 'y' from sale)",
    "collated": "select 'a' collate \"C\" < 'b' as b, 'x' similar to 'y' as s, extract(year from now())",
}  # fmt: skip


@dataclass(frozen=True)
class Way:
    """Where matviews are made, the server that their dump is read in on, and whose programs do it."""

    bench: Bench
    server: str
    programs: Path

    @contextmanager
    def restored(self, *, comments: bool = True) -> Iterator[Bench]:
        """The database, dumped and read in again."""
        with fresh_database(self.server) as url:
            arguments = ["--no-owner", "--restrict-key=x", *([] if comments else ["--no-comments"])]
            dump = run(self.programs, "pg_dump", *arguments, "--dbname", plain(self.bench.platform.url))
            run(self.programs, "psql", "--quiet", "--no-psqlrc", "--dbname", plain(url), given=dump)
            platform = Platform(url)
            again = object.__new__(Bench)
            again.platform, again.sql, again.value = platform, platform.sql, platform.value
            try:
                yield again
            finally:
                platform.close()


#: pg_dump reads servers of its own version and older ones.
@pytest.fixture(params=["15 to 15 by 15", "15 to 18 by 18", "18 to 18 by 18", "18 to 15 by 18"])
def way(request: pytest.FixtureRequest) -> Iterator[Way]:
    urls = {"15": request.getfixturevalue("postgres15_url"), "18": request.getfixturevalue("postgres_url")}
    origin, _, target, _, programs = request.param.split(" ")
    with fresh_database(urls[origin]) as url:
        engine = create_engine(driver_url(url))
        with engine.connect() as connection:
            apply(connection, "reporting", "public.agency")
        engine.dispose()
        platform = Platform(url)
        yield Way(Bench(platform), urls[target], PROGRAMS[programs])
        platform.close()


def schema_differences(bench: Bench) -> list[Difference]:
    engine = create_engine(driver_url(bench.platform.url))
    with engine.connect() as connection:
        found = check(connection, "reporting", "public.agency")
    engine.dispose()
    return found


def test_no_report_is_rebuilt_and_the_schema_differs_in_nothing(way: Way) -> None:
    bench = way.bench
    manifests = [bench.manifest(query, name, manifest_id=number)
                 for number, (name, query) in enumerate(QUERIES.items())]  # fmt: skip
    for manifest in manifests:
        assert bench.refresh(manifest).outcome is Outcome.CREATED
    error = bench.policy(on_query_change=OnQueryChange.ERROR)
    with way.restored() as again:
        for manifest in manifests:
            assert again.refresh(manifest, error).outcome is Outcome.REFRESHED, manifest.table_name
        assert schema_differences(again) == []
    with way.restored(comments=False) as again:
        for manifest in manifests:
            assert again.refresh(manifest, error).outcome is Outcome.REFRESHED, manifest.table_name
            assert again.stamp(f"reporting.{manifest.table_name}"), "adopted"
        with pytest.raises(QueryChanged):
            again.refresh(bench.manifest(QUERIES["in_"].replace("3, 4", "3, 5"), "in_"), error)


def test_what_was_built_on_a_restored_one_can_still_be_swapped_with_it(way: Way) -> None:
    """Its definitions are read a third time then, from their print."""
    bench = way.bench
    bench.refresh()
    bench.sql("""
        create view reporting.seen as
            select *, (select 'y') as y from reporting.sales where exists (select 'x' from reporting.sales);
        create view reporting.barred with (security_barrier) as
            select id from reporting.sales;
        create materialized view reporting.above as
            select id from reporting.sales where exists (select 'y' from reporting.seen);
        create materialized view reporting.beside as
            select count(*), (select 'z' limit 1) as z from reporting.sales;
        create unique index on reporting.beside (z)
    """)
    swapped = bench.policy(refresh_mode=RefreshMode.SWAP)
    with way.restored() as again:
        for _ in range(2):
            again.sql("delete from public.sale where id = (select max(id) from public.sale)")
            assert again.refresh(policy=swapped).outcome is Outcome.SWAPPED
        assert again.value("select count from reporting.beside") == 98
        assert again.value("select count(*) from reporting.seen") == 98
        beside = bench.manifest("select count(*), (select 'z' limit 1) as z from reporting.sales", "beside")
        error = bench.policy(on_query_change=OnQueryChange.ERROR)
        assert again.refresh(beside, error).outcome is Outcome.REFRESHED
        assert again.stamp("reporting.beside"), "adopted"
        assert schema_differences(again) == []
