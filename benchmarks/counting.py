"""Counts the statements and round trips of a run beside its refresh, by PostgreSQL's own counters.

Round trips: with ``log_statement = all`` the server logs each query message it receives, once, however
many statements its text holds. Commits that wait for the disk: with one connection at work each of them is
one sync of the write-ahead log by a client's backend, which ``pg_stat_io`` counts from PostgreSQL 18 on (not
where wal_sync_method is one of the ``open_`` kinds). Both at concurrency 1, for the bare loop and for a
worker from its start to its stop, so the few round trips of starting, fan-out and sweep are spread over the
views.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.arena import OBSERVER, Arena, BenchmarkFailed, connect, rows
from benchmarks.contestants import BareLoop, worker
from benchmarks.workload import Workload

_LOGGED = "| LOG:  statement: "

_WAL_SYNCS = """
select coalesce(sum(fsyncs), 0)::bigint from pg_stat_io
where object = 'wal' and backend_type = 'client backend'
"""

#: A backend hands its last figures over when it ends.
_BACKENDS = """
select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()
"""
_ENDED_WITHIN_SECONDS = 30.0


@dataclass
class Counted:
    """Per view, the refresh itself included."""

    round_trips: float = 0.0
    waiting_commits: float = 0.0


def bare(arena: Arena, workload: Workload) -> Counted:
    with _counting(arena, workload) as counted:
        loop = BareLoop(arena, workload, connections=1)
        loop.run(list(workload.matviews.values()))
        loop.close()
    return counted


def seeded(arena: Arena, workload: Workload, number: int) -> Counted:
    with (
        _counting(arena, workload) as counted,
        worker(arena, workload, "counted", number, concurrency=1) as contestant,
    ):
        contestant.run()
    return counted


@contextmanager
def _counting(arena: Arena, workload: Workload) -> Iterator[Counted]:
    """Nothing else may be connected, before and after."""
    counted = Counted()
    _log_statements(workload.database_url, "all")
    try:
        size, syncs = arena.server_log.stat().st_size, _wal_syncs(workload.database_url)
        yield counted
        syncs = _wal_syncs(workload.database_url) - syncs
    finally:
        _log_statements(workload.database_url, "none")
    with arena.server_log.open("rb") as log:
        log.seek(size)
        said = log.read().decode(errors="replace").splitlines()
    views = len(workload.matviews)
    messages = sum(_LOGGED in line and not line.startswith(OBSERVER) for line in said)
    counted.round_trips = messages / views
    counted.waiting_commits = syncs / views


def _log_statements(url: str, which: str) -> None:
    connection = connect(url)
    with connection.cursor() as cursor:
        cursor.execute(f"alter system set log_statement = '{which}'")
        cursor.execute("select pg_reload_conf()")
    connection.close()
    _until(url, f"select current_setting('log_statement') = '{which}'", "log_statement did not change")


def _wal_syncs(url: str) -> int:
    _until(url, f"select ({_BACKENDS}) = 0", "some connections did not end")
    connection = connect(url)
    [(syncs,)] = rows(connection, _WAL_SYNCS)
    connection.close()
    return int(syncs)


def _until(url: str, question: str, otherwise: str) -> None:
    deadline = time.monotonic() + _ENDED_WITHIN_SECONDS
    while time.monotonic() < deadline:
        # A new connection each time: it takes the postmaster's settings of the moment.
        connection = connect(url)
        [(answer,)] = rows(connection, question)
        connection.close()
        if answer:
            return
        time.sleep(0.05)
    raise BenchmarkFailed(otherwise)
