"""Prints the results as tables, each goal beside what was measured."""

import os
import platform
from collections.abc import Sequence
from importlib.metadata import version

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from benchmarks.arena import Arena, connect, rows
from benchmarks.measuring import DEFAULT_POOL, Result, Spread

#: Round trips and waiting commits that a run may take beside its refresh.
MOST_ROUND_TRIPS, MOST_WAITING_COMMITS = 2, 1

#: benchmarks.unrecorded
ALONE = "Celery alone, nothing recorded"


def machine(arena: Arena) -> dict[str, object]:
    """What the numbers depend on."""
    assert arena.servers.database_url
    connection = connect(arena.servers.database_url)
    [(postgres,)] = rows(connection, "show server_version")
    connection.close()
    return {
        "processors": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "disk_write_ms": round(arena.disk_write_ms(), 2),
        "python": platform.python_version(),
        "postgresql": postgres,
        "redis": arena.servers.redis.title if arena.servers.redis else None,
        **{name: version(name) for name in ("celery", "kombu", "psycopg2-binary")},
    }


def show_machine(out: Console, facts: dict[str, object]) -> None:
    out.print(
        "\n{processors} processors (load {load} at the start), {disk_write_ms} ms for a synchronous write, "
        "PostgreSQL {postgresql},\n{redis}, Python {python}, Celery {celery}\n".format(**facts),
        highlight=False,
    )


def show(out: Console, results: Sequence[Result]) -> None:
    for result in results:
        out.print(f"[bold]{result.workload}[/]: {result.title}", highlight=False)
        out.print(_throughput(result))
        out.print(_cpu(result))
        if result.counted_bare and result.counted_seeder:
            out.print(_database(result))


def _throughput(result: Result) -> Table:
    table = _table("", "views/s, median (least to most)", "ratio, pair by pair", "goal", "", "fan-out")
    table.add_row(
        f"bare loop, {result.concurrency} connections", _spread(result.per_second(result.bare), 1), "1"
    )
    for pool, legs in result.pools.items():
        ratio = Spread.of(result.ratios(pool))
        goal = [f"≥ {result.goal}", _verdict(ratio.median >= result.goal)]
        fan_out = Spread.of([leg.fan_out_seconds or 0.0 for leg in legs]).median
        table.add_row(
            _label(pool),
            _spread(result.per_second(legs), 1),
            _spread(ratio, 3),
            *(goal if pool == DEFAULT_POOL else ["", ""]),
            f"{fan_out:.2f} s",
        )
    if result.alone:
        ratio = Spread.of(result.ratios_of(result.alone))
        table.add_row(ALONE, _spread(result.per_second(result.alone), 1), _spread(ratio, 3))
    return table


def _cpu(result: Result) -> Table:
    table = _table("CPU time per view, ms", "loop or worker", "PostgreSQL", "Redis", "sum")
    contestants = [("bare loop", result.bare), *((_label(p), leg) for p, leg in result.pools.items())]
    if result.alone:
        contestants.append((ALONE, result.alone))
    for label, legs in contestants:
        parts = result.cpu_ms_per_view(legs)
        own = parts.get("loop", parts.get("worker", 0.0))
        cells = (own, parts["postgres"], parts["redis"], sum(parts.values()))
        table.add_row(label, *(f"{cell:.2f}" for cell in cells))
    return table


def _database(result: Result) -> Table:
    bare, seeded = result.counted_bare, result.counted_seeder
    assert bare
    assert seeded
    table = _table("per view", "bare loop", "seeder", "beyond the refresh", "goal", "")
    for what, own, ours, most in (
        ("round trips to the database", bare.round_trips, seeded.round_trips, MOST_ROUND_TRIPS),
        ("commits that wait for disk", bare.waiting_commits, seeded.waiting_commits, MOST_WAITING_COMMITS),
    ):
        # What is done once per seeding is spread over the views, a few hundredths each.
        reached = round(ours - own, 1) <= most
        table.add_row(what, f"{own:.2f}", f"{ours:.2f}", f"{ours - own:.2f}", f"≤ {most}", _verdict(reached))
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=SIMPLE, pad_edge=False)
    table.add_column(first, no_wrap=True)
    for heading in others:
        table.add_column(heading, justify="right")
    return table


def _label(pool: str) -> str:
    return f"seeder, {pool}" + (" (the default)" if pool == DEFAULT_POOL else "")


def _spread(spread: Spread, digits: int) -> str:
    return f"{spread.median:.{digits}f} ({spread.least:.{digits}f} to {spread.most:.{digits}f})"


def _verdict(reached: bool) -> str:
    return "[green]reached[/]" if reached else "[red]missed[/]"
