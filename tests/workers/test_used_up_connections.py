"""PostgreSQL has no connection left: whoever has one goes on, all others are told and try again."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection
from typing import Any

import psycopg2
import pytest
from support.emptied import fresh_broker
from support.forked import run_module
from support.homes import FAST, new_home, serving
from support.processes import Process, celery, clean_environment, pool_arguments, wait_until
from support.world import World

from seeder import schema

pytestmark = pytest.mark.slow

#: SQLSTATE 53300, which nobody is told who isn't let in.
USED_UP = "FATAL: sorry, too many clients already"
UNRECORDED = "not recorded yet"

#: For how long nobody may have been let in until that's because all connections are taken: the server still
#: counts those that have just been closed.
SETTLED_SECONDS = 0.3


@pytest.fixture(scope="module", params=["threads", "prefork"])
def pool(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def module_broker_url(redis_url: str, pool: str) -> Iterator[str]:
    with fresh_broker(redis_url) as url:
        yield url


@pytest.fixture(scope="module")
def module_database_url(pool: str) -> Iterator[str]:
    """A PostgreSQL for these tests alone, with few connections."""
    settings = {**FAST, "max_connections": "24"}
    with new_home() as home, serving(home, with_redis=False, postgres_settings=settings) as servers:
        assert servers.database_url is not None
        yield servers.database_url


@contextmanager
def crowd(world: World) -> Iterator[list[Any]]:
    """Other people's connections."""
    there: list[Any] = []
    try:
        yield there
    finally:
        for connection in there:
            connection.close()


def fill(world: World, there: list[Any]) -> None:
    """Let others take every connection that is left."""
    refused_since = None
    while refused_since is None or time.monotonic() < refused_since + SETTLED_SECONDS:
        try:
            there.append(world.connect())
            refused_since = None
        except psycopg2.OperationalError:
            refused_since = refused_since or time.monotonic()


@contextmanager
def website(world: World) -> Iterator[tuple[Process, int]]:
    """``seeder web`` and its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["seeder", "web", f"--port={port}"]
    with world.process("web", command, "Pages and API on") as web:
        web.ready()
        yield web, port


def asked(port: int, path: str) -> tuple[int, str]:
    """Status and body."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=30)) as web:
        web.request("GET", path, headers={} if path.startswith("/api") else {"accept": "text/html"})
        answer = web.getresponse()
        return answer.status, answer.read().decode()


def command(world: World, *words: str) -> subprocess.CompletedProcess[str]:
    return run_module(["seeder", *words], cwd=world.folder, env=clean_environment(world.environment))


def test_whoever_has_a_connection_goes_on_and_every_run_ends_once(world: World, pool: str) -> None:
    names = [f"used_up_{number}" for number in range(12)]
    for name in names:
        world.custom(name, f"select public.gate('{name}') as n")
    world.close_gate(*names)
    with world.equipment.databases.engine().connect() as connection:
        schema.apply(connection, "reporting", "public.agency")
    world.equipment.databases.dispose()
    with ExitStack() as stack:
        web, port = stack.enter_context(website(world))
        its = world.sql("select pid from pg_stat_activity where application_name = 'seeder'")
        assert its
        early = stack.enter_context(world.worker("-Q", "seeder.refresh", *pool_arguments(pool)))
        run_ids = world.seed().run_ids
        wait_until("four are at work", lambda: len(world.history(status="running")) == 4)
        late = "asked_for_while_used_up"
        world.custom(late)

        with crowd(world) as there:
            fill(world, there)
            person = there[0].cursor()
            # The pages' connections are enough for some questions; there is no telling for which.
            person.execute(
                "select pg_terminate_backend(pid) from unnest(%s) as pid", ([row.pid for row in its],)
            )
            fill(world, there)
            for path, status in {
                "/nights": 503,
                "/api/history": 503,
                "/readyz": 503,
                "/healthz": 200,
            }.items():
                answer = asked(port, path)
                assert answer[0] == status, path
                assert ("too many clients" in answer[1]) == (path in ("/nights", "/api/history")), path

            for words in (["status"], ["refresh"], ["check"], ["web", "--port=1"]):
                told = command(world, *words)
                assert (told.returncode, told.stdout, len(told.stderr.splitlines())) == (2, "", 1), words
                assert told.stderr.startswith("seeder: The reporting database at ")
                assert f"{USED_UP}. Its connections are used up: " in told.stderr

            # Before there is a worker for it, so that it isn't kept waiting by runs that fill its places.
            fan_out = world.app.send_task("seeder.refresh_table", args=[late]).id
            latecomer = stack.enter_context(world.worker(*pool_arguments(pool)))
            beat_command = celery("beat", "-s", str(world.folder / "beat"), "-l", "INFO")
            beat = stack.enter_context(world.process("beat", beat_command, "beat: Starting"))
            beat.ready()
            wait_until("the latecomer has taken runs", lambda: UNRECORDED in latecomer.logs())
            wait_until("the fan-out waits for its next try", lambda: f"[{fan_out}] retry" in latecomer.logs())
            before, started = latecomer.spent(), time.monotonic()
            person.execute("delete from public.closed_gates")

            def succeeded() -> bool:
                person.execute("select from reporting.seeder_run_history where status = 'success'")
                return person.rowcount >= 4

            wait_until("those that have a connection have ended their runs", succeeded)
            while time.monotonic() < started + 6:
                time.sleep(0.1)
            after = latecomer.spent()
            assert after[0] - before[0] < 0.3 * (time.monotonic() - started)
            assert after[1] - before[1] < 30_000_000
            assert latecomer.logs().count(UNRECORDED) < 200

        for run in world.wait_for_end(run_ids, seconds=60).values():
            world.check_record(run)
        assert [world.refreshes(name) for name in names] == [1] * 12
        wait_until(
            "the fan-out was made up for",
            lambda: [run.status for run in world.history(table_name=late)] == ["success"],
            # The pauses between its tries have doubled meanwhile.
            seconds=150,
        )
        wait_until(
            "the pages are back", lambda: asked(port, "/nights")[0] == asked(port, "/readyz")[0] == 200
        )
        for process in (early.container, latecomer.container, web, beat):
            assert process.popen.poll() is None
            assert "Traceback" not in process.logs()
