"""A connection that the server ended while nobody used it is replaced before anybody does."""

from collections.abc import Iterator

import pytest
from homes import ask_postgres

from seeder.database import Databases

TERMINATE = (
    "select count(pg_terminate_backend(pid, 5000)) from pg_stat_activity where application_name = 'seeder'"
)


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
