"""A matview that may be refreshed concurrently or swapped: what a run makes of what is known of both."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from support.contract import Platform
from support.workbench import Bench

from seeder.errors import MatviewInUse
from seeder.matviews import RefreshResult, decide, stamp
from seeder.matviews.modes import weighing
from seeder.matviews.modes.cheapest import Why
from seeder.matviews.modes.costs import Cost, Costs
from seeder.matviews.modes.method import Method
from seeder.matviews.result import Outcome
from seeder.matviews.swap import exchange

KEYED = "-- seeder: mode=auto-swap unique=(id)\nselect * from sale"


@pytest.fixture
def bench(any_platform: Platform) -> Bench:
    made = Bench(any_platform)
    made.refresh(made.manifest(KEYED))
    return made


def plant(bench: Bench, concurrently: int, swap: int | None) -> None:
    """As if it had been measured twice each, in milliseconds, at any number of changes."""
    there = bench.stamp()
    assert there
    both = ((Method.CONCURRENTLY, concurrently), (Method.SWAP, swap))
    kept = tuple(
        Cost(method, None, taken, number) for number in (1, 2) for method, taken in both if taken is not None
    )
    comment = stamp.written(bench.comment(), replace(there, costs=Costs(2, 0, kept)))
    bench.sql(f"comment on materialized view reporting.sales is '{comment}'")


def run(bench: Bench) -> RefreshResult:
    return bench.refresh(bench.manifest(KEYED))


def costs(bench: Bench) -> Costs:
    there = bench.stamp()
    assert there
    assert there.costs
    return there.costs


def test_the_cheaper_one_is_taken_and_what_it_took_is_kept(bench: Bench) -> None:
    plant(bench, concurrently=9000, swap=200)
    done = run(bench)
    assert done.outcome is Outcome.SWAPPED
    assert done.note == "Swapped: that takes about 0.2 s, a concurrent refresh 9 s."
    assert (costs(bench).runs, costs(bench).kept[-1].method) == (3, Method.SWAP)
    plant(bench, concurrently=200, swap=9000)
    file = bench.rewritten()
    done = run(bench)
    assert (done.outcome, bench.rewritten()) == (Outcome.REFRESHED, file)
    assert done.note == "Refreshed concurrently: that takes about 0.2 s, a swap 9 s."
    assert (costs(bench).runs, costs(bench).kept[-1].method) == (3, Method.CONCURRENTLY)
    assert 0 < costs(bench).kept[-1].milliseconds < 9000


def test_changes_are_told_by_what_was_written_to_the_sources(bench: Bench) -> None:
    plant(bench, concurrently=200, swap=9000)
    run(bench)
    with bench.platform.databases.session() as session, session.transaction():
        session.run_text(
            "select pg_stat_force_next_flush(); update public.sale set amount = 0 where id <= 30;"
            "delete from public.sale where id > 90"
        )
    run(bench)
    assert costs(bench).kept[-1].written == 40


def test_what_is_over_at_once_isnt_weighed_nor_is_its_comment_written_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However busy the machine is.
    monkeypatch.setattr(weighing, "WORTH_WEIGHING_SECONDS", 60.0)
    run(bench)
    before = bench.comment()
    for _ in range(3):
        done = run(bench)
        assert (done.outcome, done.note) == (Outcome.REFRESHED, None)
    assert bench.comment() == before


def test_a_plan_says_what_a_run_would_do_and_changes_nothing(bench: Bench) -> None:
    plant(bench, concurrently=9000, swap=200)
    manifest, before = bench.manifest(KEYED), bench.comment()
    policy = bench.policy().of_manifest(manifest.directives)
    with bench.claimed(manifest, policy) as (session, found):
        decision = decide(session, manifest, found, policy)
    assert decision.method is Method.SWAP
    assert decision.weighed
    assert decision.weighed.choice.why is Why.CHEAPER
    assert bench.comment() == before


def test_what_another_matview_reads_is_not_swapped_for_it_would_be_built_too(bench: Bench) -> None:
    plant(bench, concurrently=9000, swap=200)
    bench.sql("create materialized view reporting.above as select id from reporting.sales")
    done = run(bench)
    assert (done.outcome, done.note) == (Outcome.REFRESHED, None)
    # A view over it stays: it is pointed to the new one.
    bench.sql("drop materialized view reporting.above; create view reporting.above as table reporting.sales")
    assert run(bench).outcome is Outcome.SWAPPED


def test_what_cant_be_swapped_is_refreshed_concurrently_and_the_run_says_why(bench: Bench) -> None:
    plant(bench, concurrently=9000, swap=200)
    bench.sql("""
        create function reporting.many() returns bigint language sql
        begin atomic; select count(*) from reporting.sales; end
    """)
    done = run(bench)
    assert done.outcome is Outcome.REFRESHED
    assert done.note
    assert done.note.startswith("Refreshed concurrently, as a swap is not possible: ")
    assert "many" in done.note
    assert (done.figures.records, bench.relations()) == (100, {"sales"})


@contextmanager
def reading(bench: Bench) -> Iterator[None]:
    """Somebody who keeps the matview open in a transaction."""
    with bench.platform.databases.session() as reader, reader.transaction():
        reader.row("select count(*) from reporting.sales")
        yield


def test_where_a_reader_keeps_it_from_being_exchanged_the_same_run_refreshes_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "TRIES", 2)
    monkeypatch.setattr(exchange, "PAUSE_SECONDS", 0.01)
    plant(bench, concurrently=9000, swap=100)
    bench.sql("delete from sale where id > 60")
    with reading(bench):
        done = run(bench)
    assert (done.outcome, done.figures.records) == (Outcome.REFRESHED, 60)
    assert done.note
    assert "the swap could not be done: reporting.sales is in use" in done.note
    swapped, refreshed = costs(bench).kept[-2:]
    assert (swapped.method, refreshed.method) == (Method.SWAP, Method.CONCURRENTLY)
    # The waiting counts, or it would wait again each night.
    assert swapped.milliseconds >= 200
    assert bench.relations() == {"sales"}
    # Who asks for a swap gets none other.
    with reading(bench), pytest.raises(MatviewInUse):
        bench.refresh(bench.manifest(KEYED.replace("auto-swap", "swap")))


def test_who_may_not_comment_learns_nothing_and_isnt_swapped(bench: Bench) -> None:
    if bench.value("select current_setting('server_version_num')::int") < 170000:
        pytest.skip("MAINTAIN is new in PostgreSQL 17")
    plant(bench, concurrently=9000, swap=200)
    bench.sql("create role seeder_test_maintainer")
    try:
        bench.sql("""
            grant maintain on reporting.sales to seeder_test_maintainer;
            grant select on reporting.sales, sale to seeder_test_maintainer;
            grant usage on schema reporting to seeder_test_maintainer
        """)
        before = bench.comment()
        done = bench.refresh(bench.manifest(KEYED), bench.policy(role="seeder_test_maintainer"))
        assert (done.outcome, done.note, bench.comment()) == (Outcome.REFRESHED, None, before)
    finally:
        bench.sql("drop owned by seeder_test_maintainer; drop role seeder_test_maintainer")
