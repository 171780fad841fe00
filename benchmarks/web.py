"""``python -m benchmarks web``: measures how quickly the API answers many clients over a large record."""

import argparse
import asyncio
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import psutil
from rich.console import Console

from benchmarks.arena import Arena, BenchmarkFailed, arena, connect, rows
from benchmarks.printing import machine
from benchmarks.record import fill
from seeder.errors import UserError
from seeder.history import WINDOW_DAYS, HistoryRepository, queries
from seeder.maintenance.lost_runs import QUIET_SECONDS
from seeder.postgres.databases import Databases

JOBS, NIGHTS = 10_000, 500
CLIENTS, REQUESTS = 20, 4_000

#: What an answer may take, in milliseconds.
GOAL_MEDIAN, GOAL_P99 = 50, 150

START_SECONDS = 60
SWEEPS = 20


@dataclass(frozen=True)
class Answered:
    """How long answers took, in milliseconds, and what one cost the serving process."""

    what: str
    requests: int
    median: float
    p99: float
    longest: float
    per_second: float
    cpu_ms: float


def main(arguments: Sequence[str]) -> int:
    """0: measured; 1: something failed."""
    asked = _parser().parse_args(arguments)
    out = Console(stderr=asked.json, width=110)
    try:
        with arena() as place:
            facts = machine(place)
            out.print(f"loading {asked.jobs * asked.nights:,} runs of {asked.jobs:,} jobs")
            url = place.make_database("web")
            fill(url, asked.jobs, asked.nights)
            sweep, plan = _sweep(url)
            with serving(place, url) as (port, process):
                results = [_measured(what, path, port, process, asked) for what, path in _paths(url).items()]
    except (BenchmarkFailed, UserError) as failure:
        sys.stderr.write(f"benchmarks: {failure}\n")
        return 1
    for one in results:
        out.print(
            f"{one.what:<28} median {one.median:6.1f} ms  p99 {one.p99:6.1f} ms  "
            f"longest {one.longest:6.1f} ms  {one.per_second:6.0f}/s  CPU {one.cpu_ms:.2f} ms",
            highlight=False,
            soft_wrap=True,
        )
    out.print(
        f"a sweep's look for unfinished runs: median {sweep:.1f} ms\n{plan}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    out.print(f"{asked.clients} clients; goals: median {GOAL_MEDIAN} ms, p99 {GOAL_P99} ms. {facts}")
    if asked.json:
        answers = [asdict(one) for one in results]
        print(json.dumps({"machine": facts, "answers": answers, "sweep_ms": sweep, "plan": plan}, indent=2))
    return 0


def _sweep(url: str) -> tuple[float, str]:
    """What a sweep asks of the history each minute: milliseconds, and PostgreSQL's plan."""
    databases = Databases(url)
    history = HistoryRepository(databases, "reporting")
    values = {"days": WINDOW_DAYS, "quiet_seconds": QUIET_SECONDS}
    taken = []
    for _ in range(SWEEPS):
        began = time.perf_counter()
        history.unfinished(**values)
        taken.append(1000 * (time.perf_counter() - began))
    with databases.session() as session:
        plan = session.rows(
            f"explain (analyze, buffers, costs off) {history.sql(queries.UNFINISHED)}", **values
        )
    databases.dispose()
    return statistics.median(taken), "\n".join(line for (line,) in plan)


def _paths(url: str) -> dict[str, Callable[[], str]]:
    connection = connect(url)
    tables = [name for (name,) in rows(connection, "select table_name from reporting.seeder_job_status")]
    connection.close()
    return {
        "/api/jobs": lambda: "/api/jobs",
        "/api/jobs, other filters": lambda: f"/api/jobs?agency=agency-{random.randrange(50)}&sort=startTime",
        "/api/jobs/{table}/history": lambda: f"/api/jobs/{random.choice(tables)}/history",
        "/api/history": lambda: "/api/history",
        "/api/summary": lambda: "/api/summary",
        "/, the page": lambda: "/",
        "/, other filters": lambda: f"/?q={random.choice(tables)}&sort=lastSuccess&order=desc",
    }


@contextmanager
def serving(place: Arena, url: str) -> Any:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (place.folder / "web.log").open("wb")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("SEEDER_")},
        "SEEDER_DATABASE_URL": url,
        "SEEDER_BROKER_URL": place.broker_url(0),
        "SEEDER_API_TOKEN": "of-the-benchmark-only",
    }
    command = [sys.executable, "-m", "seeder", "web", f"--port={port}"]
    server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + START_SECONDS
        while asyncio.run(_status(port, "/api/summary")) != 200:
            if time.monotonic() > deadline or server.poll() is not None:
                raise BenchmarkFailed(f"`seeder web` didn't answer: {(place.folder / 'web.log').read_text()}")
            time.sleep(0.2)
        yield port, psutil.Process(server.pid)
    finally:
        server.terminate()
        server.wait(30)
        log.close()


def _measured(
    what: str, path: Callable[[], str], port: int, process: psutil.Process, asked: argparse.Namespace
) -> Answered:
    each = asked.requests // asked.clients
    asyncio.run(_clients(port, path, asked.clients, max(1, each // 10)))
    used, began = sum(process.cpu_times()[:2]), time.perf_counter()
    taken = sorted(asyncio.run(_clients(port, path, asked.clients, each)))
    elapsed, used = time.perf_counter() - began, sum(process.cpu_times()[:2]) - used
    return Answered(
        what=what,
        requests=len(taken),
        median=statistics.median(taken),
        p99=taken[int(0.99 * (len(taken) - 1))],
        longest=taken[-1],
        per_second=len(taken) / elapsed,
        cpu_ms=1000 * used / len(taken),
    )


async def _clients(port: int, path: Callable[[], str], clients: int, each: int) -> list[float]:
    """Each asks again as soon as it is answered, over a connection of its own."""
    taken = await asyncio.gather(*(_client(port, path, each) for _ in range(clients)))
    return [milliseconds for one in taken for milliseconds in one]


async def _client(port: int, path: Callable[[], str], each: int) -> list[float]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    taken = []
    for _ in range(each):
        began = time.perf_counter()
        status = await ask(reader, writer, path())
        taken.append(1000 * (time.perf_counter() - began))
        if status != 200:
            raise BenchmarkFailed(f"answered with {status}")
    writer.close()
    return taken


async def _status(port: int, path: str) -> int:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        status = await ask(reader, writer, path)
        writer.close()
    except OSError:
        return 0
    return status


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> int:
    """A bare HTTP client: a full one would cost more than what is measured."""
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    await reader.readexactly(int(head.partition("content-length:")[2].split("\r\n")[0]))
    return int(head.split()[1])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks web", description="How quickly the API answers over a large record."
    )
    parser.add_argument("--jobs", type=int, default=JOBS, help=f"manifests (default: {JOBS})")
    parser.add_argument("--nights", type=int, default=NIGHTS, help=f"runs of each (default: {NIGHTS})")
    parser.add_argument("--clients", type=int, default=CLIENTS, help=f"at once (default: {CLIENTS})")
    parser.add_argument("--requests", type=int, default=REQUESTS, help=f"of each kind (default: {REQUESTS})")
    parser.add_argument("--json", action="store_true", help="every figure as JSON; the table on stderr")
    return parser
