"""Starts and ends workers, beat and Flower as processes of a test.

A ``Process`` has what pytest-celery's nodes ask of a container (status, kill, restart, reload, logs, ready,
teardown, name, id, celeryconfig), so ``CeleryTestWorker`` carries it: pytest-celery's node API over local
processes. Its Docker images are not used. Its ``wait_for_log`` looks once a second; ``Worker`` looks more
often.
"""

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
from pytest_celery import CeleryTestWorker
from support.forked import Forked

ROOT = Path(__file__).parents[2]

#: Every process started so far: conftest.py shows what the living ones said when a test fails.
STARTED: list["Process"] = []

_numbers = itertools.count(1)


def wait_until(what: str, look: Callable[[], Any], seconds: float = 30) -> Any:
    """What ``look`` returns once that is true.

    Looking takes about a quarter of the time at most: a look that opens a connection would otherwise keep a
    core from what is waited for.
    """
    deadline = time.monotonic() + seconds
    while True:
        began = time.monotonic()
        if seen := look():
            return seen
        assert time.monotonic() < deadline, f"after {seconds} s still not: {what}"
        time.sleep(min(0.2, max(0.02, 3 * (time.monotonic() - began))))


class Process:
    """``python -m`` with its log in a file of the folder, started at once. Where it is to import anew what
    is read at import, ``begin`` is ``started``."""

    def __init__(
        self,
        folder: Path,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        ready_words: str,
        begin: Callable[..., Any] = Forked,
    ) -> None:
        self.name = f"{name}{next(_numbers)}"
        self.log = folder / f"{self.name}.log"
        self._folder = folder
        self._command = [word.replace("{name}", self.name) for word in command]
        self._environment = environment
        self._ready_words = ready_words
        self._begin = begin
        STARTED.append(self)
        self._start()

    def _start(self) -> None:
        self._read_from = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as output:
            environment = clean_environment(self._environment)
            self.popen = self._begin(
                self._command, cwd=self._folder, env=environment, stdout=output, stderr=output
            )

    def stop(self) -> int:
        """End it as an operator does; returns its exit code."""
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.popen.returncode

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.popen.pid).children(recursive=True)

    # --- what a node of pytest-celery asks of its container -----------------------------------------

    @property
    def status(self) -> str:
        return "running" if self.popen.poll() is None else "exited"

    @property
    def id(self) -> str:
        return self.name

    @property
    def celeryconfig(self) -> dict[str, Any]:
        return {"url": self._environment["SEEDER_BROKER_URL"]}

    def worker_name(self) -> str:
        return self.name

    def worker_queue(self) -> str:
        return "seeder.refresh"

    def logs(self) -> str:
        """What it said since its last start."""
        with self.log.open("rb") as file:
            file.seek(self._read_from)
            return file.read().decode(errors="replace")

    def ready(self) -> bool:
        def look() -> bool:
            assert self.popen.poll() is None, f"{self.name} ended:\n{self.logs()}"
            return self._ready_words in self.logs()

        return wait_until(f"{self.name} is ready", look)

    def kill(self, signal: str | int = "SIGKILL") -> None:
        """The whole of it: a SIGKILL leaves no pool process behind that would find out for itself."""
        number = _number(signal)
        family = [*self.children(), psutil.Process(self.popen.pid)] if number == _number("SIGKILL") else []
        self.popen.send_signal(number)
        for process in family:
            if process.is_running():
                process.kill()
        self.popen.wait(30)

    def restart(self, timeout: int = 30) -> None:  # noqa: ARG002 - pytest-celery passes it
        self.stop()
        self._start()
        self.ready()

    def reload(self) -> None:
        """A process is always up to date."""

    def teardown(self) -> None:
        self.stop()


class Worker(CeleryTestWorker):
    """``celery -A seeder worker`` as a node of pytest-celery."""

    container: Process

    def spent(self) -> tuple[float, int]:
        """Seconds of processor time so far, and bytes of memory, with its pool's processes."""
        family = [psutil.Process(self.container.popen.pid), *self.container.children()]
        times = [process.cpu_times() for process in family]
        seconds = sum(one.user + one.system for one in times)
        return seconds, sum(process.memory_info().rss for process in family)

    def wait_for_log(self, log: str, message: str = "", timeout: int = 30) -> None:
        wait_until(message or f"{self.name()} logs {log!r}", lambda: log in self.logs(), timeout)


def started(arguments: Sequence[str], **more: Any) -> subprocess.Popen[bytes]:
    """What ``Forked`` is, as a process that imports everything itself."""
    return subprocess.Popen([sys.executable, "-m", *arguments], stdin=subprocess.DEVNULL, **more)


def celery(*arguments: str) -> list[str]:
    return ["celery", "-A", "seeder", *arguments]


def pool_arguments(pool: str) -> tuple[str, ...]:
    """What selects a pool: nothing for ``threads``, seeder's default."""
    return () if pool == "threads" else ("-P", pool)


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """This process' environment without what would configure seeder, plus that."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("SEEDER_")}
    path = os.pathsep.join(filter(None, (str(ROOT), own.get("PYTHONPATH"))))
    return {**own, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **environment}


def _number(name: str | int) -> int:
    return int(signal.Signals[name]) if isinstance(name, str) else name
