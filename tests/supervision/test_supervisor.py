"""The supervisor as a process of its own, with small shell scripts for services."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.homes import gone, processes_in

ROOT = Path(__file__).parents[2]
RUN = """
import json, os, sys
from pathlib import Path
from seeder.supervision import Service, supervise

def service(name, script, ready=None, **more):
    return Service(name, ["/bin/sh", "-c", script], ready=ready and Path(ready).exists, **more)

services = [service(**about) for about in json.loads(sys.argv[1])]
sys.exit(supervise(services, when_up=lambda: print("all are up", flush=True)))
"""
FOREVER = "echo here; while :; do sleep 0.05; done"
#: A service with a pool: the child is in the same process group and ignores SIGTERM.
WITH_CHILD = f"(trap '' TERM; {FOREVER}) & echo child $!; {FOREVER}"


class Supervised:
    """A supervisor's process and its log."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, folder: Path) -> None:
        self.process = process
        self.log_file = log
        self.folder = folder

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def wait_for(self, pattern: str, times: int = 1, seconds: float = 15) -> list[str]:
        deadline = time.monotonic() + seconds
        while len(found := re.findall(pattern, self.log, re.MULTILINE)) < times:
            assert time.monotonic() < deadline, f"no {pattern!r} in:\n{self.log}"
            time.sleep(0.02)
        return [str(text) for text in found]

    def stop(self, *signals: signal.Signals) -> int:
        for number in signals or (signal.SIGTERM,):
            self.process.send_signal(number)
            time.sleep(0.15)
        return self.process.wait(15)

    def pids(self) -> list[int]:
        return [process.pid for process in psutil.Process(self.process.pid).children(recursive=True)]


Run = Callable[..., AbstractContextManager[Supervised]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a supervisor of services; whatever a test does, no process is left."""

    @contextmanager
    def running(*services: dict[str, Any], output: Any = None) -> Iterator[Supervised]:
        log = tmp_path / "log"
        with log.open("wb") as to_file:
            process = subprocess.Popen(
                [sys.executable, "-c", RUN, json.dumps(services)],
                stdout=to_file if output is None else output,
                stderr=subprocess.STDOUT,
                cwd=tmp_path,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        try:
            yield Supervised(process, log, tmp_path)
        finally:
            process.kill()
            process.wait()
        deadline = time.monotonic() + 10
        while left := processes_in(tmp_path):
            assert time.monotonic() < deadline, left
            time.sleep(0.02)

    return running


def test_each_line_of_the_log_names_its_service_and_is_plain_in_a_file(run: Run) -> None:
    with run(
        {"name": "worker", "script": "echo one; echo two >&2; sleep 60"},
        {"name": "web", "script": FOREVER},
    ) as supervised:
        supervised.wait_for(r"^worker \| two$")
        supervised.wait_for(r"^web    \| here$")
        supervised.wait_for(r"^all are up$")
        assert "\x1b" not in supervised.log
        assert supervised.stop() == 0


#: A worker: the first SIGTERM lets it finish, and only the second one ends it.
SAYS_BOTH = "n=0; trap 'n=$((n+1)); echo term $n; [ $n = 2 ] && exit 0' TERM; " + FOREVER


def test_a_service_that_may_be_told_twice_is_told_twice_before_it_is_killed(run: Run) -> None:
    with run({"name": "worker", "script": SAYS_BOTH, "grace": 0.5, "second_grace": 20}) as supervised:
        supervised.wait_for("here")
        assert supervised.stop() == 0
        assert supervised.wait_for(r"term \d", times=2) == ["term 1", "term 2"]


def test_a_second_signal_tells_it_again_at_once(run: Run) -> None:
    with run({"name": "worker", "script": SAYS_BOTH, "grace": 600, "second_grace": 20}) as supervised:
        supervised.wait_for("here")
        supervised.process.send_signal(signal.SIGTERM)
        supervised.wait_for("term 1")
        assert supervised.stop(signal.SIGINT) == 0
        supervised.wait_for("term 2")


def test_on_a_terminal_each_service_has_its_colour(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    ours, theirs = pty.openpty()
    with run(
        {"name": "worker", "script": FOREVER}, {"name": "web", "script": FOREVER}, output=theirs
    ) as supervised:
        os.close(theirs)
        shown = b""
        while shown.count(b"here") < 2:
            shown += os.read(ours, 4096)
        supervised.stop()
    os.close(ours)
    assert b"\x1b[36mworker |\x1b[0m here" in shown
    assert b"\x1b[32mweb    |\x1b[0m here" in shown


def test_what_dies_is_restarted_with_growing_pauses(run: Run) -> None:
    with run({"name": "worker", "script": "echo here; exit 3", "first_delay": 0.1}) as supervised:
        supervised.wait_for(r"^worker \| here$", times=4)
        pauses = supervised.wait_for(r"ended with exit code 3; starting it again in (\S+) s", times=3)
        assert pauses[:3] == ["0.1", "0.2", "0.4"]
        assert supervised.stop() == 0


def test_what_is_killed_is_restarted_and_its_children_are_not_left(run: Run) -> None:
    with run({"name": "worker", "script": WITH_CHILD, "first_delay": 0.1}) as supervised:
        (child,) = map(int, supervised.wait_for(r"^worker \| child (\d+)$"))
        os.kill(psutil.Process(child).ppid(), signal.SIGKILL)
        supervised.wait_for("ended by SIGKILL; starting it again")
        assert gone(child, within=2)
        supervised.wait_for(r"^worker \| child (\d+)$", times=2)
        supervised.stop()


def test_a_program_that_is_not_there_is_said_and_tried_again() -> None:
    services = [{"name": "worker", "script": "/nonexistent", "first_delay": 0.1}]
    run_directly = RUN.replace('["/bin/sh", "-c", script]', "[script]")
    process = subprocess.run(
        ["/usr/bin/timeout", "-s", "INT", "3", sys.executable, "-c", run_directly, json.dumps(services)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "worker | [seeder] can't be started: [Errno 2] No such file or directory" in process.stdout
    assert "starting it again in 0.1 s" in process.stdout
    assert process.stderr == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_all_in_reverse_order(run: Run, number: signal.Signals) -> None:
    services = [
        {"name": name, "script": f"trap 'sleep 0.1; echo bye; exit 0' TERM; {FOREVER}"}
        for name in ("first", "second", "third")
    ]
    with run(*services) as supervised:
        supervised.wait_for("here", times=3)
        pids = supervised.pids()
        assert supervised.stop(number) == 0
        assert gone(*pids, within=0)
        assert re.findall(r"^(\w+) +\| bye$", supervised.log, re.MULTILINE) == ["third", "second", "first"]


def test_who_does_not_end_in_its_grace_is_killed_with_its_children(run: Run) -> None:
    with run({"name": "worker", "script": f"trap '' TERM; {WITH_CHILD}", "grace": 0.3}) as supervised:
        supervised.wait_for("here", times=2)
        pids = supervised.pids()
        assert supervised.stop() == 1
        assert gone(*pids, within=0.5)
        supervised.wait_for("did not end in its grace and was killed")


def test_children_that_ignore_the_signal_do_not_outlive_their_service(run: Run) -> None:
    with run({"name": "worker", "script": WITH_CHILD}) as supervised:
        supervised.wait_for("here", times=2)
        pids = supervised.pids()
        assert supervised.stop() == 0
        assert gone(*pids, within=0.5)


def test_a_second_signal_hurries(run: Run) -> None:
    stubborn = {"script": f"trap '' TERM; {FOREVER}", "grace": 60}
    with run({"name": "one", **stubborn}, {"name": "two", **stubborn}) as supervised:
        supervised.wait_for("here", times=2)
        pids = supervised.pids()
        started = time.monotonic()
        assert supervised.stop(signal.SIGINT, signal.SIGINT) == 0
        assert time.monotonic() - started < 5
        assert gone(*pids, within=0)


def test_no_process_outlives_the_sigkill_of_the_supervisor(run: Run) -> None:
    with run(
        {"name": "worker", "script": f"trap '' TERM; {WITH_CHILD}"}, {"name": "beat", "script": FOREVER}
    ) as supervised:
        supervised.wait_for("here", times=3)
        pids = supervised.pids()
        assert len(pids) >= 5
        supervised.process.kill()
        assert gone(*pids, within=10)


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_a_killed_keeper_takes_its_service_along_and_both_are_started_again(run: Run) -> None:
    with run({"name": "worker", "script": FOREVER}) as supervised:
        supervised.wait_for("here")
        keeper = psutil.Process(supervised.process.pid).children()[0]
        (program,) = keeper.children()
        keeper.kill()
        supervised.wait_for("its keeper was killed; starting both again")
        supervised.wait_for("here", times=2)
        assert gone(keeper.pid, program.pid, within=1)
        assert supervised.stop() == 0


def test_the_next_service_waits_until_the_one_before_is_ready(run: Run, tmp_path: Path) -> None:
    mark = tmp_path / "ready"
    with run(
        {"name": "worker", "script": f"sleep 0.4; echo ready; touch {mark}; {FOREVER}", "ready": str(mark)},
        {"name": "flower", "script": f"ls {mark}; {FOREVER}"},
    ) as supervised:
        supervised.wait_for(rf"^flower \| {mark}$")
        supervised.wait_for("^all are up$")
        supervised.stop()


def test_a_stop_while_a_service_is_not_ready_yet_is_heeded(run: Run, tmp_path: Path) -> None:
    services: Sequence[dict[str, Any]] = (
        {"name": "worker", "script": FOREVER, "ready": str(tmp_path / "never")},
        {"name": "flower", "script": "echo must not start"},
    )
    with run(*services) as supervised:
        supervised.wait_for("here")
        assert supervised.stop() == 0
        assert "must not start" not in supervised.log
        assert "all are up" not in supervised.log


def test_when_nobody_reads_the_log_any_more_everything_stops(run: Run) -> None:
    reading, writing = os.pipe()
    with run(
        {"name": "worker", "script": "while echo here; do sleep 0.1; done"}, output=writing
    ) as supervised:
        os.close(writing)
        while b"here" not in os.read(reading, 4096):
            pass
        os.close(reading)
        assert supervised.process.wait(10) == 0


def test_what_a_person_needs_is_said_again_below_a_long_beginning(run: Run) -> None:
    script = "sleep 0.5; seq 1 200; while :; do sleep 0.05; done"
    with run({"name": "talks", "script": script}) as supervised:
        supervised.wait_for("^all are up$", times=2)
        assert supervised.log.rstrip().endswith("talks | 200\nall are up")


def test_it_is_not_said_again_where_it_is_still_seen(run: Run) -> None:
    script = "sleep 0.5; seq 1 10; sleep 4; echo rested; while :; do sleep 0.05; done"
    with run({"name": "talks", "script": script}) as supervised:
        supervised.wait_for(r"rested$")
        assert supervised.log.count("all are up") == 1
