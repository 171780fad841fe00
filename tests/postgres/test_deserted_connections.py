"""A connection that the server ended while nobody used it is replaced before anybody does, and one that broke
leaves nothing behind."""

import gc
import time
from collections.abc import Iterator

import pytest
from support.homes import ask_postgres

from seeder.postgres.databases import Databases

TERMINATE = (
    "select count(pg_terminate_backend(pid, 5000)) from pg_stat_activity where application_name = 'seeder'"
)


OPEN = "select count(*) from pg_stat_activity where application_name = 'seeder'"


@pytest.fixture
def databases(any_database_url: str) -> Iterator[Databases]:
    databases = Databases(any_database_url)
    yield databases
    databases.dispose()


def test_a_terminated_idle_connection_costs_its_next_user_nothing(
    databases: Databases, any_database_url: str
) -> None:
    with databases.session() as one, databases.session() as other:
        before = {one.backend_pid, other.backend_pid}
    assert ask_postgres(any_database_url, TERMINATE) == 2
    with databases.session() as one, databases.session() as other:
        assert one.row("select 1 as answer").answer == 1
        assert other.row("select 1 as answer").answer == 1
        assert not before & {one.backend_pid, other.backend_pid}


def test_a_connection_at_rest_is_used_again(databases: Databases) -> None:
    with databases.session() as session:
        before = session.backend_pid
        session.run("do $$ begin raise notice 'heard'; end $$")
    with databases.session() as session:
        assert session.backend_pid == before


@pytest.fixture
def no_collector() -> Iterator[None]:
    """As in a process at rest."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
def test_a_connection_that_was_in_use_when_another_broke_is_not_left_open(
    databases: Databases, any_database_url: str
) -> None:
    with databases.session() as others, databases.session():
        with databases.session() as broken:
            broken.close()
        assert others.row("select 1 as answer").answer == 1
    deadline = time.monotonic() + 30
    # A backend takes a moment to end.
    while (left := ask_postgres(any_database_url, OPEN)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert left == 0
    with databases.session() as session:
        before = session.backend_pid
    with databases.session() as session:
        assert session.backend_pid == before
    assert ask_postgres(any_database_url, OPEN) == 1
