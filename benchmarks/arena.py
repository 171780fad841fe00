"""PostgreSQL and Redis of their own for a benchmark, in a temporary folder that is removed afterwards."""

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg2
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url

from seeder import embedded, schema

#: Nothing that makes the server faster or slower: the log's form, for benchmarks.counting.
_SERVER_SETTINGS = {"lc_messages": "C", "log_line_prefix": "%a| "}
#: What the benchmark's own looks at the record are called in the server's log.
OBSERVER = "benchmark"
_WRITES_TIMED = 100


class BenchmarkFailed(Exception):
    """What went wrong, in one or a few lines."""


@dataclass(frozen=True)
class Arena:
    """The two servers. Each workload gets a database of its own, each worker a Redis database."""

    folder: Path
    servers: embedded.Servers

    @property
    def server_log(self) -> Path:
        assert self.servers.postgres
        return self.servers.postgres.log

    def make_database(self, name: str) -> str:
        """A new database with the contract's schema; its URL."""
        connection = connect(self._database_url("seeder"))
        connection.cursor().execute(f'create database "{name}" template template0')
        connection.close()
        url = self._database_url(name)
        engine = create_engine(url)
        with engine.connect() as open_connection:
            schema.apply(open_connection, "reporting", "public.agency")
        engine.dispose()
        return url

    def broker_url(self, number: int) -> str:
        """One of the 16 databases that Redis has by default."""
        assert self.servers.broker_url
        return make_url(self.servers.broker_url).set(database=str(number)).render_as_string(False)

    def cpu_seconds(self) -> dict[str, float]:
        """CPU time that each server has used so far, processes that have ended included."""
        return {server.name: tree_cpu_seconds(server.pid) for server in self.servers.all}

    def disk_write_ms(self) -> float:
        """Median time to have 8 KiB, a page of PostgreSQL's, written to this disk for good."""
        sync = getattr(os, "fdatasync", os.fsync)
        taken = []
        with tempfile.TemporaryFile(dir=self.folder) as file:
            for _ in range(_WRITES_TIMED):
                started = time.perf_counter()
                os.write(file.fileno(), bytes(8192))
                sync(file.fileno())
                taken.append(time.perf_counter() - started)
        return 1000 * statistics.median(taken)

    def _database_url(self, name: str) -> str:
        assert self.servers.database_url
        return make_url(self.servers.database_url).set(database=name).render_as_string(False)


@contextmanager
def arena() -> Iterator[Arena]:
    """Start the servers, and stop them again whatever happens."""
    folder = Path(tempfile.mkdtemp(prefix="seeder-benchmarks-"))
    # As root the servers run as another account, which must be able to pass through.
    folder.chmod(0o711)
    try:
        servers = embedded.start(folder / "home", postgres_settings=_SERVER_SETTINGS)
        try:
            yield Arena(folder, servers)
        finally:
            embedded.stop(servers)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def connect(url: str, name: str = OBSERVER) -> Any:
    """A bare psycopg2 connection in autocommit."""
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = psycopg2.connect(plain, application_name=name)
    connection.autocommit = True
    return connection


def rows(connection: Any, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values or None)
        return list(cursor.fetchall())


def tree_cpu_seconds(pid: int) -> float:
    """CPU time of a process and its children. What a child used counts on with its parent when it ends."""
    total = 0.0
    process = psutil.Process(pid)
    for one in [process, *process.children(recursive=True)]:
        try:
            times = one.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total
