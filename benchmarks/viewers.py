"""``python -m benchmarks viewers``: measures what many open pages cost a seeding, and how fast a page opens.

Seedings with and without viewers take turns, so that both meet the same machine. The viewers' own end, which
would be their browsers', is a process of its own here, and takes its share of the same processors.
"""

import asyncio
import contextlib
import multiprocessing
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event

from rich.console import Console

from benchmarks import tiny
from benchmarks.arena import Arena, BenchmarkFailed
from benchmarks.contestants import worker
from benchmarks.measuring import Say
from benchmarks.web import ask, serving

VIEWERS = 200
REPETITIONS = 5
GOAL = 0.95
CONNECT_SECONDS = 30.0


@dataclass
class Watched:
    """Seconds of each seeding, pair by pair, and milliseconds of each page opened meanwhile."""

    alone: list[float] = field(default_factory=list)
    watched: list[float] = field(default_factory=list)
    pages: list[float] = field(default_factory=list)

    @property
    def ratios(self) -> list[float]:
        return [alone / watched for alone, watched in zip(self.alone, self.watched, strict=True)]


def measure(arena: Arena, views: int, viewers: int, repetitions: int, concurrency: int, say: Say) -> Watched:
    say(f"viewers: creating {views} views")
    workload = tiny.prepare(arena, views)
    result = Watched()
    with (
        worker(arena, workload, "watched", 1, concurrency) as seeding,
        serving(arena, workload.database_url) as (port, _process),
    ):
        seeding.run()
        for number in range(1, repetitions + 1):
            result.alone.append(seeding.run().seconds)
            with _watching(port, viewers), _opening(port) as pages:
                result.watched.append(seeding.run().seconds)
            result.pages.extend(pages)
            say(f"viewers: {number} of {repetitions}: {result.ratios[-1]:.2f} of the seeding alone")
    return result


def show(out: Console, viewers: int, result: Watched) -> None:
    ratios, pages = result.ratios, sorted(result.pages)
    reached = "reached" if statistics.median(ratios) >= GOAL else "missed"
    out.print(
        f"\n[bold]viewers[/]: a seeding watched by {viewers} goes at {statistics.median(ratios):.3f} "
        f"({min(ratios):.3f} to {max(ratios):.3f}) of its speed alone; goal {GOAL}, {reached}\n"
        f"a page opened meanwhile: median {statistics.median(pages):.0f} ms, "
        f"p99 {pages[int(0.99 * (len(pages) - 1))]:.0f} ms, of {len(pages)}",
        highlight=False,
    )


@contextmanager
def _watching(port: int, viewers: int) -> Iterator[None]:
    """So many event streams, read as they come, all open before the block begins."""
    spawn = multiprocessing.get_context("spawn")
    there, over = spawn.Event(), spawn.Event()
    process = spawn.Process(target=_watch, args=(port, viewers, there, over))
    process.start()
    try:
        if not there.wait(CONNECT_SECONDS):
            raise BenchmarkFailed(f"{viewers} viewers weren't let in within {CONNECT_SECONDS:.0f} s")
        yield
        if not process.is_alive():
            raise BenchmarkFailed("the viewers lost their streams")
    finally:
        over.set()
        process.join(10)
        process.kill()


def _watch(port: int, viewers: int, there: Event, over: Event) -> None:
    async def stream() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.partition(b"\r\n")[0]:
            raise BenchmarkFailed(head.decode())
        nonlocal open_streams
        open_streams += 1
        if open_streams == viewers:
            there.set()
        while await reader.read(1 << 16):
            pass
        raise BenchmarkFailed("a stream ended")

    async def watch() -> None:
        streams = [asyncio.create_task(stream()) for _ in range(viewers)]
        ended = asyncio.create_task(asyncio.to_thread(over.wait))
        done, _ = await asyncio.wait([*streams, ended], return_when=asyncio.FIRST_COMPLETED)
        for one in streams:
            one.cancel()
        if ended not in done:
            over.set()
            sys.exit(1)

    open_streams = 0
    asyncio.run(watch())


@contextmanager
def _opening(port: int) -> Iterator[list[float]]:
    """The monitoring page, opened twice a second while the block runs; milliseconds of each."""
    over = threading.Event()
    taken: list[float] = []
    failures: list[BaseException] = []

    async def once() -> float:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        began = time.perf_counter()
        status = await ask(reader, writer, "/")
        writer.close()
        if status != 200:
            raise BenchmarkFailed(f"the page was answered with {status}")
        return 1000 * (time.perf_counter() - began)

    def opening() -> None:
        try:
            taken.append(asyncio.run(once()))
            while not over.wait(0.5):
                taken.append(asyncio.run(once()))
        except BaseException as failure:  # noqa: BLE001 - raised again where it is seen
            failures.append(failure)

    thread = threading.Thread(target=opening)
    thread.start()
    try:
        yield taken
    finally:
        over.set()
        thread.join()
    with contextlib.suppress(IndexError):
        raise failures[0]
