"""The exchange among other people: what they see of it, and what of theirs it must not lose."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from furniture import dump
from sqlalchemy.engine import make_url
from workbench import Bench

from seeder.database import Session
from seeder.errors import ManifestError, MatviewBusy, MatviewChanged, MatviewInUse, QueryFailed
from seeder.matviews import exchange, lock
from seeder.matviews.upkeep import Outcome, RefreshResult, bring_up_to_date
from seeder.settings import RefreshMode

Hook = Callable[[Session, str], object]


@pytest.fixture(autouse=True)
def nothing_is_left(bench: Bench) -> Iterator[None]:
    """No copy, no lock, no open transaction, whatever a test did."""
    yield
    assert bench.sql("select relname from pg_class where relname like 'seeder:%'") == []
    assert bench.sql("""
        select l.locktype from pg_locks l join pg_database d on d.oid = l.database
        where d.datname = current_database() and (l.locktype = 'advisory' or l.mode like '%Exclusive%')
    """) == []  # fmt: skip


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two tries with hardly a pause between them."""
    monkeypatch.setattr(exchange, "TRIES", 2)
    monkeypatch.setattr(exchange, "PAUSE_SECONDS", 0.01)


def run(bench: Bench, query: str | None = None, hook: Hook | None = None) -> RefreshResult:
    """A rebuild with the query, or a swap."""
    manifest = bench.manifest(query) if query else bench.manifest()
    policy = bench.policy(refresh_mode=RefreshMode.SWAP)
    with bench.claimed(manifest, policy) as (session, found):
        return bring_up_to_date(session, manifest, found, policy, hook)


def meanwhile(bench: Bench, ddl: str) -> Hook:
    """What a person does after the copy was built."""

    def hook(session: Session, copy: str) -> None:
        bench.sql(ddl)

    return hook


def between_look_and_lock(monkeypatch: pytest.MonkeyPatch, bench: Bench, ddl: str) -> None:
    """What a person does in the moment between the exchange's last look and its lock."""
    real, pending = exchange.exclusively, [ddl]

    def late(*arguments: object) -> object:
        if pending:
            bench.sql(pending.pop())
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(exchange, "exclusively", late)


@contextmanager
def connection(bench: Bench) -> Iterator[psycopg2.extensions.cursor]:
    """Somebody else's, in a transaction."""
    url = make_url(bench.platform.url).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = psycopg2.connect(url)
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


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
        with pytest.raises(MatviewInUse, match="in 2 tries no moment was found"):
            run(bench, "select id, agency_id, amount, 1 as one from sale")
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
        with pytest.raises(MatviewBusy, match=r"seeder n1\.custom-1 0"):
            bench.refresh()

    assert run(bench, hook=second).outcome is Outcome.SWAPPED


@pytest.mark.slow
def test_what_a_killed_run_left_is_dropped_by_the_next_one(bench: Bench) -> None:
    bench.refresh()
    before = dump(bench)
    program = Path(__file__).with_name("stuck_run.py")
    query = "select id, agency_id, amount, 1 as one from sale"
    with subprocess.Popen(
        [sys.executable, str(program), bench.platform.url, query],
        stdout=subprocess.PIPE, text=True,
        env={"PYTHONPATH": f"{program.parents[1]}:{program.parents[2]}", "PATH": ""},
    ) as stuck:  # fmt: skip
        assert stuck.stdout
        copy = stuck.stdout.readline().strip()
        stuck.kill()
    assert copy == lock.copy_of(bench.manifest().matview).quoted
    assert len(copy.encode()) <= 63 + len('"reporting".""')
    # Of what reads the copy, a dead run may have left copies too.
    top = lock.copy_of(bench.manifest(table_name="top").matview).quoted
    bench.sql(f"create materialized view {top} as select * from {copy}")
    assert bench.value("select count(*) from reporting.sales") == 100
    deadline = time.monotonic() + 60
    while bench.value(
        "select count(*) from pg_stat_activity where application_name = 'seeder n1.custom-1 0'"
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


# --- people ----------------------------------------------------------------------------------------------


#: What a person puts on it, and how a dump shows that.
PUT = {
    "create index mine on reporting.sales (amount)": "INDEX mine ON reporting.sales",
    "comment on column reporting.sales.id is 'my column'": "IS 'my column'",
    "grant select on reporting.sales to public": "GRANT SELECT ON TABLE reporting.sales TO PUBLIC",
    "grant references (id) on reporting.sales to public": "GRANT REFERENCES(id)",
    "alter materialized view reporting.sales set (fillfactor = 55)": "WITH (fillfactor='55')",
    "create statistics public.mine on id, amount from reporting.sales": "STATISTICS public.mine",
}
PUT_ON_TOP = {
    "create view reporting.mine_too as select id from reporting.sales": "VIEW reporting.mine_too AS",
    "create or replace view reporting.seen as select id, 7 as seven from reporting.sales": "7 AS seven",
}


@pytest.mark.parametrize("moment", ["after the build", "before the lock"])
@pytest.mark.parametrize("put", [PUT, PUT_ON_TOP], ids=["on it", "on top"])
def test_what_a_person_puts_on_it_meanwhile_is_kept(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, put: dict[str, str], moment: str
) -> None:
    bench.refresh()
    bench.sql("create view reporting.seen as select id from reporting.sales")
    monkeypatch.setattr(exchange, "PAUSE_SECONDS", 0.01)
    comment = (bench.comment() or "").replace("'", "''")
    ddl = ";".join([*put, f"comment on materialized view reporting.sales is 'My matview\n{comment}'"])
    if moment == "before the lock":
        between_look_and_lock(monkeypatch, bench, ddl)
    hook = meanwhile(bench, ddl) if moment == "after the build" else None
    old = bench.value("select 'reporting.sales'::regclass::oid")
    assert run(bench, "select id, agency_id, amount, 1 as one from sale", hook).outcome is Outcome.REBUILT
    assert bench.value("select 'reporting.sales'::regclass::oid") != old
    after = dump(bench)
    assert [part for part in put.values() if part not in after] == []
    assert "IS 'My matview\n{stamp}'" in after


@pytest.mark.parametrize("moment", ["after the build", "before the lock"])
def test_what_a_person_takes_from_it_meanwhile_does_not_come_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    bench.refresh()
    bench.sql("create index mine on reporting.sales (amount); grant select on reporting.sales to public")
    monkeypatch.setattr(exchange, "PAUSE_SECONDS", 0.01)
    ddl = "drop index reporting.mine; revoke select on reporting.sales from public"
    if moment == "before the lock":
        between_look_and_lock(monkeypatch, bench, ddl)
    run(bench, hook=meanwhile(bench, ddl) if moment == "after the build" else None)
    assert "mine" not in dump(bench)
    assert "GRANT" not in dump(bench)


MOVED = {
    "renamed": "alter materialized view reporting.sales rename to mine",
    "dropped": "drop materialized view reporting.sales",
    "replaced": """
        drop materialized view reporting.sales;
        create materialized view reporting.sales as select 1 as mine""",
    "with another column name": "alter materialized view reporting.sales rename column id to mine",
    "moved": "create schema if not exists mine; alter materialized view reporting.sales set schema mine",
    "read by a matview": "create materialized view reporting.mine as select id from reporting.sales",
}


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("moment", ["after the build", "before the lock"])
@pytest.mark.parametrize("ddl", MOVED.values(), ids=MOVED)
def test_a_matview_that_is_no_longer_the_same_is_left_as_the_person_made_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, ddl: str, moment: str
) -> None:
    bench.refresh()
    if moment == "before the lock":
        between_look_and_lock(monkeypatch, bench, ddl)
    try:
        with pytest.raises(MatviewChanged, match="was changed by somebody else"):
            run(bench, hook=meanwhile(bench, ddl) if moment == "after the build" else None)
        made_by_person = dump(bench)
        bench.sql(
            "drop schema if exists mine cascade; drop materialized view if exists reporting.mine cascade"
        )
        bench.sql("drop materialized view if exists reporting.sales cascade")
        bench.refresh()
        bench.sql(ddl)
        assert dump(bench) == made_by_person
    finally:
        bench.sql("drop schema if exists mine cascade")


#: They take no lock on the matview; but each has a row in the catalogue, or a lock, that the exchange needs.
UNLOCKED = {
    "grant select on reporting.sales to public": "GRANT SELECT ON TABLE reporting.sales TO PUBLIC",
    "grant select (id) on reporting.sales to public": "GRANT SELECT(id) ON TABLE reporting.sales TO PUBLIC",
    "alter index reporting.one rename to mine": "CREATE INDEX mine ON reporting.sales",
    "comment on index reporting.one is 'mine'": "COMMENT ON INDEX reporting.one IS 'mine'",
}


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(("ddl", "part"), UNLOCKED.items())
def test_what_is_not_committed_yet_is_not_lost(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, ddl: str, part: str
) -> None:
    bench.refresh()
    bench.sql("create index one on reporting.sales (id)")
    with connection(bench) as person:
        # After the last look, so that the exchange meets it.
        real, pending = exchange.exclusively, [ddl]

        def late(*arguments: object) -> object:
            if pending:
                person.execute(pending.pop())
            return real(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(exchange, "exclusively", late)
        with pytest.raises(MatviewInUse):
            run(bench)
        person.connection.commit()
    run(bench)
    assert part in dump(bench)


@pytest.mark.parametrize("ddl", UNLOCKED)
def test_after_the_last_look_nothing_can_be_changed_any_more(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, ddl: str
) -> None:
    """Whoever comes too late waits for the exchange, and then hears that it is another matview."""
    bench.refresh()
    bench.sql("create index one on reporting.sales (id)")
    real, refused = exchange.compared, []

    def compared(*arguments: object) -> object:
        found = real(*arguments)  # type: ignore[arg-type]
        with connection(bench) as person:
            person.execute("set lock_timeout = '100ms'")
            try:
                person.execute(ddl)
                person.connection.commit()
            except psycopg2.errors.LockNotAvailable:
                refused.append(ddl)
        return found

    monkeypatch.setattr(exchange, "compared", compared)
    assert run(bench).outcome is Outcome.SWAPPED
    assert refused == [ddl]


def test_a_view_that_came_late_is_locked_like_the_others(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.refresh()
    monkeypatch.setattr(exchange, "PAUSE_SECONDS", 0.01)
    real, locked = exchange.exclusively, []

    def watched(session: Session, old: Any, role: str, on_top: Any) -> object:
        if not locked:
            bench.sql("create view reporting.late as select id from reporting.sales")
        locked.append([view.name for view in on_top])
        return real(session, old, role, on_top)

    monkeypatch.setattr(exchange, "exclusively", watched)
    run(bench)
    assert locked == [[], ["reporting.late"]]


def test_what_is_committed_while_the_exchange_waits_for_it_is_kept(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.refresh()
    monkeypatch.setattr(exchange, "PAUSE_SECONDS", 0.01)
    # Long enough to be seen waiting on a busy machine.
    monkeypatch.setattr(exchange, "BEGIN", exchange.BEGIN.replace(str(exchange.LOCK_WAIT_MS), "60000", 1))
    waiting = """
        select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
    """
    with connection(bench) as person:

        def commit_when_awaited() -> None:
            deadline = time.monotonic() + 30
            while not bench.value(waiting) and time.monotonic() < deadline:
                time.sleep(0.005)
            person.connection.commit()

        person.execute("grant select (id) on reporting.sales to public")
        thread = threading.Thread(target=commit_when_awaited)
        thread.start()
        assert run(bench).outcome is Outcome.SWAPPED
        thread.join()
    assert "GRANT SELECT(id) ON TABLE reporting.sales TO PUBLIC" in dump(bench)


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
