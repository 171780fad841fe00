"""CPU and memory of a backend: measured where it is certainly that backend, and unknown everywhere else."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest
from support.homes import ask_postgres, gone

from seeder.postgres import backend_usage
from seeder.postgres.backend_usage import SHORTEST_SECONDS, UNKNOWN, Reading, local_backend
from seeder.postgres.databases import Databases
from seeder.postgres.session import Session


@pytest.fixture
def session(module_database_url: str) -> Iterator[Session]:
    databases = Databases(module_database_url)
    with databases.session() as session:
        yield session
    databases.dispose()


def reading(session: Session) -> Reading:
    process = local_backend(session.backend_pid, session._driver.fileno())
    assert process is not None
    begun = Reading.of(process)
    assert begun is not None
    return begun


def test_a_backend_at_work_has_its_memory_and_its_processor_measured(session: Session) -> None:
    measured = reading(session)
    session.run("select sum(n) from generate_series(1, 3000000) n")
    while time.monotonic() - measured.started < SHORTEST_SECONDS:
        session.run("select sum(n) from generate_series(1, 100000) n")
    used = measured.usage()
    resident = psutil.Process(session.backend_pid).memory_info().rss / 2**20
    assert used.memory_mb == pytest.approx(resident, abs=8)
    assert used.cpu_percentage is not None
    assert 1 <= used.cpu_percentage <= 110


def test_a_backend_that_only_waits_uses_next_to_nothing(session: Session) -> None:
    measured = reading(session)
    session.run("select pg_sleep(0.3)")
    used = measured.usage().cpu_percentage
    assert used is not None
    assert used <= 20


def test_over_a_moment_the_processor_is_not_known_and_memory_is(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = reading(session)
    monkeypatch.setattr(backend_usage.time, "monotonic", lambda: measured.started + SHORTEST_SECONDS - 0.01)
    used = measured.usage()
    assert used.cpu_percentage is None
    assert used.memory_mb


def test_per_cent_are_of_one_processor_over_the_time_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend_usage, "_cpu_seconds", lambda _: 7.0)
    monkeypatch.setattr(backend_usage.time, "monotonic", lambda: 110.0)
    assert Reading(psutil.Process(), cpu_seconds=2.0, started=100.0).usage().cpu_percentage == 50


def test_a_backend_that_has_ended_is_unknown(session: Session, module_database_url: str) -> None:
    measured, pid = reading(session), session.backend_pid
    ask_postgres(module_database_url, f"select pg_terminate_backend({pid})")
    assert gone(pid, within=20)
    assert measured.usage() == UNKNOWN
    assert Reading.of(measured.process) is None


def test_a_process_of_the_same_number_is_not_taken_for_the_backend(session: Session) -> None:
    descriptor = session._driver.fileno()
    assert local_backend(session.backend_pid, descriptor) == psutil.Process(session.backend_pid)
    for other in (os.getpid(), os.getppid(), psutil.Process(session.backend_pid).ppid()):
        assert local_backend(other, descriptor) is None


def test_another_connections_backend_is_not_taken_for_this_ones(
    session: Session, module_database_url: str
) -> None:
    databases = Databases(module_database_url)
    with databases.session() as other:
        assert local_backend(other.backend_pid, session._driver.fileno()) is None
    databases.dispose()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="SO_PEERCRED is Linux's")
def test_over_a_unix_socket_the_backend_is_a_child_of_who_listens() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, subprocess.Popen(["sleep", "60"]) as child:
        assert local_backend(child.pid, ours.fileno()) == psutil.Process(child.pid)
        assert local_backend(os.getpid(), ours.fileno()) is None
        child.kill()


def test_a_number_or_a_descriptor_that_is_not_there_is_nobodys() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert local_backend(2**31 - 1, ours.fileno()) is None
    assert local_backend(os.getpid(), -1) is None
