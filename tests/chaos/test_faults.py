"""The plan of faults, and the way on which a connection goes silent."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.faults import LASTING, WEIGHTS, Kind, draw
from chaos.silence import Way


@given(st.integers(), st.floats(0, 3600))
def test_a_seed_is_a_plan_in_which_each_kind_comes_once_before_any_comes_again(
    seed: int, seconds: float
) -> None:
    plan = draw(seed, seconds)
    assert plan == draw(seed, seconds)
    assert [fault.at for fault in plan] == sorted(fault.at for fault in plan)
    first = [fault.kind for fault in plan[: len(Kind)]]
    assert len(set(first)) == len(first)
    for fault in plan:
        least, most = LASTING.get(fault.kind, (0, 0))
        assert 0 < fault.at < seconds
        assert least <= fault.lasting <= most
        assert 0 <= fault.choice < 1


def test_a_minute_holds_every_kind() -> None:
    assert set(WEIGHTS) == set(Kind)
    for seed in range(1000):
        assert {fault.kind for fault in draw(seed, 60)} == set(Kind)


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that says what it hears."""

    def answer(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while heard := connection.recv(100):
                connection.sendall(heard)

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def test_a_silent_connection_swallows_everything_until_it_ends_and_others_go_on(echo: int) -> None:
    with Way("echo", echo) as way:
        silent, other = (socket.create_connection(("127.0.0.1", way.port), timeout=30) for _ in range(2))
        with closing(silent), closing(other):
            for one in (silent, other):
                one.sendall(b"hello")
                assert one.recv(100) == b"hello"
            connection = way.silence(0.0)
            assert connection is not None
            silent.sendall(b"lost")
            other.sendall(b"still there")
            assert other.recv(100) == b"still there"
            way.end(connection)
            # Neither the answer nor the other side's farewell has come before the end did.
            with suppress(ConnectionResetError):
                assert silent.recv(100) == b""
            other.sendall(b"and now")
            assert other.recv(100) == b"and now"


def test_nothing_goes_silent_where_nobody_is_connected_or_everybody_is_silent(echo: int) -> None:
    with Way("echo", echo) as way:
        assert way.silence(0.5) is None
        with socket.create_connection(("127.0.0.1", way.port), timeout=30) as only:
            only.sendall(b"hello")
            assert only.recv(100) == b"hello"
            assert way.silence(0.5) is not None
            assert way.silence(0.5) is None


def test_a_connection_to_a_server_that_is_away_is_refused_at_once(echo: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nobody = listener.getsockname()[1]
    with (
        Way("nobody", nobody) as way,
        socket.create_connection(("127.0.0.1", way.port), timeout=30) as one,
        suppress(ConnectionResetError),
    ):
        assert one.recv(100) == b""
