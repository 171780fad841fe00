"""Measures what it costs to find out a run's figures: its rows, the statistics, the use of the backend."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from benchmarks.arena import Arena
from benchmarks.measuring import Say
from seeder.matviews import measure as measuring
from seeder.matviews.measure import STATE
from seeder.matviews.refresh import COMMENT
from seeder.postgres.databases import Databases
from seeder.postgres.session import REPORT, REPORT_NO_MORE, Session
from seeder.sql.names import MatviewName

#: Up to as many as are asked for.
SIZES = (100, 10_000, 50_000, 1_000_000)
REPETITIONS = 30

REPORTS = """
create materialized view reporting.report_{rows} as
select n as id, 'product ' || n % 7 as product, (n * 37 % 1000) / 10.0 as amount
from generate_series(1, {rows}) as n
"""


@dataclass(frozen=True)
class Price:
    """Medians in milliseconds, of a matview that lies in memory."""

    rows: int
    #: ``count(*)`` of the whole.
    counted: float
    #: What a run does in its place, in a transaction that it has anyway.
    carried: float
    analyzed: float


def measure(arena: Arena, most_rows: int, repetitions: int, say: Say) -> tuple[list[Price], float]:
    """A price for each size, and what the server's own report of CPU and memory adds to a run."""
    databases = Databases(arena.make_database("costs"))
    try:
        with databases.session() as session:
            prices = []
            for rows in (*(size for size in SIZES if size < most_rows), most_rows):
                say(f"costs: a matview of {rows:,} rows")
                prices.append(_price(session, rows, repetitions))
            return prices, _report(session, repetitions)
    finally:
        databases.dispose()


def show(out: Console, prices: list[Price], report: float) -> None:
    out.print("\n[bold]costs[/]: what it takes to know what a run cost", highlight=False)
    table = Table(box=SIMPLE, pad_edge=False)
    for heading in ("rows", "counted", "carried over", "ANALYZE"):
        table.add_column(heading, justify="right")
    for one in prices:
        table.add_row(
            f"{one.rows:,}", f"{one.counted:.2f} ms", f"{one.carried:.2f} ms", f"{one.analyzed:.2f} ms"
        )
    out.print(table)
    out.print(f"The server's report of CPU and memory: {report:.2f} ms a run.", highlight=False)


def _price(session: Session, rows: int, repetitions: int) -> Price:
    session.run_text(REPORTS.format(rows=rows))
    session.run_text(f"vacuum analyze reporting.report_{rows}")
    matview = MatviewName("reporting", f"report_{rows}")
    oid = session.row("select %(name)s::regclass::oid as oid", name=str(matview)).oid

    def carry() -> None:
        session.run(measuring.lock_against_refreshes(matview), oid=oid, comment="as it was")
        session.row(f"select {STATE} as state", oid=oid)
        session.run(COMMENT.format(matview=matview.quoted), comment="as it is now")

    session.run_text("begin")
    carried = _median(carry, repetitions)
    session.run_text("rollback")
    return Price(
        rows,
        counted=_median(lambda: session.row(f"select count(*) as n from {matview.quoted}"), repetitions),
        carried=carried,
        analyzed=_median(lambda: session.run_text(f"analyze {matview.quoted}"), repetitions),
    )


def _report(session: Session, repetitions: int) -> float:
    """Beyond what the statement takes by itself."""

    def reported() -> None:
        session.run_text(REPORT)
        session.run_text("select 1")
        session.run_text(REPORT_NO_MORE)

    return _median(reported, repetitions) - _median(lambda: session.run_text("select 1"), repetitions)


def _median(work: Callable[[], object], repetitions: int) -> float:
    taken = []
    for _ in range(repetitions):
        started = time.perf_counter()
        work()
        taken.append(1000 * (time.perf_counter() - started))
    return statistics.median(taken)
