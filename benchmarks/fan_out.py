"""``python -m benchmarks fanout``: how soon after a seeding was asked for the first run can begin, and all.

A fan-out in this process, as `seeder refresh` carries it out: no worker takes part, so what is measured ends
where a run's message lies in Redis. Every second one reads no graph, which shows what that costs.
"""

import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch

from celery import Celery
from redis import Redis
from rich.console import Console

from benchmarks.arena import Arena, connect
from benchmarks.measuring import Say
from seeder.app import celery_settings
from seeder.broker.queues import PRIORITY_STEPS, REFRESH_QUEUE
from seeder.config.settings import Settings
from seeder.equipment import Equipment
from seeder.seedings import fan_out
from seeder.seedings.graph import Graph
from seeder.seedings.planning import Selection

MANIFESTS = 10_000
REPETITIONS = 5
FIRST_GOAL, LAST_GOAL, GRAPH_GOAL = 1.0, 10.0, 1.3

#: A tenth of them reads another one.
PREPARE = """
insert into reporting.seeder_custom_report_manifest
    (id, table_name, report_name, agency_id, agency_slug, query, enabled)
select i, 'report_' || i, 'Report ' || i, i %% 200, 'agency-' || i %% 200,
       case when i %% 10 = 0 then 'select * from reporting.report_' || i - 1
            else 'select agency_id, sum(amount) as revenue from public.sale group by 1' end, true
from generate_series(1, %(manifests)s) as i
"""

#: As if workers had done all of it.
DONE = """
update reporting.seeder_run_history
set status = 'success', duration_seconds = 1 + manifest_id %% 7, finish_time = now(), updated_at = now()
where status = 'pending';
update reporting.seeder_job_status set status = 'success' where status = 'pending'
"""

LOOK_SECONDS = 0.005


@dataclass(frozen=True)
class FanOut:
    """Seconds from its beginning until its first message, and all of them, lay in Redis."""

    with_graph: bool
    first: float
    last: float


def measure(arena: Arena, manifests: int, repetitions: int, say: Say) -> list[FanOut]:
    url, broker_url = arena.make_database("fan_out"), arena.broker_url(1)
    connection = connect(url)
    with connection.cursor() as cursor:
        cursor.execute(PREPARE, {"manifests": manifests})
    settings = Settings()
    app = Celery("seeder", set_as_current=False)
    app.conf.update(celery_settings(settings, broker_url))
    equipment = Equipment(settings, url)
    found = []
    with Redis.from_url(broker_url) as redis:
        # The first finds no record, nor statistics of one.
        for number in range(-1, 2 * repetitions):
            with_graph = number % 2 == 0
            redis.flushdb()
            with _watched(redis) as first:
                began = time.perf_counter()
                with patch.object(fan_out, "graph_of", fan_out.graph_of if with_graph else _nothing_read):
                    fan_out.seed(app, equipment, Selection())
                last = time.perf_counter() - began
            if number >= 0:
                found.append(FanOut(with_graph, first[0] - began, last))
                say(f"fanout: {number + 1} of {2 * repetitions}: {found[-1].first:.2f} and {last:.2f} s")
            with connection.cursor() as cursor:
                cursor.execute(DONE.replace("%%", "%"))
                cursor.execute("analyze reporting.seeder_run_history, reporting.seeder_job_status")
        redis.flushdb()
    app.close()
    equipment.databases.dispose()
    connection.close()
    return found


def show(out: Console, manifests: int, found: list[FanOut]) -> None:
    whole = [one for one in found if one.with_graph]
    first, last = (
        statistics.median(figures) for figures in ([o.first for o in whole], [o.last for o in whole])
    )
    ratio = graph_ratio(found)
    out.print(
        f"\n[bold]fanout[/] of {manifests:,} manifests: the first run may begin after {first:.2f} s "
        f"({_reached(first, FIRST_GOAL)} {FIRST_GOAL:g}), all are queued after {last:.2f} s "
        f"({min(one.last for one in whole):.2f} to {max(one.last for one in whole):.2f}; "
        f"{_reached(last, LAST_GOAL)} {LAST_GOAL:g}); {ratio:.2f} of what it takes without reading the graph "
        f"({_reached(ratio, GRAPH_GOAL)} {GRAPH_GOAL:g})",
        highlight=False,
    )


def graph_ratio(found: list[FanOut]) -> float:
    """Of the medians, which took turns."""
    own, without = (statistics.median(o.last for o in found if o.with_graph is one) for one in (True, False))
    return own / without


def _reached(figure: float, goal: float) -> str:
    return "within" if figure <= goal else "not within"


def _nothing_read(*_: object) -> Graph:
    return Graph()


@contextmanager
def _watched(redis: Redis) -> Iterator[list[float]]:
    """In the end, when the first message was seen."""
    seen: list[float] = []
    over = threading.Event()
    lists = [REFRESH_QUEUE, *(f"{REFRESH_QUEUE}\x06\x16{step}" for step in PRIORITY_STEPS if step)]

    def watch() -> None:
        while not seen and not over.wait(LOOK_SECONDS):
            if redis.exists(*lists):
                seen.append(time.perf_counter())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        if not seen:
            # All of it may have come between two looks.
            time.sleep(3 * LOOK_SECONDS)
        over.set()
        thread.join()
