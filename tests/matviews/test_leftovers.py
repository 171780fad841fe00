"""Copies that dead runs left: known by their name, dropped when nobody works on them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.contract import Platform

from seeder.matviews.locks import lock
from seeder.matviews.locks.lock_key import key_of
from seeder.matviews.swap.copy_names import copy_of, key_of_copy
from seeder.matviews.swap.leftovers import discard_leftovers
from seeder.postgres.session import LOCK_TIMEOUT
from seeder.sql.names import MatviewName

SALES = MatviewName("reporting", "sales")
COPY = copy_of(SALES).name


def made(platform: Platform, name: str, query: str = "select 1 as one") -> None:
    platform.sql(f'create materialized view reporting."{name}" as {query}')


def left(platform: Platform) -> list[str]:
    return [
        row[0]
        for row in platform.sql("""
            select relname from pg_class where relkind = 'm' and starts_with(relname, 'seeder:') order by 1
        """)
    ]


def discarded(platform: Platform) -> list[str]:
    with platform.databases.session() as session:
        return [name.name for name in discard_leftovers(session)]


@given(name=st.builds(MatviewName, st.just("reporting"), st.text(min_size=1, max_size=40)))
def test_a_copys_name_tells_the_key_of_its_matviews_lock(name: MatviewName) -> None:
    assert key_of_copy(copy_of(name).name) == key_of(name)


@pytest.mark.parametrize(
    "name", ["sales", "seeder:copy:", "seeder:copy:12", f"{COPY}0", COPY.upper(), f"{COPY}\n"]
)
def test_other_names_are_no_copies(name: str) -> None:
    assert key_of_copy(name) is None


def test_a_copy_is_dropped_with_the_one_on_top(any_platform: Platform) -> None:
    on_top = copy_of(MatviewName("reporting", "on_top")).name
    made(any_platform, COPY)
    made(any_platform, on_top, f'select * from reporting."{COPY}"')
    assert discarded(any_platform)
    assert left(any_platform) == []


def test_a_copy_that_a_run_works_on_stays(platform: Platform) -> None:
    made(platform, COPY)
    with platform.databases.session() as session:
        assert lock.try_lock(session, key_of(SALES))
        assert discarded(platform) == []
        lock.unlock(session, key_of(SALES))
    assert left(platform) == [COPY]
    assert discarded(platform) == [COPY]


def test_the_lock_is_free_again_afterwards(platform: Platform) -> None:
    made(platform, COPY)
    with platform.databases.session() as session:
        assert discard_leftovers(session)
        with platform.databases.session() as another:
            assert lock.try_lock(another, key_of(SALES))
            lock.unlock(another, key_of(SALES))
        assert session.row("show lock_timeout").lock_timeout == LOCK_TIMEOUT


def test_somebody_elses_matview_of_a_like_name_stays(platform: Platform) -> None:
    made(platform, "seeder:copy:mine")
    made(platform, "seeder:copies")
    assert discarded(platform) == []
    assert left(platform) == ["seeder:copies", "seeder:copy:mine"]


def test_a_copy_that_is_read_or_used_waits_for_the_next_time(platform: Platform) -> None:
    made(platform, COPY)
    with platform.databases.session() as reader, reader.transaction():
        reader.run_text(f'select from reporting."{COPY}"')
        assert discarded(platform) == []
    platform.sql(f'create view reporting.uses as select * from reporting."{COPY}"')
    assert discarded(platform) == []
    platform.sql("drop view reporting.uses")
    assert discarded(platform) == [COPY]


def test_another_roles_copy_is_dropped_in_its_name(platform: Platform) -> None:
    """As it is deployed: a login without rights of its own, which inherits none either."""
    platform.sql("""
        create role seeder_test_login noinherit;
        create role seeder_test_gone;
        grant seeder_test_gone to seeder_test_login;
        grant create, usage on schema reporting to seeder_test_gone
    """)
    made(platform, COPY)
    platform.sql(f'alter materialized view reporting."{COPY}" owner to seeder_test_gone')
    try:
        with platform.databases.session() as session:
            session.run_text("set session authorization seeder_test_login")
            assert [name.name for name in discard_leftovers(session)] == [COPY]
            session.run_text("reset session authorization")
    finally:
        platform.sql("drop owned by seeder_test_gone; drop role seeder_test_gone, seeder_test_login")
