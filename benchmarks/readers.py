"""Measures how long a reader waits while the matview that it reads is refreshed, in each mode.

One reader asks for one row by its key, again and again, on a connection of its own; meanwhile one run after
another brings the matview up to date, as a worker would. What is told is the reader's longest wait: whoever
reads during a refresh may be the one it happens to.
"""

import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from benchmarks.arena import Arena, connect
from benchmarks.measuring import Say
from seeder.config.settings import Settings
from seeder.manifests import Manifest
from seeder.matviews import bring_up_to_date, policy_of
from seeder.matviews.locks import lock
from seeder.models import ReportType
from seeder.postgres.databases import Databases
from seeder.sql.directives import RefreshMode

ROWS = 1_000_000
REPETITIONS = 5
MODES = (RefreshMode.PLAIN, RefreshMode.CONCURRENTLY, RefreshMode.SWAP)

SALES = """
create table public.sale as
select n as id, 'product ' || n %% 7 as product, (n * 37 %% 1000) / 10.0 as amount
from generate_series(1, %s) as n
"""

#: A tenth of the rows differs from one refresh to the next.
CHANGE = "update public.sale set amount = amount + 1 where id %% 10 = %s"

QUERY = "select id, product, amount, lag(amount) over (order by id) as before from public.sale"

#: The first one is what CONCURRENTLY needs, and what the reader uses.
INDEXES = """
create unique index on reporting.report (id);
create index on reporting.report (product);
create index on reporting.report (amount)
"""

READ = "select amount from reporting.report where id = %s"


@dataclass(frozen=True)
class Waits:
    """What was measured in one mode, in seconds."""

    mode: str
    refreshes: list[float] = field(default_factory=list)
    #: For each refresh the longest read during it.
    longest: list[float] = field(default_factory=list)
    reads: list[float] = field(default_factory=list)


def measure(arena: Arena, rows: int, repetitions: int, say: Say) -> list[Waits]:
    """Every mode with the same rows and indexes."""
    url = arena.make_database("readers")
    say(f"readers: making {rows:,} rows")
    connection = connect(url)
    with connection.cursor() as cursor:
        cursor.execute(SALES, (rows,))
        cursor.execute("vacuum analyze public.sale")
    databases = Databases(url)
    try:
        _run(databases, RefreshMode.PLAIN)
        with connection.cursor() as cursor:
            cursor.execute(INDEXES)
        results = []
        for mode in MODES:
            result = Waits(str(mode))
            for number in range(repetitions):
                with connection.cursor() as cursor:
                    cursor.execute(CHANGE, (number,))
                    cursor.execute("vacuum analyze public.sale")
                    cursor.execute("vacuum analyze reporting.report")
                    cursor.execute("checkpoint")
                with _reader(url, rows) as waits:
                    started = time.perf_counter()
                    _run(databases, mode)
                    result.refreshes.append(time.perf_counter() - started)
                result.longest.append(max(waits))
                result.reads.extend(waits)
            say(f"readers: {mode}: longest wait {max(result.longest):.3f} s")
            results.append(result)
    finally:
        databases.dispose()
        connection.close()
    return results


def show(out: Console, rows: int, results: list[Waits]) -> None:
    out.print(f"\n[bold]readers[/]: a matview of {rows:,} rows with three indexes", highlight=False)
    table = Table(box=SIMPLE, pad_edge=False)
    table.add_column("mode", no_wrap=True)
    for heading in ("refresh, median", "longest wait of a reader", "in the median refresh", "a usual read"):
        table.add_column(heading, justify="right")
    for result in results:
        table.add_row(
            result.mode,
            f"{statistics.median(result.refreshes):.2f} s",
            f"{1000 * max(result.longest):.0f} ms",
            f"{1000 * statistics.median(result.longest):.0f} ms",
            f"{1000 * statistics.median(result.reads):.2f} ms",
        )
    out.print(table)


def _run(databases: Databases, mode: RefreshMode) -> None:
    """One run, as a worker does it but for its record."""
    manifest = Manifest(
        report_type=ReportType.CUSTOM, manifest_id=1, raw_table_name="report", report_name="Report",
        agency_id=1, agency_slug="one", raw_query=QUERY, database_id=None, default_schema="reporting",
    )  # fmt: skip
    policy = policy_of(Settings(refresh_mode=mode))
    with databases.session() as session:
        found = lock.take(session, manifest.matview, "seeder readers 0", policy.limits)
        bring_up_to_date(session, manifest, found, policy)
        lock.release(session, manifest.matview)


@contextmanager
def _reader(url: str, rows: int) -> Iterator[list[float]]:
    """Reads from before the block begins until it has ended; the list has the time of each read."""
    waits: list[float] = []
    reading, over = threading.Event(), threading.Event()
    failures: list[BaseException] = []

    def read() -> None:
        connection = connect(url)
        try:
            with connection.cursor() as cursor:
                while not over.is_set():
                    started = time.perf_counter()
                    cursor.execute(READ, (1 + len(waits) % rows,))
                    cursor.fetchone()
                    waits.append(time.perf_counter() - started)
                    reading.set()
        except BaseException as failure:  # noqa: BLE001 - raised again where it is seen
            failures.append(failure)
        finally:
            reading.set()
            connection.close()

    thread = threading.Thread(target=read)
    thread.start()
    try:
        reading.wait()
        yield waits
    finally:
        over.set()
        thread.join()
    if failures:
        raise failures[0]
