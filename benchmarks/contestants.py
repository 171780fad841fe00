"""The two that are compared: seeder with all its recording, and a loop that only refreshes."""

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from celery import Celery

import seeder
from benchmarks.arena import Arena, BenchmarkFailed, connect, rows, tree_cpu_seconds
from benchmarks.workload import Workload
from seeder.supervision.kept import KILL, Kept, Program, Step

#: No refresh of the workloads takes nearly as long.
STALLED_AFTER_SECONDS = 120.0
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Leg:
    """One pass over all views: wall seconds, and CPU seconds by who used them."""

    seconds: float
    cpu_seconds: dict[str, float]
    #: Of a seeding, the part before the first run was recorded as running.
    fan_out_seconds: float | None = None


class BareLoop:
    """As many threads as the worker has, each with a connection in autocommit that stays open."""

    def __init__(self, arena: Arena, workload: Workload, connections: int) -> None:
        self._arena = arena
        self._connections = [connect(workload.database_url, "bare loop") for _ in range(connections)]

    def run(self, matviews: Sequence[str]) -> Leg:
        """Refresh each matview once, in this order. The clock runs from the first thread's start to the
        last one's end."""
        waiting = deque(matviews)
        errors: list[Exception] = []

        def work(connection: Any) -> None:
            with connection.cursor() as cursor:
                while waiting and not errors:
                    try:
                        matview = waiting.popleft()
                    except IndexError:
                        return
                    try:
                        cursor.execute(f"refresh materialized view {matview}")
                    except Exception as error:  # noqa: BLE001 - raised below, in the caller's thread
                        errors.append(error)

        before, own = self._arena.cpu_seconds(), time.process_time()
        threads = [threading.Thread(target=work, args=(one,)) for one in self._connections]
        started = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.perf_counter() - started
        if errors:
            raise BenchmarkFailed(f"the bare loop failed: {errors[0]}")
        return Leg(seconds, {"loop": time.process_time() - own, **since(self._arena, before)})

    def close(self) -> None:
        for connection in self._connections:
            connection.close()


class SeederWorker:
    """A Celery worker that runs, and the means to have it seed."""

    def __init__(self, arena: Arena, workload: Workload, broker_url: str, process: Kept, log: Path) -> None:
        self._arena = arena
        self._workload = workload
        self._process = process
        self._log = log
        self._app = Celery(broker=broker_url)
        self._connection = connect(workload.database_url)

    @property
    def pid(self) -> int:
        return self._process.pid

    def run(self) -> Leg:
        """One seeding of everything, as the schedule starts it.

        The clock runs from just before the message ``seeder.refresh_all`` is sent to the moment at which the
        last run was recorded as ended, both by the database's clock: reading the manifests, planning,
        recording all runs as pending, publishing their messages, and the runs with all their recording.
        """
        before, own = self._arena.cpu_seconds(), tree_cpu_seconds(self._process.pid)
        [(last_id,)] = rows(self._connection, "select coalesce(max(id), 0) from reporting.seeder_run_history")
        [(asked,)] = rows(self._connection, "select clock_timestamp()")
        self._app.send_task("seeder.refresh_all", queue="seeder.control")
        self._wait(last_id)
        cpu = {
            "worker": tree_cpu_seconds(self._process.pid) - own,
            **since(self._arena, before),
        }
        [(seconds, fan_out)] = rows(
            self._connection,
            "select extract(epoch from max(finish_time) - %s)::float8,"
            "       extract(epoch from min(start_time) - %s)::float8 "
            "from reporting.seeder_run_history where id > %s",
            asked,
            asked,
            last_id,
        )
        return Leg(seconds, cpu, fan_out)

    def wait_until_ready(self, node: str) -> None:
        """Its start takes seconds, which are no part of a seeding. Raises BenchmarkFailed."""
        began = time.monotonic()
        while not self._app.control.ping([node], timeout=0.5):
            if self._process.ended is not None or time.monotonic() - began > STALLED_AFTER_SECONDS:
                raise stalled(self._log, "it is not ready")

    def last_order(self) -> list[str]:
        """The views in the order in which the last seeding took them up."""
        names = rows(
            self._connection,
            "select table_name from reporting.seeder_run_history order by id desc limit %s",
            len(self._workload.matviews),
        )
        started = rows(
            self._connection,
            "select table_name from reporting.seeder_job_status where table_name = any(%s) "
            "order by start_time",
            [name for (name,) in names],
        )
        return [self._workload.matviews[name] for (name,) in started]

    def close(self) -> None:
        self._connection.close()
        self._app.close()

    def _wait(self, last_id: int) -> None:
        """Until every view's run has ended. Raises BenchmarkFailed where one failed, or nothing moves."""
        moved, ended = time.monotonic(), -1
        while True:
            [(succeeded, failed, errors)] = rows(
                self._connection,
                "select count(*) filter (where status = 'success'), count(*) filter (where status = 'error'),"
                " min(table_name || ': ' || errors) filter (where status = 'error') "
                "from reporting.seeder_run_history where id > %s",
                last_id,
            )
            if failed:
                raise BenchmarkFailed(f"{failed} runs failed, such as {errors}")
            if succeeded == len(self._workload.matviews):
                return
            if succeeded != ended:
                moved, ended = time.monotonic(), succeeded
            if self._process.ended is not None or time.monotonic() - moved > STALLED_AFTER_SECONDS:
                raise stalled(self._log, f"{ended} runs done")
            time.sleep(POLL_SECONDS)


@contextmanager
def worker(
    arena: Arena,
    workload: Workload,
    name: str,
    number: int,
    concurrency: int,
    pool: str | None = None,
    settings: Mapping[str, str] | None = None,
) -> Iterator[SeederWorker]:
    """``celery -A seeder worker``, with the defaults but for the concurrency and what else is given.

    Its own Redis database, ``number``, keeps several workers apart that wait for their turns.
    """
    node = f"{name}@{socket.gethostname()}"
    words = ("-n", node, "-c", str(concurrency), *(("-P", pool) if pool else ()))
    broker_url = arena.broker_url(number)
    with celery_worker(arena, workload, name, "seeder", broker_url, words, settings) as (process, log):
        contestant = SeederWorker(arena, workload, broker_url, process, log)
        try:
            contestant.wait_until_ready(node)
            yield contestant
        finally:
            contestant.close()


@contextmanager
def celery_worker(
    arena: Arena,
    workload: Workload,
    name: str,
    app: str,
    broker_url: str,
    words: Sequence[str],
    settings: Mapping[str, str] | None = None,
) -> Iterator[tuple[Kept, Path]]:
    """A worker of an app of Celery's, on the workload's database, and its log."""
    folder = arena.folder / f"{workload.name}-{name}"
    folder.mkdir()
    log = folder / "worker.log"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SEEDER_")}
    environment |= {
        "SEEDER_DATABASE_URL": workload.database_url,
        "SEEDER_BROKER_URL": broker_url,
        "PYTHONPATH": str(Path(seeder.__file__).parents[1]),
        **(settings or {}),
    }
    program = Program(
        f"benchmark worker {name}",
        (sys.executable, "-m", "celery", "-A", app, "worker", *words),
        steps=(Step(signal.SIGTERM, 30.0), KILL),
        env=environment,
    )
    with contextlib.chdir(folder), log.open("wb") as output:
        process = Kept(program, output)
    try:
        yield process, log
    finally:
        process.stop()


def stalled(log: Path, how_far: str) -> BenchmarkFailed:
    lines = "\n  ".join(log.read_text().splitlines()[-20:])
    return BenchmarkFailed(f"the worker does not go on ({how_far}):\n  {lines}")


def since(arena: Arena, before: dict[str, float]) -> dict[str, float]:
    return {name: used - before[name] for name, used in arena.cpu_seconds().items()}
