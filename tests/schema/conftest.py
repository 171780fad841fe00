"""One database per PostgreSQL with the contract applied; what a test does to it is rolled back."""

import secrets
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.engine import make_url

from seeder.schema import apply

AGENCY_TABLE = "public.agency"


def engine_of(url: str, **options: str) -> Engine:
    return create_engine(make_url(url).set(drivername="postgresql+psycopg2"), **options)


@pytest.fixture(scope="package", params=["pg18", "pg15"])
def applied_engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    server = request.getfixturevalue({"pg18": "postgres_url", "pg15": "postgres15_url"}[request.param])
    name = f"t_{secrets.token_hex(6)}"
    maintenance = engine_of(server, isolation_level="AUTOCOMMIT")
    with maintenance.connect() as connection:
        connection.execute(text(f"create database {name} template template0"))
        engine = engine_of(make_url(server).set(database=name).render_as_string(hide_password=False))
        with engine.connect() as inside:
            apply(inside, "reporting", AGENCY_TABLE)
        yield engine
        engine.dispose()
        connection.execute(text(f"drop database {name} with (force)"))
    maintenance.dispose()


@pytest.fixture
def connection(applied_engine: Engine) -> Iterator[Connection]:
    """In a transaction that is rolled back after the test."""
    with applied_engine.connect() as connection:
        yield connection
        connection.rollback()


@pytest.fixture
def engine(any_database_url: str) -> Iterator[Engine]:
    """Of an empty database of the test's own, for what has to be committed."""
    engine = engine_of(any_database_url)
    yield engine
    engine.dispose()
