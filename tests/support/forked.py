"""Starts ``python -m …`` quickly: forks it from a process that has already imported seeder.

Importing is most of what a short command or a worker's start costs: 1.5 of 1.8 s. A test in which the start
itself matters starts its program with subprocess.
"""

import atexit
import functools
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

NUMBER = struct.Struct("i")
TEMPLATE = Path(__file__).with_name("template.py")


class Forked:
    """``python -m`` with these arguments, under way. What it has of ``subprocess.Popen`` means the same."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        cwd: Path | str,
        env: Mapping[str, str],
        stdout: IO[Any],
        stderr: IO[Any],
    ) -> None:
        self.args = list(arguments)
        self.returncode: int | None = None
        request = {"arguments": self.args, "environment": dict(env), "folder": str(cwd)}
        self._told, telling = os.pipe()
        with Path(os.devnull).open() as nothing:
            channels = [nothing.fileno(), stdout.fileno(), stderr.fileno(), telling]
            socket.send_fds(_template(), [json.dumps(request).encode()], channels)
        os.close(telling)
        self.pid = self._answer()

    def poll(self) -> int | None:
        if self.returncode is None and select.select([self._told], [], [], 0)[0]:
            self._end()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._told], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self._end()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _end(self) -> None:
        self.returncode = self._answer()
        os.close(self._told)

    def _answer(self) -> int:
        answer = os.read(self._told, NUMBER.size)
        assert answer, "the template has ended"
        return int(*NUMBER.unpack(answer))


def run_module(
    arguments: Sequence[str], *, cwd: Path | str, env: Mapping[str, str], timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """``python -m`` with these arguments, to its end, and what it said."""
    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        process = Forked(arguments, cwd=cwd, env=env, stdout=stdout, stderr=stderr)
        try:
            process.wait(timeout)
        finally:
            process.kill()
        said = [channel.seek(0) or channel.read() for channel in (stdout, stderr)]
    return subprocess.CompletedProcess(process.args, process.wait(), *said)


@functools.cache
def _template() -> socket.socket:
    """The way to the template of this process, which ends with it."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    own = {name: value for name, value in os.environ.items() if not name.startswith(("SEEDER_", "CELERY_"))}
    with its:
        template = subprocess.Popen(
            [sys.executable, str(TEMPLATE), str(its.fileno())],
            cwd="/",
            env={**own, "PYTHONUNBUFFERED": "1"},
            pass_fds=[its.fileno()],
            stdin=subprocess.DEVNULL,
        )
    atexit.register(lambda: (ours.close(), template.wait()))
    return ours
