"""Clients that are slow, many, or gone: by a real server and real sockets."""

import logging
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from urllib.parse import urlsplit

import pytest
from fastapi import FastAPI
from support.contract import Platform
from support.visits import wait_until

from seeder.web.security.access import Access
from seeder.web.serving import configured, connections
from seeder.web.serving.connections import MOST_CONNECTIONS, MOST_OF_A_PROXY

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"


@contextmanager
def connected(address: str, source: str = "127.0.0.1") -> Iterator[socket.socket]:
    parts = urlsplit(address)
    with socket.create_connection((parts.hostname, parts.port), 10, (source, 0)) as client:
        yield client


def ended_after(client: socket.socket) -> float:
    """In how many seconds the server ends the connection."""
    began = time.monotonic()
    while client.recv(65536):
        pass
    return time.monotonic() - began


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEADERS_SECONDS", 0.4)
    monkeypatch.setattr(connections, "BODY_SECONDS", 0.6)


@pytest.mark.parametrize(
    ("first", "least"),
    [
        (b"", 0.3),
        (b"\r\n", 0.3),
        (GET, 0.3),
        # The answer comes, and then half of the next request.
        (GET + b"\r\n" + GET, 0.3),
        (b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\ntoken=", 0.5),
    ],
    ids=["nothing", "an empty line", "half a request", "a request and a half", "half a body"],
)
@pytest.mark.usefixtures("short")
def test_a_request_that_does_not_come_ends_its_connection(address: str, first: bytes, least: float) -> None:
    with connected(address) as client:
        client.sendall(first)
        # Once it has answered, uvicorn waits for 5 s.
        assert least < ended_after(client) < 8


@pytest.mark.usefixtures("short")
def test_bytes_now_and_then_keep_no_connection_open(address: str) -> None:
    with connected(address) as client:
        client.sendall(GET)
        began = time.monotonic()
        with suppress(OSError):
            while time.monotonic() - began < 5:
                client.sendall(b"X-Slow: 1\r\n")
                time.sleep(0.05)
        assert time.monotonic() - began < 5


@pytest.mark.usefixtures("short")
def test_an_answer_may_take_longer_than_its_request_and_a_connection_many_requests(address: str) -> None:
    with connected(address) as client:
        for _ in range(3):
            client.sendall(GET + b"\r\n")
            answer = b""
            # Headers and body may come one after the other.
            while not answer.endswith(b"}"):
                answer += client.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200")
            time.sleep(0.25)
    with connected(address) as client:
        client.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        client.settimeout(1.5)
        with pytest.raises(TimeoutError):
            ended_after(client)


def test_one_address_has_so_many_connections_and_takes_none_from_others(address: str) -> None:
    with ExitStack() as stack:
        held = [stack.enter_context(connected(address)) for _ in range(MOST_CONNECTIONS)]
        with connected(address) as one_more:
            assert b"503" in one_more.recv(65536)
        with connected(address, source="127.0.0.2") as other:
            other.sendall(GET + b"\r\n")
            assert other.recv(65536).startswith(b"HTTP/1.1 200")
        held[0].close()

        def let_in() -> bool:
            with connected(address) as again:
                again.sendall(GET + b"\r\n")
                return again.recv(65536).startswith(b"HTTP/1.1 200")

        wait_until("its place is free again", let_in, 5)


def test_a_proxy_may_have_more(make_app: Callable[..., FastAPI]) -> None:
    for header, most in ((None, MOST_CONNECTIONS), ("X-User", MOST_OF_A_PROXY)):
        http = configured(make_app(proxy_header=header), "127.0.0.1", 0).http
        assert http.most_connections == most  # type: ignore[union-attr]
    assert Access(True, None).proxy_header is None


LEAVING = {
    "a stream of events": b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a page": b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n",
    "half a form": b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\ntoken=",
    "half a body": b"POST /api/failing/refresh HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: application/json\r\nAuthorization: Bearer a-token-for-the-tests\r\n"
    b"Content-Length: 100\r\n\r\n{",
    "many requests": (GET + b"\r\n") * 50,
}


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("request_of", LEAVING)
def test_clients_that_leave_are_no_traceback(
    platform: Platform, address: str, heard: pytest.LogCaptureFixture, request_of: str, reset: bool
) -> None:
    for number in range(1, 200):
        platform.custom(number)
    for pause in (0.0, 0.02, 0.3):
        with connected(address) as client:
            client.sendall(LEAVING[request_of])
            time.sleep(pause)
            if reset:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with connected(address) as client:
        client.sendall(GET + b"\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 200")
    time.sleep(0.2)
    told = [
        one
        for one in heard.records
        # Beside it a page asks who holds locks, for which a busy machine may have no time.
        if one.exc_info or (one.levelno >= logging.WARNING and one.name != "seeder.web.holding")
    ]
    assert [one.getMessage() for one in told] == []
