"""Databases and broker databases that nobody has used yet, on servers that run already."""

import itertools
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
from redis import Redis
from sqlalchemy.engine import make_url

_database_numbers = itertools.count()


@contextmanager
def fresh_broker(redis_url: str) -> Iterator[str]:
    """An empty Redis database, another one than the last test's, whose workers may still be on their way."""
    number = next(_database_numbers) % 16
    url = make_url(redis_url).set(database=str(number)).render_as_string(hide_password=False)
    with Redis.from_url(url) as client:
        client.flushdb()
        yield url
        client.flushdb()


@contextmanager
def fresh_database(postgres_url: str, options: str = "") -> Iterator[str]:
    """A new, empty database on that server, made with these options; dropped afterwards."""
    name = f"t_{secrets.token_hex(6)}"
    server = make_url(postgres_url)
    maintenance = psycopg2.connect(server.set(drivername="postgresql").render_as_string(hide_password=False))
    try:
        maintenance.autocommit = True
        with maintenance.cursor() as cursor:
            cursor.execute(f"create database {name} template template0 {options}")
            try:
                yield server.set(database=name).render_as_string(hide_password=False)
            finally:
                cursor.execute(f"drop database {name} with (force)")
    finally:
        maintenance.close()
