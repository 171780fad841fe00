"""Who works on a matview, and whom that one waits for."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from psycopg2.errors import QueryCanceled
from support.workbench import Bench

from seeder.matviews.insight import activity
from seeder.matviews.insight.activity import Person, Worker
from seeder.matviews.locks.lock_key import key_of
from seeder.postgres.application_names import application_name
from seeder.sql.names import MatviewName

SALES = MatviewName("reporting", "sales")
NAME = application_name("20261124T0200Z.custom-1", 0)


def seen(what: str, look: Callable[[], Any], seconds: float = 30) -> Any:
    """What ``look`` returns once that is true."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"after {seconds} s still not: {what}"
        time.sleep(0.02)
    return found


@contextmanager
def at_work(bench: Bench, statement: str) -> Iterator[None]:
    """A session in a run's name that holds the matview's lock and executes the statement meanwhile."""
    with bench.platform.databases.bare_connection() as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute("select pg_advisory_lock(%s)", (key_of(SALES),))
        cursor.execute("select set_config('application_name', %s, false)", (NAME,))

        def work() -> None:
            with suppress(QueryCanceled):
                cursor.execute(statement)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            connection.cancel()
            thread.join(30)
            assert not thread.is_alive()


@pytest.fixture
def made(bench: Bench) -> Bench:
    bench.sql("create materialized view reporting.sales as select * from public.sale")
    return bench


def worker(bench: Bench) -> Worker | None:
    with bench.platform.databases.session() as session:
        return activity.working_session(session, SALES)


def test_nobody_works_on_a_matview_whose_lock_is_free(made: Bench) -> None:
    assert worker(made) is None


def test_a_session_at_work_is_seen_with_what_it_is_at(made: Bench) -> None:
    with at_work(made, "select pg_sleep(60)"):
        found = seen("it sleeps", lambda: (it := worker(made)) and it.wait_event == "PgSleep" and it)
        assert (found.person.application_name, found.person.state) == (NAME, "active")
        assert (found.wait_event_type, found.awaited, found.blockers, found.step) == (
            "Timeout",
            None,
            (),
            None,
        )
        assert found.statement_since <= found.now


def test_a_session_that_waits_for_a_lock_is_seen_with_who_has_it(made: Bench) -> None:
    with made.platform.databases.bare_connection() as reader, reader.cursor() as cursor:
        cursor.execute("set application_name to 'a report in Excel'")
        cursor.execute("\n  select count(*)\n  from reporting.sales")
        with at_work(made, "refresh materialized view reporting.sales"):
            found = seen("it waits", lambda: (it := worker(made)) and it.awaited and it)
            assert (found.awaited.mode, found.awaited.relation) == (
                "AccessExclusiveLock", "reporting.sales",
            )  # fmt: skip
            assert found.awaited.since is not None
            (blocker,) = found.blockers
            assert (blocker.pid, blocker.application_name, blocker.state) == (
                reader.info.backend_pid, "a report in Excel", "idle in transaction",
            )  # fmt: skip
            assert blocker.first_line == "select count(*)"
            with made.platform.databases.session() as session:
                oid = session.row("select 'reporting.sales'::regclass::oid as oid").oid
                first, second = activity.sessions_at(session, oid)
            assert (first.held, first.awaited) == (("AccessShareLock",), None)
            assert (second.held, second.awaited) == ((), "AccessExclusiveLock")


def test_progress_is_told_where_postgresql_tells_it(made: Bench) -> None:
    # An expression that waits keeps CREATE INDEX where it can be looked at.
    made.sql("""
        create function public.slowly(id integer) returns integer language plpgsql immutable as
        $$ begin perform pg_sleep(0.3); return id; end $$
    """)
    with at_work(made, "create index slow_idx on reporting.sales (public.slowly(id))"):
        step = seen("an index is made", lambda: (it := worker(made)) and it.step)
        assert step.what.startswith("making the index")
        assert step.phase.startswith(("building index", "initializing"))
        assert step.share is None or 0 <= step.share <= 1


@pytest.mark.parametrize(
    ("query", "line"),
    [
        ("\n  select 1\n from x", "select 1"),
        ("", ""),
        ("alter role ada password 'hidden' valid until 'x'", "alter role ada password '***'"),
        ("create user ada with PASSWORD   E'hid\\'den'", "create user ada with PASSWORD   '***'"),
        ("alter role ada password $$hidden$$", "alter role ada password '***'"),
        ("select password from x", "select password from x"),
    ],
)
def test_a_query_is_told_by_its_first_line_without_a_password(query: str, line: str) -> None:
    assert Person(1, "", "", "", None, query).first_line == line


def test_how_far_a_refresh_is_can_be_told_by_its_locks(made: Bench) -> None:
    made.sql("""
        create table public.pace as select 0.0::float8 as seconds;
        create function public.slowly(id integer) returns integer language plpgsql immutable as
        $$ begin perform pg_catalog.pg_sleep((select seconds from public.pace)); return id; end $$;
        create materialized view reporting.slow as select id, public.slowly(id) as n from public.sale;
        create unique index slow_key on reporting.slow (id);
        create index slow_idx on reporting.slow (public.slowly(id));
        drop materialized view reporting.sales;
        alter materialized view reporting.slow rename to sales;
        update public.pace set seconds = 0.05
    """)

    def step() -> tuple[str, str] | None:
        found = worker(made)
        return found and found.step and (found.step.what, found.step.phase)

    with at_work(made, "refresh materialized view reporting.sales"):
        seen("the query is executed", lambda: step() == ("refreshing plain", "executing the query"))
        seen("an index is made", lambda: step() == ("refreshing plain", "making index 2 of 2"))
    comparing = "executing the query, or comparing its rows with those there"
    with at_work(made, "refresh materialized view concurrently reporting.sales"):
        seen("the query is executed", lambda: step() == ("refreshing concurrently", comparing))


def test_a_concurrent_refresh_that_writes_says_so(made: Bench) -> None:
    made.sql("""
        create unique index sales_key on reporting.sales (id);
        update public.sale set amount = 0 where id < 50
    """)
    with made.platform.databases.bare_connection() as connection, connection.cursor() as cursor:
        cursor.execute("select pg_advisory_lock(%s)", (key_of(SALES),))
        cursor.execute("refresh materialized view concurrently reporting.sales")
        found = worker(made)
    assert found
    assert found.step
    assert (found.step.what, found.step.phase) == ("refreshing concurrently", "writing what has changed")
