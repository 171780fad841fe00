"""A database that is down costs whoever wants a connection as little time as can be."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import pytest

from seeder.postgres.circuit_breaker import PATIENCE_SECONDS, Doorway
from seeder.postgres.databases import Databases


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def doorway(clock: Clock) -> Doorway:
    return Doorway(clock)


def failing(clock: Clock, seconds: float, words: str = "no answer") -> Callable[[], Any]:
    """A connection that fails after so long."""

    def make() -> None:
        clock.now += seconds
        raise psycopg2.OperationalError(words)

    return make


def never() -> Any:
    raise AssertionError("it was asked")


def test_after_a_failure_nobody_asks_for_twice_as_long_as_it_took(doorway: Doorway, clock: Clock) -> None:
    assert doorway.shut_for() == 0
    with pytest.raises(psycopg2.OperationalError, match=r"^no answer$"):
        doorway.connect(failing(clock, 5))
    assert doorway.shut_for() == 10
    clock.now += 9
    with pytest.raises(
        psycopg2.OperationalError, match=r"^no answer \(a moment ago; not asked again for 1 s\)$"
    ):
        doorway.connect(never)
    clock.now += 1
    assert doorway.connect(lambda: "connection") == "connection"
    assert doorway.shut_for() == 0


def test_who_is_refused_at_once_may_ask_again_at_once(doorway: Doorway, clock: Clock) -> None:
    for _ in range(3):
        with pytest.raises(psycopg2.OperationalError, match=r"^refused$"):
            doorway.connect(failing(clock, 0, "refused"))


def test_an_error_that_is_not_the_servers_shuts_nothing(doorway: Doorway) -> None:
    def make() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        doorway.connect(make)
    assert doorway.connect(lambda: "connection") == "connection"


class Slow:
    """A connection in the making, in a thread of its own, for as long as a test wants."""

    def __init__(self, doorway: Doorway) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=lambda: doorway.connect(self._make))
        self.thread.start()
        assert self.begun.wait(30)

    def _make(self) -> str:
        self.begun.set()
        assert self.go_on.wait(30)
        return "connection"

    def finish(self) -> None:
        self.go_on.set()
        self.thread.join(30)


def test_others_wait_for_the_first_and_then_connect_too(doorway: Doorway) -> None:
    slow = Slow(doorway)
    connected: list[str] = []
    other = threading.Thread(target=lambda: connected.append(doorway.connect(lambda: "another")))
    other.start()
    other.join(0.1)
    assert connected == []
    slow.finish()
    other.join(30)
    assert connected == ["another"]


def test_others_do_not_wait_for_long(doorway: Doorway, clock: Clock) -> None:
    slow = Slow(doorway)
    clock.now += PATIENCE_SECONDS
    with pytest.raises(psycopg2.OperationalError, match="doesn't answer"):
        doorway.connect(never)
    slow.finish()
    assert doorway.connect(lambda: "connection") == "connection"


def test_whether_a_server_is_back_one_finds_out_and_nobody_waits_for_that(
    doorway: Doorway, clock: Clock
) -> None:
    with pytest.raises(psycopg2.OperationalError):
        doorway.connect(failing(clock, 5))
    clock.now += 10
    slow = Slow(doorway)
    with pytest.raises(psycopg2.OperationalError, match="it is being tried again"):
        doorway.connect(never)
    slow.finish()
    assert doorway.connect(lambda: "connection") == "connection"


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A TCP port that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        yield server.getsockname()[1]


def test_eight_threads_before_a_silent_server_wait_once_and_not_eight_times(silent_port: int) -> None:
    url = f"postgresql://someone@127.0.0.1:{silent_port}/nowhere?connect_timeout=3"
    databases = Databases("postgresql://nobody@127.0.0.1:1/none", {7: url})
    took = []

    def connect() -> None:
        started = time.monotonic()
        with pytest.raises(psycopg2.OperationalError):
            databases.open(7)
        took.append(time.monotonic() - started)

    threads = [threading.Thread(target=connect) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    took.sort()
    assert len(took) == 8
    # The time-out that the URL asks for, for one of them; the others gave up on it before.
    assert took[7] >= 2.5
    assert took[6] < took[7]
    assert 0 < databases.shut_for(7) <= 2 * took[7]
    assert databases.shut_for(None) == 0
    started = time.monotonic()
    for _ in range(100):
        with pytest.raises(psycopg2.OperationalError, match="not asked again"):
            databases.open(7)
    assert time.monotonic() - started < 2.5


def test_connections_that_stand_are_used_while_the_door_is_shut(database_url: str) -> None:
    databases = Databases("postgresql://nobody@127.0.0.1:1/none", {7: database_url})
    with databases.session(7) as session:
        assert session.row("select 1 as one").one == 1
    doorway = databases._doorways[7]
    clock = Clock()
    doorway._clock = clock
    with pytest.raises(psycopg2.OperationalError):
        doorway.connect(failing(clock, 5))
    with databases.session(7) as session:
        assert session.row("select 1 as one").one == 1
        with pytest.raises(psycopg2.OperationalError, match="not asked again"):
            databases.open(7)
    databases.dispose()
