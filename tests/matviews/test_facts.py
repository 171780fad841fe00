"""What is told of a matview to whoever looks at it, and that nobody who looks has to wait."""

import time

import pytest
from psycopg2.errors import LockNotAvailable
from support.contract import Platform
from support.workbench import Bench

from seeder.matviews.insight import activity, facts, lineage
from seeder.matviews.insight.facts import Facts
from seeder.matviews.insight.lineage import Relation
from seeder.postgres.session import Session
from seeder.sql.names import MatviewName

SALES = MatviewName("reporting", "sales")
QUERY = "-- seeder: unique=(id) index=(amount)\nselect id, amount from sale"


@pytest.fixture
def made(bench: Bench) -> Bench:
    bench.refresh(bench.manifest(QUERY))
    return bench


def found(session: Session, name: MatviewName = SALES) -> Facts:
    it = facts.facts(session, name)
    assert it
    return it


def scans(session: Session, oid: int) -> tuple[int, int]:
    reads = facts.read_counts(session, oid)
    assert reads
    return reads.sequential, reads.by_index


def test_a_matview_is_told_of_with_its_indexes(made: Bench) -> None:
    with made.platform.databases.session() as session:
        it = found(session)
        assert (it.kind, it.is_populated) == ("m", True)
        assert it.owner == made.value("select current_user")
        assert it.stamp
        assert it.stamp.manifest == "custom-1"
        sizes = facts.sizes(session, it.oid)
        assert sizes.total_bytes == made.value("select pg_total_relation_size('reporting.sales')")
        assert sizes.index_bytes == made.value("select pg_indexes_size('reporting.sales')")
        # Free space map and visibility map are no pages of the relation.
        assert 0 < it.about_bytes <= sizes.total_bytes
        plain, unique = facts.index_facts(session, it.oid)
    assert plain.definition.startswith("CREATE INDEX sales_amount_idx_")
    assert (plain.is_unique, plain.lets_concurrently, plain.is_asked_for, plain.is_valid) == (
        False, False, True, True,
    )  # fmt: skip
    assert (unique.is_unique, unique.lets_concurrently, unique.is_asked_for) == (True, True, True)
    assert unique.total_bytes == made.value(f"select pg_relation_size('reporting.{unique.name}')")


def test_what_is_not_there_or_no_matview_is_told_apart(bench: Bench) -> None:
    bench.sql("create table reporting.taken (id integer)")
    with bench.platform.databases.session() as session:
        assert facts.facts(session, SALES) is None
        assert found(session, MatviewName("reporting", "taken")).kind == "r"


def test_no_limit_of_a_question_outlives_it(made: Bench) -> None:
    limits = """
        select current_setting('statement_timeout') as statement, current_setting('lock_timeout') as lock,
               current_setting('search_path') as path
    """
    with made.platform.databases.session() as session:
        before = session.row(limits)
        it = found(session)
        facts.sizes(session, it.oid)
        lineage.sources(session, it.oid)
        activity.sessions_at(session, it.oid)
        activity.working_session(session, SALES)
        assert session.row(limits) == before


def test_while_its_rows_are_replaced_its_row_is_read_and_nobody_waits_for_the_rest(made: Bench) -> None:
    with made.platform.databases.bare_connection() as connection:
        with connection.cursor() as cursor:
            cursor.execute("set application_name to 'a long refresh'")
            cursor.execute("refresh materialized view reporting.sales")
            with made.platform.databases.session() as session:
                began = time.monotonic()
                it = found(session)
                for ask in (facts.sizes, facts.index_facts):
                    with pytest.raises(LockNotAvailable):
                        ask(session, it.oid)
                facts.read_counts(session, it.oid)
                assert lineage.sources(session, it.oid)
                (at,) = activity.sessions_at(session, it.oid)
                assert time.monotonic() - began < 20
        assert at.person.application_name == "a long refresh"
        assert at.person.pid == connection.info.backend_pid
        assert at.person.first_line == "refresh materialized view reporting.sales"
        assert "AccessExclusiveLock" in at.held
        assert at.awaited is None


def test_refreshes_are_among_the_scans_as_the_page_says(made: Bench) -> None:
    with made.platform.databases.session() as session:
        it = found(session)

        def added(statement: str) -> tuple[int, int]:
            before = scans(session, it.oid)
            session.run_text(statement)
            session.run_text("select pg_stat_force_next_flush()")
            after = scans(session, it.oid)
            return after[0] - before[0], after[1] - before[1]

        session.run_text("select pg_stat_force_next_flush()")
        assert added("refresh materialized view reporting.sales") == (2, 0)
        assert added("refresh materialized view concurrently reporting.sales") == (1, 0)
        made.sql("update public.sale set amount = amount + 1")
        sequential, by_index = added("refresh materialized view concurrently reporting.sales")
        assert (1 <= sequential <= 2, by_index) == (True, 0)
        assert added("set enable_seqscan to off; select * from reporting.sales where id = 5") == (0, 1)
        last = facts.read_counts(session, it.oid)
        assert last
        assert (last.last is not None) == (session.server_version >= 160000)


def test_what_it_reads_and_what_reads_it_is_found_through_views(made: Bench) -> None:
    made.sql("""
        create view public.cheap as select * from public.sale where amount < 10;
        create view reporting.on_top as select * from reporting.sales;
        create materialized view reporting.topmost as
            select t.id
            from reporting.on_top t join reporting.sales s using (id) join public.cheap using (id);
        create materialized view reporting.above as select id from reporting.on_top;
        create materialized view reporting.further as select id from reporting.above
    """)
    with made.platform.databases.session() as session:
        sales = found(session)
        assert lineage.sources(session, sales.oid) == [Relation("public", "sale", "r", None)]
        assert lineage.readers(session, sales.oid) == [
            Relation("reporting", "above", "m", "reporting.on_top"),
            Relation("reporting", "on_top", "v", None),
            Relation("reporting", "topmost", "m", None),
        ]
        topmost = found(session, MatviewName("reporting", "topmost"))
        assert lineage.sources(session, topmost.oid) == [
            Relation("public", "cheap", "v", None),
            Relation("public", "sale", "r", "public.cheap"),
            Relation("reporting", "on_top", "v", None),
            Relation("reporting", "sales", "m", None),
        ]
        assert lineage.readers(session, topmost.oid) == []
        # What another matview reads is that one's business.
        further = found(session, MatviewName("reporting", "further"))
        assert lineage.sources(session, further.oid) == [Relation("reporting", "above", "m", None)]


def test_views_that_read_each_other_end_the_search(any_platform: Platform) -> None:
    any_platform.sql("""
        create view public.a as select 1 as n;
        create view public.b as select n from public.a;
        create or replace view public.a as select n from public.b;
    """)
    with any_platform.databases.session() as session:
        oid = session.row("select 'public.a'::regclass::oid as oid").oid
        assert [one.name for one in lineage.sources(session, oid)] == ["a", "b"]
