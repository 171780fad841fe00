"""Measures a night on a large platform: the memory of two workers, Redis and PostgreSQL while it runs.

Memory and connections must not grow with the number of runs that are behind or ahead.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import psutil
from redis import Redis
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from benchmarks.arena import Arena, BenchmarkFailed, connect, rows
from benchmarks.contestants import SeederWorker, worker
from benchmarks.measuring import Say
from benchmarks.workload import Workload

MANIFESTS = 10_000
AGENCIES = 200
WORKERS = 2
#: The first creates, the others refresh.
SEEDINGS = ("create", "refresh", "refresh again")

QUERY = "select agency_id, product, sum(amount) as revenue from public.sale group by 1, 2"

PREPARE = """
create table public.sale as
select i %% 200 as agency_id, 'product ' || i %% 7 as product, i::numeric as amount
from generate_series(1, 400) as i;
insert into reporting.seeder_custom_report_manifest
    (id, table_name, report_name, agency_id, agency_slug, query, enabled)
select i, 'load_' || i, 'Report ' || i, i %% %(agencies)s, 'agency-' || i %% %(agencies)s, %(query)s, true
from generate_series(1, %(manifests)s) as i
"""

#: All backends of the workers; those of the benchmark itself are called otherwise.
CONNECTIONS = """
select count(*) from pg_stat_activity where datname = current_database() and application_name like 'seeder%'
"""

RECORDED = """
select count(*), count(distinct run_id), count(distinct table_name), count(distinct agency_slug)
from reporting.seeder_run_history where id > %s and status = 'success'
"""


@dataclass(frozen=True)
class Sample:
    """What is held at one moment. Memory in MiB, of all workers together with their children."""

    seconds: float
    worker_mib: float
    redis_mib: float
    connections: int
    redis_clients: int


@dataclass(frozen=True)
class Night:
    """One seeding, from the moment it was asked for to its last record."""

    what: str
    runs: int
    seconds: float
    fan_out_seconds: float
    samples: list[Sample]


def measure(arena: Arena, manifests: int, concurrency: int, say: Say) -> list[Night]:
    """Raises BenchmarkFailed where a run failed, or any was recorded not once."""
    url = arena.make_database("load")
    agencies = min(AGENCIES, manifests)
    connection = connect(url)
    with connection.cursor() as cursor:
        cursor.execute(PREPARE, {"query": QUERY, "manifests": manifests, "agencies": agencies})
    names = {f"load_{number}": f"reporting.load_{number}" for number in range(1, manifests + 1)}
    workload = Workload("load", f"{manifests} manifests of {agencies} agencies", 0.0, url, names)
    nights = []
    with ExitStack() as stack:
        workers = [
            stack.enter_context(worker(arena, workload, f"worker-{number}", 1, concurrency))
            for number in range(WORKERS)
        ]
        for what in SEEDINGS:
            say(f"load: {what} {manifests:,} matviews")
            [(last_id,)] = rows(connection, "select coalesce(max(id), 0) from reporting.seeder_run_history")
            with _sampled(arena, workload, workers) as samples:
                leg = workers[0].run()
            recorded = rows(connection, RECORDED, last_id)
            if recorded != [(manifests, manifests, manifests, agencies)]:
                raise BenchmarkFailed(f"{what}: recorded as runs, run_ids, tables and agencies: {recorded}")
            nights.append(Night(what, manifests, leg.seconds, leg.fan_out_seconds or 0.0, samples))
    connection.close()
    return nights


def show(out: Console, concurrency: int, nights: list[Night]) -> None:
    out.print(f"\n[bold]load[/]: {WORKERS} workers with {concurrency} threads each", highlight=False)
    table = Table(box=SIMPLE, pad_edge=False)
    table.add_column("seeding", no_wrap=True)
    for heading in ("runs", "fan-out", "all", "held", "at the start", "half-way", "at the end", "most"):
        table.add_column(heading, justify="right")
    for night in nights:
        first = (night.what, f"{night.runs:,}", f"{night.fan_out_seconds:.1f} s", f"{night.seconds:.0f} s")
        for title, name, digits in (
            ("workers, MiB", "worker_mib", 0),
            ("Redis, MiB", "redis_mib", 1),
            ("connections", "connections", 0),
            ("Redis clients", "redis_clients", 0),
        ):
            held = [float(getattr(sample, name)) for sample in night.samples]
            figures = (held[0], held[len(held) // 2], held[-1], max(held))
            table.add_row(*first, title, *(f"{figure:.{digits}f}" for figure in figures))
            first = ("", "", "", "")
    out.print(table)


@contextmanager
def _sampled(arena: Arena, workload: Workload, workers: list[SeederWorker]) -> Iterator[list[Sample]]:
    """A sample now, one a second while the block runs, and one at its end."""
    over = threading.Event()
    samples: list[Sample] = []
    started = time.monotonic()
    connection = connect(workload.database_url)
    redis = Redis.from_url(arena.broker_url(1))

    def look() -> None:
        info = redis.info()
        [(connections,)] = rows(connection, CONNECTIONS)
        samples.append(
            Sample(
                round(time.monotonic() - started, 1),
                sum(_tree_mib(one.pid) for one in workers),
                info["used_memory"] / 2**20,
                connections,
                info["connected_clients"],
            )
        )

    def watch() -> None:
        while not over.wait(1.0):
            look()

    thread = threading.Thread(target=watch)
    look()
    thread.start()
    try:
        yield samples
    finally:
        over.set()
        thread.join()
        look()
        redis.close()
        connection.close()


def _tree_mib(pid: int) -> float:
    process = psutil.Process(pid)
    return sum(one.memory_info().rss for one in [process, *process.children(recursive=True)]) / 2**20
