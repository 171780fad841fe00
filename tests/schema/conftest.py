"""One database per PostgreSQL with the contract applied; what a test does to it is rolled back."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine, create_engine
from support.emptied import fresh_database

from seeder.config.urls import driver_url
from seeder.schema import apply


@pytest.fixture(scope="package", params=["pg18", "pg15"])
def applied_engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    server = request.getfixturevalue({"pg18": "postgres_url", "pg15": "postgres15_url"}[request.param])
    with fresh_database(server) as url:
        engine = create_engine(driver_url(url))
        with engine.connect() as connection:
            apply(connection, "reporting", "public.agency")
        yield engine
        engine.dispose()


@pytest.fixture
def connection(applied_engine: Engine) -> Iterator[Connection]:
    """In a transaction that is rolled back after the test."""
    with applied_engine.connect() as connection:
        yield connection
        connection.rollback()


@pytest.fixture
def engine(any_database_url: str) -> Iterator[Engine]:
    """Of an empty database of the test's own, for what has to be committed."""
    engine = create_engine(driver_url(any_database_url))
    yield engine
    engine.dispose()
