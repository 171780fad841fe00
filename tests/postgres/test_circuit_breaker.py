"""A database that is down costs whoever wants a connection as little time as can be."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import pytest

from seeder.postgres.circuit_breaker import OTHERS_WAIT_SECONDS, CircuitBreaker
from seeder.postgres.databases import Databases


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker(clock)


def failing(clock: Clock, seconds: float, words: str = "no answer") -> Callable[[], Any]:
    """A connection that fails after so long."""

    def make() -> None:
        clock.now += seconds
        raise psycopg2.OperationalError(words)

    return make


def never() -> Any:
    raise AssertionError("it was asked")


def test_after_a_failure_nobody_asks_for_twice_as_long_as_it_took(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    assert breaker.refusing_for() == 0
    with pytest.raises(psycopg2.OperationalError, match=r"^no answer$"):
        breaker.connect(failing(clock, 5))
    assert breaker.refusing_for() == 10
    clock.now += 9
    with pytest.raises(
        psycopg2.OperationalError, match=r"^no answer \(a moment ago; not asked again for 1 s\)$"
    ):
        breaker.connect(never)
    clock.now += 1
    assert breaker.connect(lambda: "connection") == "connection"
    assert breaker.refusing_for() == 0


def test_who_is_refused_at_once_may_ask_again_at_once(breaker: CircuitBreaker, clock: Clock) -> None:
    for _ in range(3):
        with pytest.raises(psycopg2.OperationalError, match=r"^refused$"):
            breaker.connect(failing(clock, 0, "refused"))


def test_an_error_that_is_not_the_servers_shuts_nothing(breaker: CircuitBreaker) -> None:
    def make() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        breaker.connect(make)
    assert breaker.connect(lambda: "connection") == "connection"


class Slow:
    """A connection in the making, in a thread of its own, for as long as a test wants."""

    def __init__(self, breaker: CircuitBreaker) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=lambda: breaker.connect(self._make))
        self.thread.start()
        assert self.begun.wait(30)

    def _make(self) -> str:
        self.begun.set()
        assert self.go_on.wait(30)
        return "connection"

    def finish(self) -> None:
        self.go_on.set()
        self.thread.join(30)


def test_others_wait_for_the_first_and_then_connect_too(breaker: CircuitBreaker) -> None:
    slow = Slow(breaker)
    connected: list[str] = []
    other = threading.Thread(target=lambda: connected.append(breaker.connect(lambda: "another")))
    other.start()
    other.join(0.1)
    assert connected == []
    slow.finish()
    other.join(30)
    assert connected == ["another"]


def test_others_do_not_wait_for_long(breaker: CircuitBreaker, clock: Clock) -> None:
    slow = Slow(breaker)
    clock.now += OTHERS_WAIT_SECONDS
    with pytest.raises(psycopg2.OperationalError, match="doesn't answer"):
        breaker.connect(never)
    slow.finish()
    assert breaker.connect(lambda: "connection") == "connection"


def test_whether_a_server_is_back_one_finds_out_and_nobody_waits_for_that(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    with pytest.raises(psycopg2.OperationalError):
        breaker.connect(failing(clock, 5))
    clock.now += 10
    slow = Slow(breaker)
    with pytest.raises(psycopg2.OperationalError, match="it is being tried again"):
        breaker.connect(never)
    slow.finish()
    assert breaker.connect(lambda: "connection") == "connection"


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
    assert 0 < databases.refusing_for(7) <= 2 * took[7]
    assert databases.refusing_for(None) == 0
    started = time.monotonic()
    for _ in range(100):
        with pytest.raises(psycopg2.OperationalError, match="not asked again"):
            databases.open(7)
    assert time.monotonic() - started < 2.5


def test_connections_that_stand_are_used_while_the_door_is_shut(database_url: str) -> None:
    databases = Databases("postgresql://nobody@127.0.0.1:1/none", {7: database_url})
    with databases.session(7) as session:
        assert session.row("select 1 as one").one == 1
    breaker = databases._breakers[7]
    clock = Clock()
    breaker._clock = clock
    with pytest.raises(psycopg2.OperationalError):
        breaker.connect(failing(clock, 5))
    with databases.session(7) as session:
        assert session.row("select 1 as one").one == 1
        with pytest.raises(psycopg2.OperationalError, match="not asked again"):
            databases.open(7)
    databases.dispose()
