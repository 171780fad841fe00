"""Sessions that have committed what no counter shows yet: nothing is called unchanged on their account."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
import pytest
from sqlalchemy.engine import make_url
from support.stillness import Reports

from seeder.matviews.freshness import sessions
from seeder.matviews.freshness.why import Kind


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """45 s pass at once."""
    monkeypatch.setattr(sessions, "BUSY_SECONDS", 0.3)


@contextmanager
def person(reports: Reports, **more: Any) -> Iterator[Any]:
    url = make_url(reports.bench.platform.url).set(drivername="postgresql", **more)
    connection = psycopg2.connect(url.render_as_string(hide_password=False))
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


@contextmanager
def at_work(cursor: Any, statement: str) -> Iterator[None]:
    """In another thread, until the block is left."""

    def work() -> None:
        with pytest.raises(psycopg2.errors.QueryCanceled):
            cursor.execute(statement)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        yield
    finally:
        cursor.connection.cancel()
        worker.join()


def pause(reports: Reports) -> None:
    reports.bench.sql("select pg_sleep(0.5)")


def test_what_was_written_before_something_long_is_not_called_unchanged(reports: Reports) -> None:
    reports.report()
    with person(reports) as cursor:
        cursor.execute("select pg_stat_force_next_flush()")
        cursor.execute("insert into sale values (101, 7, 1)")
        with at_work(cursor, "select pg_sleep(60)"):
            pause(reports)
            told = reports.bench.value("select pg_stat_get_tuples_inserted('sale'::regclass)")

            assert told == 100, "PostgreSQL tells it at once now: the rule isn't needed any more"
            assert reports.kinds() == {Kind.BUSY}
            assert "(pid " in str(reports.decision())

            # What it wrote before is in the rows that are made now.
            assert reports.refresh().figures.records == 101
            assert reports.decision().unchanged, reports.decision()


@pytest.mark.parametrize("before", ["", f"/* {'x' * 1100} */ "], ids=["short", "cut in pg_stat_activity"])
def test_a_statement_that_commits_midway_is_at_work_all_the_time(reports: Reports, before: str) -> None:
    reports.report()
    with person(reports) as cursor:
        long = before + "insert into sale values (101, 7, 1); commit; select pg_sleep(60)"
        with at_work(cursor, long):
            pause(reports)
            assert reports.refresh().outcome == "refreshed"

            assert reports.kinds() == {Kind.BUSY}


def test_who_does_not_tell_what_it_does_is_at_work(reports: Reports) -> None:
    reports.report()
    with person(reports) as cursor:
        cursor.execute("set track_activities = off")

        assert reports.kinds() == {Kind.BUSY}


def test_a_stranger_that_calls_itself_seeder_is_one_of_the_others(reports: Reports) -> None:
    reports.report()
    reports.bench.sql("create role stranger login superuser password 'stranger'")
    as_seeder = {"username": "stranger", "password": "stranger", "query": {"application_name": "seeder n1"}}
    try:
        with person(reports, **as_seeder) as cursor:
            cursor.execute("begin")
            cursor.execute("select 1")
            pause(reports)

            assert reports.kinds() == {Kind.BUSY}
    finally:
        reports.bench.sql("drop role stranger")


def test_a_procedure_that_commits_midway_is_noticed(reports: Reports) -> None:
    reports.report()
    reports.write(
        "create procedure creep() language plpgsql as $$ begin loop"
        " insert into sale values (101, 7, 1); commit; perform pg_sleep(0.05); end loop; end $$"
    )
    with person(reports) as cursor, at_work(cursor, "call creep()"):
        pause(reports)
        assert reports.kinds() >= {Kind.BUSY}
        reports.refresh()
        assert reports.kinds() >= {Kind.BUSY}


def test_who_waits_in_a_transaction_is_at_work(reports: Reports) -> None:
    reports.report()
    with person(reports) as cursor:
        cursor.execute("begin")
        cursor.execute("select 1")
        pause(reports)

        assert reports.kinds() == {Kind.BUSY}

        cursor.execute("rollback")
        assert reports.decision().unchanged, reports.decision()


def test_who_holds_a_lock_for_writing_is_noticed_at_once(
    reports: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "BUSY_SECONDS", 45.0)
    reports.report()
    with person(reports) as cursor:
        cursor.execute("begin")
        cursor.execute("insert into sale values (101, 7, 1)")

        assert str(reports.decision()) == "Not unchanged: sale is being written to."

        cursor.execute("rollback")


def test_sessions_that_can_not_be_seen_are_a_reason_and_a_grant_mends_it(reports: Reports) -> None:
    reports.report()
    reports.bench.sql("create role reader login password 'reader'; grant usage on schema reporting to reader")
    try:
        with reports.bench.platform.databases.session() as session:
            session.run_text("set role reader")
            hidden = sessions.others(session)
            session.run_text("reset role; grant pg_read_all_stats to reader; set role reader")
            seen = sessions.others(session)
            session.run_text("reset role")
    finally:
        reports.bench.sql("drop owned by reader; drop role reader")

    assert {why.kind for why in hidden.why} == {Kind.HIDDEN}
    assert seen == sessions.Others()


@pytest.mark.parametrize(
    ("on", "off"),
    [
        ("alter role current_user set track_counts = off", "alter role current_user reset track_counts"),
        (
            "create function uncounted() returns void language sql set track_counts = off as 'select'",
            "drop function uncounted()",
        ),
    ],
    ids=["role", "function"],
)
def test_writes_that_are_not_counted_prove_nothing(reports: Reports, on: str, off: str) -> None:
    reports.report()
    reports.write(on)
    try:
        assert reports.kinds() == {Kind.NOT_COUNTED}
    finally:
        reports.write(off)
    assert reports.decision().unchanged, reports.decision()


def test_counting_nothing_at_all_proves_nothing(reports: Reports) -> None:
    with reports.bench.platform.databases.session() as session:
        session.run_text("set track_counts = off")
        told = sessions.others(session)
        session.run_text("reset track_counts")

    assert {why.kind for why in told.why} == {Kind.NOT_COUNTED}
