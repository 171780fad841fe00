"""Creates empty databases, on PostgreSQL and Redis servers that run already.

A database is looked over before it is dropped: whatever its tests did to workers and connections, nothing
that seeder only needs for a while may be left in it.
"""

import itertools
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
from redis import Redis
from sqlalchemy.engine import URL, make_url

#: Sessions of workers and pools that were told to end may be on their way out.
GOING_SECONDS = 15.0

#: Advisory locks live in sessions, and so do temporary objects unless a backend was killed.
STILL_THERE = """
select format('%s %s: %s', backend_type, pid, nullif(application_name, '')) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
union all
select format('%s lock of %s', locktype, pid) from pg_locks
where database = (select oid from pg_database where datname = current_database())
  and locktype = 'advisory'
union all
select format('prepared transaction %s', gid) from pg_prepared_xacts where database = current_database()
union all
select format('relation %s', relname) from pg_class
where relpersistence = 't' and relkind <> 't' or relname like 'seeder:%'
union all
select format('statistics %s', stxname) from pg_statistic_ext where stxname like 'seeder:%'
"""

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
                left = _left_in(server.set(drivername="postgresql", database=name))
                assert not left, f"left in the database: {left}"
            finally:
                cursor.execute(f"drop database {name} with (force)")
    finally:
        maintenance.close()


def _left_in(database: URL) -> list[str]:
    """What is still there after all have had the time to go."""
    deadline = time.monotonic() + GOING_SECONDS
    connection = psycopg2.connect(database.render_as_string(hide_password=False))
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            while True:
                cursor.execute(STILL_THERE)
                left = [row[0] for row in cursor.fetchall()]
                if not left or time.monotonic() > deadline:
                    return left
                time.sleep(0.05)
    finally:
        connection.close()
