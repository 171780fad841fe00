"""CPU and memory that the PostgreSQL backend of a connection used.

They are read from its process if that runs on this host, else from what the server reports, else unknown."""

import os
import re
import socket
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import psutil

#: The kernel counts CPU time in ticks of 10 ms; below this, one tick is more than 5 per cent.
SHORTEST_SECONDS = 0.2

_CPU = re.compile(r"!\s+([\d.]+) s user, ([\d.]+) s system, [\d.]+ s elapsed")
_MEMORY = re.compile(r"!\s+(\d+) kB max resident size")


@dataclass(frozen=True)
class Usage:
    """What a backend used: MiB resident, per cent of one processor over the time measured.

    None is unknown."""

    memory_mb: int | None
    cpu_percentage: int | None


UNKNOWN = Usage(None, None)


@dataclass
class Meter:
    """A measurement; ``usage`` says what it was once it has ended."""

    usage: Usage = UNKNOWN


@dataclass(frozen=True)
class Reading:
    """A process's CPU time at a moment; ``usage()`` reads on from there."""

    process: psutil.Process
    cpu_seconds: float
    started: float

    @classmethod
    def of(cls, process: psutil.Process) -> Self | None:
        """None where the process can't be read."""
        try:
            return cls(process, _cpu_seconds(process), time.monotonic())
        except psutil.Error:
            return None

    def usage(self) -> Usage:
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


def reported(notices: Iterable[str], wall_seconds: float) -> Usage:
    """What PostgreSQL's ``log_statement_stats`` said of the statements that took that long altogether.

    It reads the kernel's own figures (getrusage), in microseconds, so short runs are measurable too. Its
    memory is the most that the backend has ever had, not what it has now: all that there is. The first line
    of a report is not translated, whatever ``lc_messages`` is (postgres.c, ShowUsage).
    """
    reports = [notice for notice in notices if "! system usage stats:" in notice]
    cpu = [_CPU.search(report) for report in reports]
    memory = [found for report in reports if (found := _MEMORY.search(report))]
    seconds = sum(float(found[1]) + float(found[2]) for found in cpu if found)
    return Usage(
        memory_mb=round(int(memory[-1][1]) / 1024) if memory else None,
        cpu_percentage=round(100 * seconds / wall_seconds) if any(cpu) and wall_seconds > 0 else None,
    )


def local_backend(pid: int, descriptor: int) -> psutil.Process | None:
    """The process of a backend, if it is certain that the server runs in this host's process space.

    A process of that number proves nothing: the server may be elsewhere, or in a container whose loopback is
    forwarded here. So over TCP the process title must hold our end's address, which PostgreSQL puts there
    (``update_process_title``, the default but on Windows); over a Unix-domain socket the backend's parent
    must be the process that the kernel says listens on it. Behind a pooler neither holds, and the number need
    not be one of a process at all (PgBouncer's are random, and may be negative).
    """
    try:
        process = psutil.Process(pid)
        with socket.socket(fileno=os.dup(descriptor)) as ours:
            if ours.family == socket.AF_UNIX:
                credentials = ours.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
                return process if struct.unpack("3i", credentials)[0] == process.ppid() else None
            host, port = ours.getsockname()[:2]
        return process if f" {host}({port}) " in " ".join(process.cmdline()) + " " else None
    except (psutil.Error, OSError, AttributeError, ValueError, OverflowError):
        # AttributeError: no SO_PEERCRED outside Linux. ValueError, OverflowError: no number of a process.
        return None


def _cpu_seconds(process: psutil.Process) -> float:
    """Raises psutil.Error; also where the process has ended and only its parent hasn't noticed: it still has
    its times then, but no memory."""
    with process.oneshot():
        if process.status() == psutil.STATUS_ZOMBIE:
            raise psutil.ZombieProcess(process.pid)
        times = process.cpu_times()
    return times.user + times.system
