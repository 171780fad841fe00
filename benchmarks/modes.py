"""``python -m benchmarks modes``: what ``auto-swap`` takes against the better of the two it chooses from.

Three matviews of the same rows, each always refreshed in one mode, in turns and after the same change of a
part of the source's rows: so what disturbs one disturbs the next as well. The first five runs are what it
learns from; told is the ratio of each turn after them.
"""

import statistics
import time
from collections.abc import Sequence
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
from seeder.matviews.result import Outcome
from seeder.models import ReportType
from seeder.postgres.databases import Databases
from seeder.sql.directives import RefreshMode

#: What it has to learn from.
LEARNING = 5
#: Turns after that.
REPETITIONS = 5
GOAL = 1.1
MODES = (RefreshMode.CONCURRENTLY, RefreshMode.SWAP, RefreshMode.AUTO_SWAP)
#: Of the source's rows, in thousandths.
SHARES = (1, 50, 600)

SALES = """
create table public.sale as
select n as id, 'product ' || n %% 7 as product, (n * 37 %% 1000) / 10.0 as amount
from generate_series(1, %s) as n
"""

#: Other rows each time; spread all over the table.
CHANGE = "update public.sale set amount = amount + 1 where (id * 7919::bigint + %s) %% 1000 < %s"

QUERY = """-- seeder: unique=(id) index=(product) index=(amount)
select id, product, amount from public.sale"""

FLUSH = "select pg_stat_force_next_flush()"


@dataclass(frozen=True)
class Turns:
    """What each mode took after changes of one size, in seconds, in the order of the turns."""

    #: Of a thousand rows.
    share: int
    seconds: dict[str, list[float]] = field(default_factory=lambda: {str(mode): [] for mode in MODES})
    #: What was chosen.
    swapped: list[bool] = field(default_factory=list)

    @property
    def ratios(self) -> list[float]:
        """Of the turns after the first ones: over the one of the two that is the better one in the median."""
        better = min((self.after(str(mode)) for mode in MODES[:2]), key=statistics.median)
        return [one / best for one, best in zip(self.after(str(MODES[2])), better, strict=True)]

    def after(self, mode: str) -> list[float]:
        return self.seconds[mode][LEARNING:]


def measure(
    arena: Arena, rows: int, repetitions: int, say: Say, shares: Sequence[int] = SHARES
) -> list[Turns]:
    results = []
    for share in shares:
        url = arena.make_database(f"modes_{share}")
        say(f"modes: {share / 10:g} % of {rows:,} rows")
        databases = Databases(url)
        connection = connect(url)
        try:
            with connection.cursor() as cursor:
                cursor.execute(SALES, (rows,))
            for mode in MODES:
                _run(databases, mode)
            turns = Turns(share)
            for number in range(LEARNING + repetitions):
                with connection.cursor() as cursor:
                    cursor.execute(FLUSH)
                    cursor.execute(CHANGE, (number * 101, share))
                    cursor.execute("vacuum analyze public.sale")
                for mode in _in_turns(number):
                    with connection.cursor() as cursor:
                        cursor.execute(f"vacuum analyze reporting.{_table(mode)}")
                        cursor.execute("checkpoint")
                    started = time.perf_counter()
                    outcome = _run(databases, mode)
                    turns.seconds[str(mode)].append(time.perf_counter() - started)
                    if mode is RefreshMode.AUTO_SWAP:
                        turns.swapped.append(outcome is Outcome.SWAPPED)
            results.append(turns)
        finally:
            databases.dispose()
            connection.close()
    return results


def show(out: Console, rows: int, results: list[Turns]) -> None:
    out.print(f"\n[bold]modes[/]: a matview of {rows:,} rows with three indexes", highlight=False)
    table = Table(box=SIMPLE, pad_edge=False)
    table.add_column("changed", no_wrap=True)
    for heading in ("concurrently", "swap", "auto-swap", "over the better one", f"goal {GOAL:g}"):
        table.add_column(heading, justify="right")
    for turns in results:
        ratios = turns.ratios
        median = statistics.median(ratios)
        table.add_row(
            f"{turns.share / 10:g} %",
            *(f"{statistics.median(turns.after(str(mode))):.2f} s" for mode in MODES),
            f"{median:.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
            "reached" if median <= GOAL else "missed",
        )
    out.print(table)


def _in_turns(number: int) -> Sequence[RefreshMode]:
    """Another one begins each time."""
    first = number % len(MODES)
    return MODES[first:] + MODES[:first]


def _table(mode: RefreshMode) -> str:
    return f"by_{mode.replace('-', '_')}"


def _run(databases: Databases, mode: RefreshMode) -> Outcome:
    """One run, as a worker does it but for its record."""
    manifest = Manifest(
        report_type=ReportType.CUSTOM, manifest_id=1, raw_table_name=_table(mode), report_name="Report",
        agency_id=1, agency_slug="one", raw_query=QUERY, database_id=None, default_schema="reporting",
    )  # fmt: skip
    policy = policy_of(Settings(refresh_mode=mode))
    with databases.session() as session:
        found = lock.take(session, manifest.matview, "seeder modes 0", policy.limits)
        done = bring_up_to_date(session, manifest, found, policy)
        lock.release(session, manifest.matview)
    return done.outcome
