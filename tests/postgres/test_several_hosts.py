"""Several hosts in a URL, written libpq's way or SQLAlchemy's: the one that answers as it should is taken."""

import socket
from collections.abc import Iterator

import pytest
from pydantic import ValidationError
from sqlalchemy.engine import make_url
from support.contract import platform_on
from support.homes import ask_postgres
from support.running import run

from seeder.config.settings import Settings
from seeder.config.urls import driver_url, hosts_of, masked
from seeder.errors import DatabaseUnreachable
from seeder.postgres.databases import Databases

SPELLINGS = {
    "libpq": "postgresql://u:S3cr,et@a:5432,b:5433/db?target_session_attrs=read-write",
    "libpq, ports left out": "postgresql://u:S3cr,et@a,b:5433/db?target_session_attrs=read-write",
    "libpq's parameters": "postgresql://u:S3cr,et@/db?host=a,b&port=5432,5433&target_session_attrs=read-write",
    "SQLAlchemy": "postgresql://u:S3cr,et@/db?host=a:5432&host=b:5433&target_session_attrs=read-write",
    "SQLAlchemy, another driver": "postgres+psycopg://u:S3cr,et@/db?host=a&host=b:5433&target_session_attrs=read-write",
}


@pytest.mark.parametrize("url", SPELLINGS.values(), ids=SPELLINGS)
def test_however_they_are_written_they_mean_the_same_and_show_no_password(url: str) -> None:
    parsed = driver_url(url)
    assert hosts_of(parsed) == [("a", "5432"), ("b", "5433")]
    assert (parsed.username, parsed.password, parsed.database) == ("u", "S3cr,et", "db")
    shown = "postgresql://u:***@a:5432,b:5433/db?target_session_attrs=read-write"
    assert masked(url) == masked(parsed) == Databases(url).url() == shown
    databases = Databases(url, {7: SPELLINGS["libpq"], 8: url.replace("b", "c")})
    assert databases.same_database(7)
    assert not databases.same_database(8)
    assert Settings(database_url=url).database_url == url


def test_the_order_in_which_they_are_tried_makes_no_other_database() -> None:
    databases = Databases(
        "postgresql://u@a,b/db", {7: "postgresql://u@b,a/db", 8: "postgresql://u@b,a/db?port=1"}
    )
    assert databases.same_database(7)


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("postgresql://u@[::1]:5433,[fe80::1]/db", [("::1", "5433"), ("fe80::1", "5432")]),
        ("postgresql://a,b", [("a", "5432"), ("b", "5432")]),
        ("postgresql://a,b?connect_timeout=2", [("a", "5432"), ("b", "5432")]),
        ("postgresql://u@/db?host=a,b&port=5433", [("a", "5433"), ("b", "5433")]),
        ("postgresql://u@/db?host=/tmp,b", [("/tmp", "5432"), ("b", "5432")]),
        ("postgresql://u@host/db", []),
        ("postgresql://u@/db?host=/tmp", []),
    ],
)
def test_every_host_has_a_port(url: str, hosts: list[tuple[str, str]]) -> None:
    assert hosts_of(driver_url(url)) == hosts
    assert hosts_of(driver_url(masked(url))) == hosts


@pytest.mark.parametrize(
    "url", ["postgresql://u:p,w/x@host/db", "postgresql://u:p@x,y@host/db", "postgresql://u:1,x/y@host/db"]
)
def test_a_comma_in_a_password_is_no_second_host(url: str) -> None:
    assert hosts_of(driver_url(url)) == []


@pytest.mark.parametrize(
    "url", ["postgresql://u:p@a:x,b:y/db", "postgresql://u:p@/db?host=a,b&port=1,2,3", "mysql://u:p@a,b/db"]
)
def test_hosts_that_cant_be_read_are_a_setting_that_cant_be_used(url: str) -> None:
    with pytest.raises(ValidationError, match=r"SEEDER_DATABASE_URL|database_url"):
        Settings(database_url=url)


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def pair(postgres_url: str, postgres15_url: str) -> Iterator[tuple[str, str]]:
    """Two servers with a role and a database of one name, as a primary and a standby have."""
    servers = [make_url(url).set(drivername="postgresql") for url in (postgres_url, postgres15_url)]
    shown = [one.render_as_string(hide_password=False) for one in servers]
    for url in shown:
        ask_postgres(url, "create role twin login superuser password 'S3cret'")
        ask_postgres(url, "create database of_both owner twin")
    try:
        yield tuple(f"{one.host}:{one.port}" for one in servers)  # type: ignore[misc]
    finally:
        for url in shown:
            ask_postgres(url, "drop database of_both with (force)")
            ask_postgres(url, "drop role twin")


def test_a_server_that_is_down_and_one_that_is_read_only_are_passed_over(
    pair: tuple[str, str], postgres_url: str, postgres15_url: str
) -> None:
    new, old = pair
    url = f"postgresql://twin:S3cret@127.0.0.1:{closed_port()},{old},{new}/of_both?target_session_attrs=read-write"
    read_only = "alter database of_both {} default_transaction_read_only"
    ask_postgres(postgres15_url, read_only.format("set") + " = on")
    with platform_on(url) as platform:
        platform.custom(1)
        assert run(platform, 1).status == "success"
        with platform.databases.session() as session:
            assert session.server_version >= 180000
        # The other one is promoted, and this one goes.
        ask_postgres(postgres15_url, read_only.format("reset"))
        ask_postgres(postgres_url, read_only.format("set") + " = on")
        ask_postgres(
            postgres_url,
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'of_both'",
        )
        platform.databases.dispose()
        with platform.databases.session() as session:
            assert session.server_version < 160000
        with platform.databases.bare_connection() as bare:
            assert bare.server_version < 160000


def test_none_that_answers_is_told_in_one_line_without_the_password() -> None:
    one, other = closed_port(), closed_port()
    databases = Databases(f"postgresql://u:S3cret@127.0.0.1:{one},127.0.0.1:{other}/db")
    with pytest.raises(DatabaseUnreachable) as unreachable:
        databases.verify()
    said = str(unreachable.value)
    assert f"postgresql://u:***@127.0.0.1:{one},127.0.0.1:{other}/db can't be reached" in said
    assert "S3cret" not in said
    assert "\n" not in said
