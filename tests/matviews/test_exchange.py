"""The exchange among readers, writers and other runs: what they see of it, and what is left when it fails."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import psycopg2
import pytest
from support.company import connection, hasty, nothing_is_left, run
from support.furniture import dump
from support.workbench import Bench

from seeder.errors import ManifestError, MatviewBusy, MatviewInUse, QueryFailed
from seeder.matviews.result import Outcome
from seeder.matviews.swap import exchange
from seeder.matviews.swap.copy_names import copy_of
from seeder.postgres.session import Session

__all__ = ["hasty", "nothing_is_left"]

# --- readers ---------------------------------------------------------------------------------------------


READS = {
    "by name": "select count(*) from reporting.sales",
    "prepared": "execute counted",
    "through a view": "select count(*) from reporting.seen",
    "from the matview on top": "select n from reporting.counts",
}


def test_readers_never_fail_nor_see_an_empty_view(bench: Bench) -> None:
    bench.refresh()
    bench.sql("create view reporting.seen as select * from reporting.sales")
    bench.sql("create materialized view reporting.counts as select count(*) as n from reporting.sales")
    seen: dict[str, list[tuple[int, float]]] = {name: [] for name in READS}
    failures: list[str] = []
    over = threading.Event()

    def read(name: str) -> None:
        try:
            with connection(bench) as cursor:
                cursor.connection.autocommit = True
                cursor.execute("prepare counted as select count(*) from reporting.sales")
                while not over.is_set():
                    started = time.monotonic()
                    cursor.execute(READS[name])
                    seen[name].append((cursor.fetchone()[0], time.monotonic() - started))  # type: ignore[index]
        except psycopg2.Error as error:
            failures.append(f"{name}: {error}")

    readers = [threading.Thread(target=read, args=[name]) for name in READS]
    for reader in readers:
        reader.start()
    try:
        for number in range(3):
            run(bench)
            run(bench, f"select id, agency_id, amount from sale where id > {-number}")
    finally:
        over.set()
        for reader in readers:
            reader.join()
    assert failures == []
    for counts in seen.values():
        assert {count for count, _ in counts} == {100}
        assert max(wait for _, wait in counts) < 5


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
@pytest.mark.parametrize("query", [None, "select id, agency_id, amount, 1 as one from sale"])
def test_a_reader_with_an_older_snapshot_sees_rows(bench: Bench, isolation: str, query: str | None) -> None:
    bench.refresh()
    bench.sql(
        "create unique index on reporting.sales (id); create view reporting.seen as table reporting.sales"
    )
    bench.sql("create materialized view reporting.counts as select count(*) as n from reporting.sales")
    with connection(bench) as cursor:
        cursor.execute("prepare counted as select count(*) from reporting.sales")
        cursor.connection.commit()
        cursor.execute(f"set transaction isolation level {isolation}")
        cursor.execute("select count(*) from sale")
        bench.sql("delete from sale where id > 60")
        run(bench, query)
        for read in ("select count(*) from reporting.sales", "execute counted", "table reporting.counts",
                     "select count(*) from reporting.seen"):  # fmt: skip
            cursor.execute(read)
            assert cursor.fetchone() == (60,)
        cursor.execute("set local enable_seqscan = off")
        cursor.execute("select count(amount) from reporting.sales where id between 1 and 100")
        assert cursor.fetchone() == (60,)
        cursor.execute("select count(*) from sale")
        assert cursor.fetchone() == (100,)


@pytest.mark.usefixtures("hasty")
def test_a_long_reader_is_not_disturbed_and_holds_up_nobody_else(bench: Bench) -> None:
    bench.refresh()
    before = dump(bench)
    with connection(bench) as reader, connection(bench) as other:
        reader.execute("select count(*) from reporting.sales")
        with pytest.raises(MatviewInUse, match="could not be exchanged for its new build in 2 tries") as last:
            run(bench, "select id, agency_id, amount, 1 as one from sale")
        # It may be the last try.
        assert "tried again" not in str(last.value)
        other.execute("set lock_timeout = '1s'")
        other.execute("select count(*) from reporting.sales")
        reader.execute("select count(*) from reporting.sales")
        assert reader.fetchone() == (100,)
    assert dump(bench) == before
    assert run(bench).outcome is Outcome.SWAPPED


def test_a_reader_who_leaves_lets_a_later_try_succeed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.refresh()
    with connection(bench) as reader:
        reader.execute("select count(*) from reporting.sales")
        tried: list[float] = []

        def pause(least: float, most: float) -> float:
            tried.append(least)
            if len(tried) == 3:
                reader.connection.rollback()
            return 0.0

        monkeypatch.setattr(exchange.random, "uniform", pause)
        assert run(bench).outcome is Outcome.SWAPPED
    assert len(tried) == 3


def test_a_run_that_is_cancelled_between_two_tries_ends_at_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.refresh()
    before = dump(bench)
    monkeypatch.setattr(exchange, "PAUSE_SECONDS", 600)
    cancel = """
        select count(pg_cancel_backend(pid)) from pg_stat_activity
        where datname = current_database() and wait_event = 'PgSleep'
    """

    def cancel_when_it_pauses() -> None:
        deadline = time.monotonic() + 60
        while not bench.value(cancel) and time.monotonic() < deadline:
            time.sleep(0.005)

    thread = threading.Thread(target=cancel_when_it_pauses)
    with connection(bench) as reader:
        reader.execute("select count(*) from reporting.sales")
        thread.start()
        with pytest.raises(QueryFailed, match="57014: canceling statement due to user request"):
            run(bench)
        thread.join()
    assert dump(bench) == before


# --- writers, and other runs -----------------------------------------------------------------------------


def test_a_writer_on_the_source_is_neither_held_up_nor_half_seen(bench: Bench) -> None:
    bench.refresh()
    with connection(bench) as writer:
        writer.execute("insert into sale select n, 7, n from generate_series(101, 110) n")
        assert run(bench).figures.records == 100
        writer.execute("insert into sale values (111, 7, 0)")
        writer.connection.commit()
    assert run(bench).figures.records == 111


def test_a_second_refresh_of_the_same_view_waits_its_turn(bench: Bench) -> None:
    bench.refresh()

    def second(session: Session, copy: str) -> None:
        with pytest.raises(MatviewBusy, match=r"by run n1\.custom-1;"):
            bench.refresh()

    assert run(bench, hook=second).outcome is Outcome.SWAPPED


@pytest.mark.slow
def test_what_a_killed_run_left_is_dropped_by_the_next_one(bench: Bench) -> None:
    bench.refresh()
    before = dump(bench)
    program = Path(__file__).parents[1] / "support" / "stuck_run.py"
    query = "select id, agency_id, amount, 1 as one from sale"
    with subprocess.Popen(
        [sys.executable, str(program), bench.platform.url, query],
        stdout=subprocess.PIPE, text=True,
        env={"PYTHONPATH": f"{program.parents[1]}:{program.parents[2]}", "PATH": ""},
    ) as stuck:  # fmt: skip
        assert stuck.stdout
        copy = stuck.stdout.readline().strip()
        stuck.kill()
    assert copy == copy_of(bench.manifest().matview).quoted
    assert len(copy.encode()) <= 63 + len('"reporting".""')
    # Of what reads the copy, a dead run may have left copies too.
    top = copy_of(bench.manifest(table_name="top").matview).quoted
    bench.sql(f"create materialized view {top} as select * from {copy}")
    assert bench.value("select count(*) from reporting.sales") == 100
    deadline = time.monotonic() + 60
    while bench.value(
        "select count(*) from pg_stat_activity"
        " where datname = current_database() and application_name = 'seeder n1.custom-1 0'"
    ):
        assert time.monotonic() < deadline
    assert bench.refresh().outcome is Outcome.REFRESHED
    assert dump(bench) == before


def test_a_copy_that_is_refused_is_dropped_and_the_old_rows_stay(bench: Bench) -> None:
    bench.refresh()
    bench.sql("create unique index on reporting.sales (id); delete from sale where id > 3")
    before = dump(bench)

    def refuse(session: Session, copy: str) -> None:
        assert session.row(f"select count(*) as n from {copy}").n == 3
        oid = f"'{copy}'::regclass"
        assert session.row(f"select count(*) as n from pg_index where indrelid = {oid}").n == 1
        raise ManifestError(what="too few rows")

    with pytest.raises(ManifestError, match="too few rows"):
        run(bench, hook=refuse)
    assert dump(bench) == before
    assert bench.value("select count(*) from reporting.sales") == 100


def test_an_index_that_is_made_on_the_copy_goes_into_service_with_it(bench: Bench) -> None:
    bench.refresh()
    bench.sql("create index other on reporting.sales (amount)")
    run(bench, hook=lambda session, copy: session.run_text(f"create unique index wanted on {copy} (id)"))
    names = bench.sql("select indexname from pg_indexes where tablename = 'sales' order by 1")
    assert names == [("other",), ("wanted",)]
    assert bench.refresh().outcome is Outcome.REFRESHED


def test_a_connection_that_is_lost_leaves_a_copy_that_the_next_run_drops(bench: Bench) -> None:
    bench.refresh()
    before = dump(bench)
    with pytest.raises(Exception, match=r"57P01|connection"):
        run(bench, hook=lambda session, _: session.run_text("select pg_terminate_backend(pg_backend_pid())"))
    assert bench.sql("select count(*) from pg_class where relname like 'seeder:copy:%'") == [(1,)]
    assert bench.refresh().outcome is Outcome.REFRESHED
    assert dump(bench) == before


def test_a_failed_build_leaves_nothing(bench: Bench) -> None:
    bench.refresh()
    before = dump(bench)
    with pytest.raises(QueryFailed, match=r'column "amuont" does not exist\n(.*\n)?At line 2, column 10'):
        run(bench, "select id,\n         amuont from sale")
    with pytest.raises(QueryFailed, match="22012: division by zero"):
        run(bench, "select id, 1 / (id - 5) as part from sale")
    assert dump(bench) == before
