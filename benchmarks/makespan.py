"""``python -m benchmarks makespan``: how long a night of reports that read each other is, and must be.

Reports only wait, so that the machine is little part of it: measured is what the order, the release of what
waited, and the recording cost. No night can be shorter than its longest chain, nor than all its work shared
out to the places; both by the durations that were recorded of that very night.
"""

import random
import statistics
from dataclasses import dataclass

from rich.console import Console

from benchmarks.arena import Arena, connect, rows
from benchmarks.contestants import SeederWorker, worker
from benchmarks.measuring import Say
from benchmarks.workload import Workload
from seeder.seedings.graph import Graph

REPORTS = 100
#: A chain that begins with the shortest report of all.
CHAIN = 8
REPETITIONS = 5
GOAL = 1.05
#: Of the median of the reports' durations, which are lognormal.
SECONDS = 0.3
SPREAD = 0.8

PREPARE = """
create function public.work(seconds float8) returns integer language plpgsql volatile
as 'begin perform pg_catalog.pg_sleep(seconds); return 1; end'
"""
ALLOWED = {"SEEDER_ALLOWED_FUNCTIONS": '["public.work"]'}

MANIFEST = """
insert into reporting.seeder_custom_report_manifest
    (id, table_name, report_name, agency_id, agency_slug, query, enabled)
values (%s, %s, %s, 1, 'agency-1', %s, true)
"""

RECORDED = """
select table_name, extract(epoch from finish_time - start_time)::float8
from reporting.seeder_run_history
where id > %s
"""


@dataclass(frozen=True)
class Night:
    """One seeding: how long it was, and how long it must be."""

    seconds: float
    longest_chain: float
    shared_out: float

    @property
    def ratio(self) -> float:
        return self.seconds / max(self.longest_chain, self.shared_out)


def measure(arena: Arena, reports: int, repetitions: int, concurrency: int, say: Say) -> list[Night]:
    graph, seconds = reports_of(random.Random(1), reports, concurrency)
    workload = _prepared(arena, graph, seconds)
    nights = []
    with worker(arena, workload, "makespan", 1, concurrency, settings=ALLOWED) as seeding:
        say(f"makespan: creating {reports} reports")
        seeding.run()
        for number in range(1, repetitions + 1):
            nights.append(_night(seeding, workload, graph, concurrency))
            say(f"makespan: {number} of {repetitions}: {nights[-1].ratio:.3f} of what it must take")
    return nights


def show(out: Console, concurrency: int, nights: list[Night]) -> None:
    ratios = [one.ratio for one in nights]
    reached = "reached" if statistics.median(ratios) <= GOAL else "missed"
    out.print(
        f"\n[bold]makespan[/]: a night on {concurrency} places takes {statistics.median(ratios):.3f} "
        f"({min(ratios):.3f} to {max(ratios):.3f}) of what it must; goal {GOAL}, {reached}\n"
        f"{statistics.median(one.seconds for one in nights):.1f} s; longest chain "
        f"{statistics.median(one.longest_chain for one in nights):.1f} s, all work shared out "
        f"{statistics.median(one.shared_out for one in nights):.1f} s",
        highlight=False,
    )


def reports_of(chance: random.Random, count: int, concurrency: int) -> tuple[Graph, dict[str, float]]:
    """What each reads, and how long it takes. The chain takes nearly as long as all work shared out, which
    is where the order matters most."""
    names = [f"report_{number}" for number in range(1, count + 1)]
    seconds = {name: SECONDS * chance.lognormvariate(0, SPREAD) for name in names}
    reads = {
        name: frozenset(chance.sample(names[max(0, place - 20) : place], min(place, 2)))
        for place, name in enumerate(names)
        if chance.random() < 0.3
    }
    chain = names[: min(CHAIN, count)]
    shared_out = sum(seconds.values()) / concurrency
    for place, name in enumerate(chain):
        reads[name] = frozenset(chain[place - 1 : place])
        seconds[name] = 0.8 * shared_out / CHAIN if place else min(seconds.values()) / 2
    return Graph({name: sources for name, sources in reads.items() if sources}), seconds


def _prepared(arena: Arena, graph: Graph, seconds: dict[str, float]) -> Workload:
    url = arena.make_database("makespan")
    connection = connect(url)
    with connection.cursor() as cursor:
        cursor.execute(PREPARE)
        for number, (name, taken) in enumerate(seconds.items(), 1):
            sources = [f"(select count(*) from reporting.{source})" for source in sorted(graph.sources(name))]
            query = f"select {' + '.join([f'public.work({taken:.3f})', *sources])} as one"
            cursor.execute(MANIFEST, (number, name, name, query))
    connection.close()
    title = f"{len(seconds)} reports that read each other"
    return Workload("makespan", title, GOAL, url, {name: f"reporting.{name}" for name in seconds})


def _night(seeding: SeederWorker, workload: Workload, graph: Graph, concurrency: int) -> Night:
    connection = connect(workload.database_url)
    [(last_id,)] = rows(connection, "select max(id) from reporting.seeder_run_history")
    leg = seeding.run()
    taken = dict(rows(connection, RECORDED, last_id))
    connection.close()
    return Night(leg.seconds, max(graph.lasting(taken).values()), sum(taken.values()) / concurrency)
