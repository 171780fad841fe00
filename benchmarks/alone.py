"""Celery without seeder, for comparison: a task that refreshes a matview and records nothing."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from celery import Celery

from benchmarks.arena import Arena, connect, rows, tree_cpu_seconds
from benchmarks.contestants import POLL_SECONDS, STALLED_AFTER_SECONDS, Leg, celery_worker, since, stalled
from benchmarks.workload import Workload
from seeder.supervision.kept import Kept

_APP = "benchmarks.unrecorded"


class CeleryAlone:
    """A worker of benchmarks.unrecorded that runs, and the means to have it refresh everything."""

    def __init__(self, arena: Arena, workload: Workload, broker_url: str, process: Kept, log: Path) -> None:
        self._arena = arena
        self._process = process
        self._log = log
        self._app = Celery(broker=broker_url)
        self._connection = connect(workload.database_url)
        self._connection.cursor().execute(
            "create table if not exists public.unrecorded_end (at timestamptz not null)"
        )

    def run(self, matviews: Sequence[str]) -> Leg:
        """Refresh each matview once: from the fan-out's message to the last one's end, by the database's
        clock, as a seeding is measured."""
        self._connection.cursor().execute("truncate public.unrecorded_end")
        before, own = self._arena.cpu_seconds(), tree_cpu_seconds(self._process.pid)
        [(asked,)] = rows(self._connection, "select clock_timestamp()")
        self._app.send_task(f"{_APP}.refresh_all", (list(matviews),), queue=_APP)
        started = time.monotonic()
        while not (
            ended := rows(
                self._connection,
                "select extract(epoch from at - %s)::float8 from public.unrecorded_end",
                asked,
            )
        ):
            if self._process.ended is not None or time.monotonic() - started > STALLED_AFTER_SECONDS:
                raise stalled(self._log, "Celery alone")
            time.sleep(POLL_SECONDS)
        worker = tree_cpu_seconds(self._process.pid) - own
        return Leg(ended[0][0], {"worker": worker, **since(self._arena, before)})

    def close(self) -> None:
        self._connection.close()
        self._app.close()


@contextmanager
def celery_alone(arena: Arena, workload: Workload, number: int, concurrency: int) -> Iterator[CeleryAlone]:
    """Its own Redis database is ``number``."""
    broker_url = arena.broker_url(number)
    words = ("-c", str(concurrency))
    with celery_worker(arena, workload, "alone", _APP, broker_url, words) as (process, log):
        contestant = CeleryAlone(arena, workload, broker_url, process, log)
        try:
            yield contestant
        finally:
            contestant.close()
