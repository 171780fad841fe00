"""The demo's data, loaded once per PostgreSQL; a test that changes it gets a copy."""

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import psycopg2
import pytest
from psycopg2 import extensions
from sqlalchemy.engine import make_url

from seeder.demo import load


@pytest.fixture(scope="session")
def loaded_18(postgres_url: str) -> Iterator[str]:
    """A database on the newest PostgreSQL with the demo's data; tests only read it."""
    yield from _loaded(postgres_url)


@pytest.fixture(scope="session")
def loaded_15(postgres15_url: str) -> Iterator[str]:
    """A database on the oldest PostgreSQL with the demo's data; tests only read it."""
    yield from _loaded(postgres15_url)


@pytest.fixture(scope="session", params=["loaded_18", "loaded_15"])
def loaded_url(request: pytest.FixtureRequest) -> str:
    """Each of the two in turn; a test that asks for it runs twice."""
    url: str = request.getfixturevalue(request.param)
    return url


@pytest.fixture
def loaded(loaded_url: str) -> Iterator[extensions.connection]:
    """A connection to the loaded database; whatever the test does is rolled back."""
    connection = psycopg2.connect(loaded_url)
    yield connection
    connection.rollback()
    connection.close()


@pytest.fixture
def copy_url(loaded_18: str) -> Iterator[str]:
    """A copy of the loaded database, to be changed at will."""
    with _database(loaded_18, str(make_url(loaded_18).database)) as url:
        yield url


def _loaded(server: str) -> Iterator[str]:
    with _database(server, "template0") as url:
        # By two at once, so that each test also stands for this: one loads, the other finds it done.
        with ThreadPoolExecutor(2) as threads:
            assert sorted(threads.map(_load_into, [url, url])) == [False, True]
        yield url


def _load_into(url: str) -> bool:
    with closing(psycopg2.connect(url)) as connection:
        return load(connection)


@contextmanager
def _database(server: str, template: str) -> Iterator[str]:
    name = f"t_demo_{secrets.token_hex(6)}"
    url = make_url(server).set(drivername="postgresql")
    maintenance = psycopg2.connect(url.set(database="postgres").render_as_string(hide_password=False))
    maintenance.autocommit = True
    with maintenance.cursor() as cursor:
        cursor.execute(f"create database {name} template {template}")
        try:
            yield url.set(database=name).render_as_string(hide_password=False)
        finally:
            cursor.execute(f"drop database {name} with (force)")
    maintenance.close()
