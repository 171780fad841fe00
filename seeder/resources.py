"""CPU and memory of the PostgreSQL backend that serves a connection, where this host can know them."""

import os
import socket
import struct
import time
from dataclasses import dataclass

import psutil

#: The kernel counts CPU time in ticks of 10 ms; below this, one tick is more than 5 per cent.
SHORTEST_SECONDS = 0.2


@dataclass(frozen=True)
class Usage:
    """What a backend used: MiB resident at the end, per cent of one processor over the time measured.

    None is unknown."""

    memory_mb: int | None
    cpu_percentage: int | None


UNKNOWN = Usage(None, None)


@dataclass(frozen=True)
class Meter:
    """A backend's CPU time at a moment; ``usage()`` reads on from there."""

    process: psutil.Process | None
    cpu_seconds: float
    started: float

    def usage(self) -> Usage:
        if self.process is None:
            return UNKNOWN
        try:
            with self.process.oneshot():
                cpu = _cpu_seconds(self.process) - self.cpu_seconds
                memory = self.process.memory_info().rss
        except psutil.Error:
            return UNKNOWN
        wall = time.monotonic() - self.started
        measurable = wall >= SHORTEST_SECONDS
        return Usage(
            memory_mb=round(memory / 2**20), cpu_percentage=round(100 * cpu / wall) if measurable else None
        )


def meter(process: psutil.Process | None) -> Meter:
    """Start measuring. None measures nothing and knows it."""
    try:
        cpu = _cpu_seconds(process) if process else 0.0
    except psutil.Error:
        process, cpu = None, 0.0
    return Meter(process, cpu, time.monotonic())


def local_backend(pid: int, descriptor: int) -> psutil.Process | None:
    """The process of a backend, if it is certain that the server runs in this host's process space.

    A process of that number proves nothing: the server may be elsewhere, or in a container whose loopback is
    forwarded here. So over TCP the process title must hold our end's address, which PostgreSQL puts there
    (``update_process_title``, the default but on Windows); over a Unix-domain socket the backend's parent
    must be the process that the kernel says listens on it.
    """
    try:
        process = psutil.Process(pid)
        with socket.socket(fileno=os.dup(descriptor)) as ours:
            if ours.family == socket.AF_UNIX:
                credentials = ours.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
                return process if struct.unpack("3i", credentials)[0] == process.ppid() else None
            host, port = ours.getsockname()[:2]
        return process if f" {host}({port}) " in " ".join(process.cmdline()) + " " else None
    except (psutil.Error, OSError, AttributeError):
        # AttributeError: no SO_PEERCRED outside Linux.
        return None


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system
