"""Connections: what a session's verbs do, and that a broken connection costs no more than it must."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from sqlalchemy import Engine
from sqlalchemy.engine import make_url
from support.homes import FAST, ask_postgres, gone, new_home, serving

from seeder.config.urls import driver_url
from seeder.errors import DatabaseUnreachable
from seeder.postgres import databases as connecting
from seeder.postgres.application_names import IDLE_NAME
from seeder.postgres.databases import CLIENT_CHECK, KEEPALIVES, Databases
from seeder.postgres.refusals import refusal
from seeder.postgres.session import Session

POSTGRES_15 = Path("/usr/lib/postgresql/15/bin")
GERMAN_WORDS = Path("/usr/share/locale/de/LC_MESSAGES/postgres-15.mo")

NOWHERE = "postgresql://user@127.0.0.1:1/name"


@pytest.fixture(scope="module")
def url(module_database_url: str) -> str:
    ask_postgres(module_database_url, "create table numbers (n integer)")
    return module_database_url


@pytest.fixture
def databases(url: str) -> Iterator[Databases]:
    databases = Databases(url, {7: NOWHERE, 8: url})
    yield databases
    databases.dispose()
    ask_postgres(url, "truncate numbers")


def numbers(databases: Databases) -> list[int]:
    with databases.session() as session:
        return [row.n for row in session.rows("select n from public.numbers order by n")]


def in_transaction(session: Session, *statements: str, then: Exception | None = None) -> None:
    with session.transaction():
        for statement in statements:
            session.run(statement)
        if then:
            raise then


# --- a session -------------------------------------------------------------------------------------------


def test_rows_have_their_columns_names_and_are_those_of_the_last_statement(databases: Databases) -> None:
    with databases.session() as session:
        assert session.row("select 1 as a; select %(x)s::text as b", x="50% \"' \\").b == "50% \"' \\"
        assert session.row("select 1 where false") is None
        assert [row.n for row in session.rows("select n from generate_series(1, %(to)s) n", to=3)] == [
            1,
            2,
            3,
        ]


def test_a_statement_without_a_transaction_is_committed_at_once(databases: Databases, url: str) -> None:
    with databases.session() as session:
        assert session.run("insert into public.numbers select generate_series(1, %(to)s)", to=4) == 4
        assert ask_postgres(url, "select count(*) from numbers") == 4
        assert session.run("set work_mem to %(value)s", value="5MB") == -1


def test_a_text_that_fails_in_the_middle_leaves_nothing(databases: Databases) -> None:
    with databases.session() as session, pytest.raises(psycopg2.errors.DivisionByZero):
        session.run("insert into public.numbers values (1); select 1 / %(n)s", n=0)
    assert numbers(databases) == []


def test_text_of_others_may_hold_percent_signs(databases: Databases) -> None:
    with databases.session() as session:
        assert session.run_text("insert into public.numbers select 1 where '50%(n)s' like '50\\%%'") == 1


def test_what_goes_along_with_the_next_statement_shares_its_fate(databases: Databases) -> None:
    with databases.session() as session:
        session.with_next("insert into public.numbers values (%(n)s)", n=1)
        assert numbers(databases) == []
        assert session.run("insert into public.numbers values (%(n)s), (3)", n=2) == 1
        assert numbers(databases) == [1, 2, 3]
        assert session.run("insert into public.numbers values (4)") == 1
        session.with_next("select 1 / 0")
        with pytest.raises(psycopg2.errors.DivisionByZero):
            session.run("insert into public.numbers values (5)")
    assert numbers(databases) == [1, 2, 3, 4]


def test_a_transaction_is_kept_whole_or_not_at_all(databases: Databases) -> None:
    with databases.session() as session:
        with session.transaction():
            session.run("insert into public.numbers values (1)")
            assert numbers(databases) == []
        with pytest.raises(RuntimeError, match="enough"):
            in_transaction(session, "insert into public.numbers values (2)", then=RuntimeError("enough"))
        with pytest.raises(psycopg2.errors.DivisionByZero):
            in_transaction(session, "insert into public.numbers values (3)", "select 1 / 0")
        assert session.run("insert into public.numbers values (4)") == 1
    assert numbers(databases) == [1, 4]


def test_a_connection_lost_in_a_transaction_is_told_as_such_and_not_used_again(databases: Databases) -> None:
    with databases.session() as session:
        ends = f"select pg_terminate_backend({session.backend_pid})"
        with pytest.raises(psycopg2.OperationalError):
            in_transaction(session, "insert into public.numbers values (1)", ends, "select 1")
        assert session.closed
    assert numbers(databases) == []


# --- the pools -------------------------------------------------------------------------------------------


def test_a_connection_that_is_given_back_serves_the_next(databases: Databases) -> None:
    with databases.session() as first:
        pid = first.backend_pid
    with databases.session() as second:
        assert second.backend_pid == pid


def test_a_connection_left_in_a_transaction_is_not_passed_on(databases: Databases) -> None:
    with databases.session() as session:
        pid = session.backend_pid
        session.run_text("begin")
        session.run("insert into public.numbers values (1)")
    with databases.session() as session:
        assert session.backend_pid != pid
    assert numbers(databases) == []


def test_a_broken_connection_takes_its_idle_siblings_with_it(databases: Databases, url: str) -> None:
    sessions = [databases.open() for _ in range(3)]
    broken, *idle = [session.backend_pid for session in sessions]
    for session in sessions[1:]:
        databases.give_back(session)
    ask_postgres(url, f"select pg_terminate_backend({broken}, 5000)")
    with pytest.raises(psycopg2.OperationalError):
        sessions[0].run("select 1")
    databases.give_back(sessions[0])
    anew = [databases.open() for _ in range(3)]
    assert {session.backend_pid for session in anew}.isdisjoint(idle)
    for session in anew:
        databases.give_back(session)


def test_a_number_that_means_the_reporting_database_shares_its_pool(databases: Databases) -> None:
    assert databases.same_database(8)
    assert not databases.same_database(7)
    assert databases.engine(8) is databases.engine() is not databases.engine(7)
    assert None in databases
    assert 7 in databases
    assert 9 not in databases


def test_threads_that_come_at_once_share_one_pool(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    together, found = threading.Barrier(2, timeout=30), []

    def both_make_one(*facts: Any, make: Callable[..., Engine] = connecting._engine) -> Engine:
        together.wait()
        return make(*facts)

    monkeypatch.setattr(connecting, "_engine", both_make_one)
    databases = Databases(url)
    threads = [threading.Thread(target=lambda: found.append(databases.engine())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [databases.engine()] * 2


def test_a_thread_may_connect_while_everything_is_disposed(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    databases, met = Databases(url, {7: NOWHERE}), []
    first = databases.engine()
    closing = first.dispose

    def meanwhile() -> None:
        closing()
        met.append(databases.engine(7))

    monkeypatch.setattr(first, "dispose", meanwhile)
    databases.dispose()
    assert met == [databases.engine(7)]
    assert databases.engine() is not first
    databases.dispose()


FORK = """
import os, sys
from seeder.postgres.databases import Databases
databases = Databases(sys.argv[1])
with databases.session() as session:
    ours = session.backend_pid
child = os.fork()
if child == 0:
    with databases.session() as own:
        print("child", own.backend_pid != ours and own.row("select 1") == (1,), flush=True)
    os._exit(0)
os.waitpid(child, 0)
with databases.session() as session:
    print("parent", session.backend_pid == ours and session.row("select 1") == (1,))
"""


def test_a_forked_child_leaves_its_parents_connections_alone(url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORK, url], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.splitlines() == ["child True", "parent True"], done.stderr


def test_disposing_closes_every_idle_connection(url: str) -> None:
    databases = Databases(url)
    sessions = [databases.open() for _ in range(3)]
    pids = [session.backend_pid for session in sessions]
    for session in sessions:
        databases.give_back(session)
    databases.dispose()
    assert gone(*pids, within=20)
    with databases.session() as session:
        assert session.row("select 1") == (1,)
    databases.dispose()


def test_a_connection_notices_a_lost_peer_from_either_end(any_database_url: str) -> None:
    databases = Databases(any_database_url)
    with databases.session() as session:
        assert session.row("show client_connection_check_interval") == (CLIENT_CHECK,)
        assert session.row("show application_name") == (IDLE_NAME,)
    with databases.session() as session:
        parameters = session._driver.info.dsn_parameters
        assert {name: parameters[name] for name in KEEPALIVES} == {
            name: str(value) for name, value in KEEPALIVES.items()
        }
    databases.dispose()


# --- which database --------------------------------------------------------------------------------------


def test_a_database_out_of_reach_raises_the_drivers_own_error(databases: Databases) -> None:
    with pytest.raises(psycopg2.OperationalError, match="Connection refused"):
        databases.open(7)


@pytest.mark.parametrize(
    ("number", "which", "setting"),
    [
        (None, "The reporting database at", "SEEDER_DATABASE_URL"),
        (7, "Database 7 at", "SEEDER_DATABASES"),
    ],
)
def test_verifying_names_the_database_and_its_setting(number: int | None, which: str, setting: str) -> None:
    with pytest.raises(DatabaseUnreachable, match=rf"{which}.*127.0.0.1:1/name.*refused.*{setting} is right"):
        Databases(NOWHERE, {7: NOWHERE}).verify(number)


USED_UP = {
    "a role's": (
        "create role seeder_test_crowd login password 'crowd' connection limit 0",
        "too many connections for role",
        "drop role seeder_test_crowd",
    ),
    "a database's": (
        "create role seeder_test_crowd login password 'crowd'; alter database {name} connection limit 0",
        "too many connections for database",
        "drop role seeder_test_crowd; alter database {name} connection limit -1",
    ),
}


@pytest.mark.parametrize(("limit", "words", "undo"), USED_UP.values(), ids=USED_UP)
def test_verifying_tells_connections_that_are_used_up_from_a_server_that_is_down(
    any_database_url: str, limit: str, words: str, undo: str
) -> None:
    """That all of a server's are: tests/workers/test_used_up_connections.py."""
    url = make_url(any_database_url)
    ask_postgres(any_database_url, limit.format(name=url.database))
    try:
        crowd = url.set(username="seeder_test_crowd", password="crowd").render_as_string(hide_password=False)
        with pytest.raises(DatabaseUnreachable, match=rf"FATAL: +{words} .*\. Its connections are used up: "):
            Databases(crowd).verify()
    finally:
        ask_postgres(any_database_url, undo.format(name=url.database))


@pytest.fixture(scope="module")
def german_server() -> Iterator[str]:
    """A server that answers in German, where PostgreSQL's translations are installed. gettext takes the
    language from LANGUAGE in any locale but C."""
    if not POSTGRES_15.is_dir() or not GERMAN_WORDS.exists():
        pytest.skip(f"PostgreSQL 15 is not installed with its translations ({POSTGRES_15}, {GERMAN_WORDS})")
    with pytest.MonkeyPatch.context() as patch, new_home() as home:
        patch.setenv("LANGUAGE", "de")
        settings = FAST | {"lc_messages": "C.UTF-8", "superuser_reserved_connections": "1"}
        with serving(
            home, with_redis=False, postgres_binaries=POSTGRES_15, postgres_settings=settings
        ) as servers:
            assert servers.database_url is not None
            yield servers.database_url


GERMAN = {
    "no room": (
        "login connection limit 0",
        "crowd",
        "zu viele Verbindungen",
        "Its connections are used up: ",
    ),
    "another password": ("login", "wrong", "Passwort", "Check that it is running"),
}


@pytest.mark.parametrize(("options", "password", "words", "advice"), GERMAN.values(), ids=GERMAN)
def test_the_advice_does_not_depend_on_the_servers_language(
    german_server: str, options: str, password: str, words: str, advice: str
) -> None:
    ask_postgres(german_server, f"create role crowd password 'crowd' {options}")
    try:
        crowd = make_url(german_server).set(username="crowd", password=password)
        with pytest.raises(DatabaseUnreachable, match=rf"{words}.*{advice}"):
            Databases(crowd.render_as_string(hide_password=False)).verify()
    finally:
        ask_postgres(german_server, "drop role crowd")


def test_the_sqlstate_of_a_refusal_is_none_where_there_is_none(
    databases: Databases, postgres_url: str
) -> None:
    assert refusal({"dsn": "host=127.0.0.1 port=1"}, 1) is None
    assert refusal({"dsn": postgres_url.replace("+psycopg2", "")}, 5) is None
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        assert refusal({"host": "127.0.0.1", "port": silent.getsockname()[1]}, 0.2) is None
        assert time.monotonic() - began < 5


def test_verifying_says_nothing_of_a_database_that_answers(databases: Databases) -> None:
    databases.verify()
    databases.verify(8)


@pytest.mark.parametrize("name", ["postgresql", "postgres", "postgresql+psycopg", "postgresql+psycopg2"])
def test_a_url_of_any_driver_is_read_as_psycopg2s(name: str) -> None:
    assert driver_url(f"{name}://user:p%40ss@host/x").drivername == "postgresql+psycopg2"


def test_a_connection_outside_the_pool_is_closed_afterwards(databases: Databases) -> None:
    with databases.bare_connection() as connection:
        assert connection.info.dbname
        assert not connection.closed
    assert connection.closed
