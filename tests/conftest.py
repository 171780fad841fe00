"""The world the tests live in: real servers, started once; each test gets a database of its own."""

import os
import secrets
from collections.abc import Iterator

import psycopg2
import pytest
from sqlalchemy.engine import make_url


@pytest.fixture(scope="session")
def postgres_url() -> str:
    """The maintenance database of the server the tests run on."""
    return os.environ["SEEDER_TEST_POSTGRES_URL"]


@pytest.fixture
def database_url(postgres_url: str) -> Iterator[str]:
    """A fresh, empty database; dropped afterwards."""
    name = f"t_{secrets.token_hex(6)}"
    server = make_url(postgres_url)
    maintenance = psycopg2.connect(server.set(drivername="postgresql").render_as_string(hide_password=False))
    maintenance.autocommit = True
    with maintenance.cursor() as cursor:
        cursor.execute(f"create database {name} template template0")
        yield server.set(database=name).render_as_string(hide_password=False)
        cursor.execute(f"drop database {name} with (force)")
    maintenance.close()
