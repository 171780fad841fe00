"""Starting, joining, finding and stopping the embedded servers, and who gets in."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg2
import pytest
from redis import AuthenticationError, Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry
from sqlalchemy.engine import make_url
from support.homes import FAST, ask_postgres, new_home, ping, processes_in, serving

from seeder import embedded
from seeder.config.settings import load_settings
from seeder.embedded import server as server_module
from seeder.errors import NothingRunning, ServerFailed

pytestmark = pytest.mark.usefixtures("clean_environment")


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("SEEDER_DATABASE_URL", "SEEDER_BROKER_URL", "SEEDER_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def servers() -> Iterator[embedded.Servers]:
    """Running servers, for tests that only look at them."""
    with new_home() as folder, serving(folder) as started:
        yield started


def urls(servers: embedded.Servers) -> tuple[str, str]:
    assert servers.database_url is not None
    assert servers.broker_url is not None
    return servers.database_url, servers.broker_url


def test_the_database_is_ready_for_use(servers: embedded.Servers) -> None:
    url, _ = urls(servers)
    assert url.startswith("postgresql+psycopg2://seeder:")
    assert make_url(url).database == "seeder"
    assert ask_postgres(url, "show max_connections") == "200"
    assert ask_postgres(url, "show io_method") == "sync"
    ask_postgres(url, "create extension if not exists pg_stat_statements")
    assert ask_postgres(url, "select count(*) > 0 from pg_stat_statements")
    assert ask_postgres(url, "select upper('é')") == "É"


def test_the_broker_keeps_what_is_queued(servers: embedded.Servers) -> None:
    _, url = urls(servers)
    with Redis.from_url(url) as client:
        for name, value in {"appendonly": "yes", "maxmemory-policy": "noeviction", "save": ""}.items():
            assert client.config_get(name) == {name: value}


@pytest.mark.parametrize("password", [None, "wrong"])
@pytest.mark.parametrize("user", ["seeder", "postgres", "root"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_postgresql_lets_nobody_in_without_the_password(
    servers: embedded.Servers, host: str, user: str, password: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSFILE", "/nonexistent")
    assert servers.postgres is not None
    with pytest.raises(psycopg2.OperationalError, match=r"password|authentication"):
        psycopg2.connect(
            host=host, port=servers.postgres.port, user=user, password=password, dbname="postgres"
        )


@pytest.mark.parametrize("password", [None, "wrong"])
def test_redis_lets_nobody_in_without_the_password(servers: embedded.Servers, password: str | None) -> None:
    assert servers.redis is not None
    with (
        Redis("127.0.0.1", servers.redis.port, password=password, retry=Retry(NoBackoff(), 0)) as client,
        pytest.raises((AuthenticationError, RedisConnectionError)),
    ):
        client.ping()


def test_the_servers_listen_on_loopback_only(servers: embedded.Servers) -> None:
    for server in servers.all:
        process = psutil.Process(server.pid)
        listening = [found.laddr for found in process.net_connections() if found.status == "LISTEN"]
        assert {(address.ip, address.port) for address in listening} == {("127.0.0.1", server.port)}
        assert [found for found in process.net_connections("unix") if found.laddr] == []


def test_no_password_can_be_read_by_others(servers: embedded.Servers) -> None:
    password = make_url(urls(servers)[0]).password
    assert isinstance(password, str)
    holders = [
        path for path in servers.home.rglob("*") if path.is_file() and password.encode() in path.read_bytes()
    ]
    assert holders
    for path in holders:
        assert path.stat().st_mode & 0o077 == 0, path
    for server in servers.all:
        assert server.folder.stat().st_mode & 0o777 == 0o700
        assert server.log.stat().st_mode & 0o077 == 0
        for pid in (server.pid, server.keeper):
            assert password not in " ".join(psutil.Process(pid).cmdline())


#: Tries, without any password, whatever another account could try; prints what worked.
INTRUDER = r"""
import pathlib, socket, subprocess, sys
home, postgres, redis = sys.argv[1], *map(int, sys.argv[2:])
for path in (home, *(f"{home}/{name}" for name in (
    "embedded.json", "postgres.json", "redis.json", "postgres.log", "redis.log", "postgres/PG_VERSION"
))):
    try:
        print("read", path, list(pathlib.Path(path).iterdir()) if path == home else open(path).read())
    except OSError:
        pass
with socket.create_connection(("127.0.0.1", redis)) as connection:
    connection.sendall(b"CONFIG GET requirepass\r\n")
    answer = connection.recv(100)
    if not answer.startswith(b"-NOAUTH"):
        print("redis", answer)
for user in ("seeder", "postgres", "nobody"):
    command = ["psql", "-w", "-h", "127.0.0.1", "-p", str(postgres), "-U", user, "-c", "select 1", "postgres"]
    if subprocess.run(command, capture_output=True).returncode == 0:
        print("postgres", user)
print("tried")
"""


def test_another_account_of_the_machine_gets_neither_in_nor_at_the_data(
    servers: embedded.Servers, nobody: str
) -> None:
    if shutil.which("psql") is None:
        pytest.skip("there is no psql")
    assert servers.postgres is not None
    assert servers.redis is not None
    done = subprocess.run(
        [
            "/usr/bin/python3",
            "-c",
            INTRUDER,
            *map(str, (servers.home, servers.postgres.port, servers.redis.port)),
        ],
        cwd="/",
        user=nobody,
        group="nogroup",
        extra_groups=[],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("tried\n", "")


def test_as_root_the_servers_run_as_an_existing_other_account(servers: embedded.Servers) -> None:
    if os.geteuid() != 0:
        pytest.skip("not root")
    for server in servers.all:
        assert psutil.Process(server.pid).username() in ("postgres", "nobody")


def test_the_second_to_start_joins_and_does_not_stop_them(servers: embedded.Servers) -> None:
    joined = embedded.start(servers.home)
    assert all(server.joined for server in joined.all)
    assert urls(joined) == urls(servers)
    embedded.stop(joined)
    assert ask_postgres(urls(servers)[0]) == 1
    assert ping(urls(servers)[1])


def test_other_commands_find_the_running_servers(
    servers: embedded.Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = embedded.running(servers.home)
    assert found == servers
    settings = load_settings(home=servers.home)
    assert embedded.endpoints(settings) == embedded.Endpoints(*urls(servers))
    monkeypatch.chdir(servers.home.parent)
    assert embedded.endpoints(load_settings(home=Path("home"))) == embedded.Endpoints(*urls(servers))


def test_a_configured_server_comes_before_the_embedded_one(servers: embedded.Servers) -> None:
    settings = load_settings(home=servers.home, broker_url="redis://elsewhere:6379/0")
    assert embedded.endpoints(settings) == embedded.Endpoints(urls(servers)[0], "redis://elsewhere:6379/0")
    both = load_settings(
        home=Path("absent"), broker_url="redis://elsewhere", database_url="postgresql://elsewhere/x"
    )
    assert embedded.endpoints(both) == embedded.Endpoints("postgresql://elsewhere/x", "redis://elsewhere")


def test_where_nothing_runs_the_two_ways_out_are_named(home: Path) -> None:
    assert embedded.running(home) is None
    with pytest.raises(NothingRunning, match=r"SEEDER_DATABASE_URL is not set .* `seeder up`, or set"):
        embedded.endpoints(load_settings(home=home))
    with pytest.raises(NothingRunning, match="SEEDER_BROKER_URL is not set"):
        embedded.endpoints(load_settings(home=home, database_url="postgresql://elsewhere/x"))
    assert not home.exists()


def test_only_what_is_asked_for_is_started(used_home: Path) -> None:
    with serving(used_home, with_postgres=False) as servers:
        assert servers.database_url is None
        found = embedded.running(used_home)
        assert found is not None
        assert found.postgres is None
        with serving(used_home) as both:
            assert [server.joined for server in both.all] == [False, True]


def test_the_second_start_finds_what_the_first_left(used_home: Path) -> None:
    with serving(used_home) as first:
        ask_postgres(urls(first)[0], "create table left_by_the_first as select 42 as answer")
        with Redis.from_url(urls(first)[1]) as client:
            client.set("kept", "42")
    assert embedded.running(used_home) is None
    with serving(used_home) as second:
        assert urls(second) == urls(first), "the port and the password stay the same where they can"
        assert ask_postgres(urls(second)[0], "select answer from left_by_the_first") == 42
        with Redis.from_url(urls(second)[1]) as client:
            assert client.get("kept") == b"42"


def test_a_port_that_was_taken_meanwhile_is_chosen_around(used_home: Path) -> None:
    with serving(used_home) as first:
        ports = [server.port for server in first.all]
    with (
        socket.create_server(("127.0.0.1", ports[0])),
        socket.create_server(("127.0.0.1", ports[1])),
        serving(used_home) as second,
    ):
        assert all(server.port not in ports for server in second.all)
        assert ask_postgres(urls(second)[0]) == 1
        assert ping(urls(second)[1])


def test_a_port_taken_between_choice_and_start_is_tried_again(
    used_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose = server_module._ports
    with socket.create_server(("127.0.0.1", 0)) as taken:
        busy = taken.getsockname()[1]
        monkeypatch.setattr(server_module, "_ports", lambda *about: iter([busy, *choose(*about)]))
        with serving(used_home) as servers:
            assert busy not in [server.port for server in servers.all]
            assert ask_postgres(urls(servers)[0]) == 1
            assert ping(urls(servers)[1])


def test_another_server_of_the_same_password_is_not_taken_for_ours(
    copied_home: Path, made_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose = server_module._ports
    with serving(made_home) as others:
        foreign = {server.name: server.port for server in others.all}
        monkeypatch.setattr(
            server_module, "_ports", lambda place, name: iter([foreign[name], *choose(place, name)])
        )
        with serving(copied_home) as own:
            assert all(server.port != foreign[server.name] for server in own.all)


def test_a_server_that_cannot_start_is_one_error_with_the_end_of_its_log(copied_home: Path) -> None:
    (copied_home / "postgres" / "postgresql.conf").write_text("nonsense = 1\n")
    with pytest.raises(ServerFailed) as failure:
        embedded.start(copied_home)
    message = str(failure.value)
    assert message.startswith("The embedded PostgreSQL did not start: it ended with exit code 1.")
    assert str(copied_home / "postgres.log") in message
    assert 'unrecognized configuration parameter "nonsense"' in message


def test_when_the_second_server_fails_the_first_is_stopped(copied_home: Path) -> None:
    for manifest in copied_home.glob("*/appendonlydir/appendonly.aof.manifest"):
        manifest.write_text("nonsense\n")
    with pytest.raises(ServerFailed, match="embedded Redis did not start"):
        embedded.start(copied_home, postgres_settings=FAST)
    assert processes_in(copied_home) == []
    assert embedded.running(copied_home) is None


def test_an_interrupted_first_start_is_begun_again(home: Path) -> None:
    (home / "postgres.new").mkdir(parents=True)
    home.chmod(0o711)
    (home / "postgres.new" / "half").write_text("made")
    with serving(home, with_redis=False) as servers:
        assert servers.database_url is not None
        assert ask_postgres(servers.database_url) == 1


def test_without_a_usable_redis_server_on_the_path_valkey_is_run(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "redis-server"
    broken.write_text("#!/bin/sh\necho nothing of use\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with serving(home, with_postgres=False) as servers:
        assert servers.redis is not None
        assert servers.redis.folder.name.startswith("valkey-")
        assert servers.broker_url is not None
        assert ping(servers.broker_url)
