"""After something was killed nothing is left that runs, and nothing that stops the next start."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import psutil
import pytest
from redis import Redis
from support.homes import FAST, ask_postgres, gone, ping, processes_in, serving

from seeder import embedded
from seeder.embedded import postgres, redis
from seeder.embedded import servers as servers_module
from seeder.embedded.place import locked, prepare
from seeder.errors import ServerFailed

Serve = Callable[..., AbstractContextManager[Any]]
pytestmark = pytest.mark.slow
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")


def answer_within(seconds: float, servers: embedded.Servers) -> bool:
    assert servers.database_url is not None
    assert servers.broker_url is not None
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if (
            postgres.failing(servers.database_url, servers.all[0].folder) is None
            and redis.failing(servers.broker_url, servers.all[1].folder) is None
        ):
            return True
        time.sleep(0.05)
    return False


def test_a_killed_server_comes_back_at_the_same_address_with_its_data(used_home: Path) -> None:
    # Without FAST, whose synchronous_commit = off loses the last commits at a crash.
    with serving(used_home, postgres_settings={}) as servers:
        assert servers.database_url is not None
        assert servers.broker_url is not None
        ask_postgres(servers.database_url, "create table left_by_the_killed as select 42 as answer")
        with Redis.from_url(servers.broker_url) as client:
            client.set("kept", "42")
        before = [server.pid for server in servers.all]
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        assert gone(*before, within=5)
        assert answer_within(20, servers)
        assert not set(before) & {server.pid for server in servers.all}
        assert ask_postgres(servers.database_url, "select answer from left_by_the_killed") == 42
        with Redis.from_url(servers.broker_url) as client:
            assert client.get("kept") == b"42"
        assert embedded.running(used_home) == servers


def test_no_server_outlives_the_sigkill_of_whoever_started_it(used_home: Path, serve: Serve) -> None:
    with serve(used_home) as process:
        process.process.kill()
        process.process.wait()
        assert gone(*process.pids, within=10)
    assert processes_in(used_home) == []
    assert embedded.running(used_home) is None, "its state file is recognised as stale"


def test_who_starts_while_the_old_servers_are_going_waits_for_that(used_home: Path, serve: Serve) -> None:
    with serve(used_home) as process:
        keepers = [server["keeper"] for server in process.servers.values()]
        for keeper in keepers:
            os.kill(keeper, signal.SIGSTOP)
        process.process.kill()
        process.process.wait()
        resume = threading.Timer(0.7, lambda: [os.kill(keeper, signal.SIGCONT) for keeper in keepers])
        resume.start()
        with serving(used_home) as servers:
            assert not any(server.joined for server in servers.all)
            assert not {server.pid for server in servers.all} & set(process.pids)
            assert answer_within(1, servers)
        resume.join()
    last_log = (used_home / "postgres.log.1").read_text()
    assert "received fast shutdown request" in last_log
    assert "received immediate shutdown request" not in last_log


def test_a_server_of_another_process_that_hangs_is_said_to_be_that(
    used_home: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers_module, "_RESTART_SECONDS", 0.1)
    with serve(used_home) as process:
        os.kill(process.servers["redis"]["pid"], signal.SIGSTOP)
        try:
            with pytest.raises(ServerFailed) as failure:
                embedded.start(used_home)
            said = f"The embedded Redis of process {process.process.pid} does not answer; stop that process"
            assert said in str(failure.value)
        finally:
            os.kill(process.servers["redis"]["pid"], signal.SIGCONT)
        process.stop()


@linux_only
def test_no_server_outlives_the_sigkill_of_its_keeper(used_home: Path) -> None:
    with serving(used_home) as servers:
        pids = [server.pid for server in servers.all]
        for server in servers.all:
            os.kill(server.keeper, signal.SIGKILL)
        assert gone(*pids, within=10)
        assert embedded.running(used_home) is None
        with serving(used_home) as again:
            assert answer_within(1, again)


def test_everything_killed_at_once_leaves_only_a_stale_state(used_home: Path, serve: Serve) -> None:
    with serve(used_home) as process:
        for pid in (process.process.pid, *process.pids):
            os.kill(pid, signal.SIGKILL)
        assert gone(*process.pids, within=5)
    assert (used_home / "postgres.json").exists()
    assert embedded.running(used_home) is None
    with serving(used_home) as servers:
        assert answer_within(1, servers)


def test_the_servers_stay_when_the_thread_that_started_them_ends(used_home: Path) -> None:
    started: list[embedded.Servers] = []
    thread = threading.Thread(
        target=lambda: started.append(embedded.start(used_home, postgres_settings=FAST))
    )
    thread.start()
    thread.join()
    time.sleep(0.3)
    assert answer_within(0.5, started[0])
    embedded.stop(started[0])


def test_a_stale_state_whose_process_id_is_somebody_elses_now_is_recognised(
    used_home: Path, serve: Serve
) -> None:
    with serve(used_home) as process:
        state = json.loads((used_home / "postgres.json").read_text())
        process.stop()
    (used_home / "postgres.json").write_text(
        json.dumps({**state, "keeper": os.getpid(), "parent": os.getppid()})
    )
    assert embedded.running(used_home) is None
    with serving(used_home, with_redis=False) as servers:
        assert not servers.all[0].joined


def test_a_state_file_that_was_cut_short_is_not_taken_for_a_running_server(used_home: Path) -> None:
    (used_home / "postgres.json").write_text('{"cut sh')
    assert embedded.running(used_home) is None
    with serving(used_home, with_redis=False) as servers:
        assert not servers.all[0].joined


def test_a_process_id_that_postgresql_takes_for_a_running_server_does_not_stop_it(used_home: Path) -> None:
    with locked(used_home):
        place = prepare(used_home)
    account = place.account
    as_account: dict[str, Any] = {"user": account.uid, "group": account.gid} if account else {}
    with subprocess.Popen(["/bin/sleep", "60"], cwd="/", **as_account) as other:
        try:
            pid_file = used_home / "postgres" / "postmaster.pid"
            pid_file.write_text(f"{other.pid}\n{used_home / 'postgres'}\n")
            place.give(pid_file)
            with serving(used_home, with_redis=False):
                pass
            assert psutil.pid_exists(other.pid)
            assert other.poll() is None
        finally:
            other.kill()


def test_a_server_that_outlived_its_keeper_is_ended_by_the_next_start(used_home: Path) -> None:
    """As on macOS, where a process can't ask to be told of its parent's death."""
    with locked(used_home):
        place = prepare(used_home)
        launch_spec = postgres.launch_spec(place, settings=FAST)
    account = place.account
    as_account: dict[str, Any] = (
        {"user": account.uid, "group": account.gid, "extra_groups": []} if account else {}
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    leftover = subprocess.Popen(
        launch_spec.argv(port), stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, cwd="/", **as_account
    )
    try:
        deadline = time.monotonic() + 20
        while launch_spec.failing(launch_spec.url(port), launch_spec.folder) is not None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        threading.Thread(target=leftover.wait, daemon=True).start()
        with serving(used_home, with_redis=False) as servers:
            assert gone(leftover.pid, within=1)
            assert servers.postgres is not None
            assert servers.postgres.pid != leftover.pid
    finally:
        leftover.kill()
        leftover.wait()


def test_a_restarting_server_is_waited_for_by_other_commands(used_home: Path, serve: Serve) -> None:
    with serve(used_home) as process:
        os.kill(process.servers["postgres"]["pid"], signal.SIGKILL)
        found = embedded.running(used_home)
        assert found is not None
        assert found.database_url is not None
        assert ask_postgres(found.database_url) == 1
        assert found.broker_url is not None
        assert ping(found.broker_url)
        process.stop()
