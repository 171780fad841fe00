"""What the other tests rely on: the servers of conftest.py."""

import psycopg2
from redis import Redis
from sqlalchemy import create_engine, text


def test_each_test_gets_an_empty_database_on_both_servers(any_database_url: str) -> None:
    engine = create_engine(any_database_url)
    with engine.connect() as connection:
        tables = connection.scalar(
            text("select count(*) from pg_catalog.pg_tables where schemaname = 'public'")
        )
    engine.dispose()
    assert tables == 0


def test_the_two_servers_are_of_the_two_versions(postgres_url: str, postgres15_url: str) -> None:
    versions = []
    for url in (postgres_url, postgres15_url):
        connection = psycopg2.connect(url.replace("+psycopg2", ""))
        versions.append(connection.server_version // 10_000)
        connection.close()
    assert versions == [18, 15]


def test_each_test_gets_an_empty_redis_database(broker_url: str, redis_url: str) -> None:
    with Redis.from_url(broker_url) as client:
        assert client.dbsize() == 0
        client.set("left by", "a test")
