"""Folders in which tests start embedded servers."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg2
from redis import Redis

from seeder import embedded

#: Safe only because a test's data needn't survive a crash; half the time of creating a database.
FAST = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "autovacuum": "off"}


@contextmanager
def new_home(name: str = "home") -> Iterator[Path]:
    """A folder for embedded servers, not made yet; asserts afterwards that no process of theirs is left.

    pytest's own tmp_path won't do: as root its parents are closed to the account the servers run as, so the
    data would go to /var/lib/seeder.
    """
    folder = Path(tempfile.mkdtemp(prefix="seeder-tests-"))
    folder.chmod(0o711)
    try:
        yield folder / name
        left = processes_in(folder)
        assert not left, f"still running: {left}"
    finally:
        shutil.rmtree(folder)


@contextmanager
def serving(home: Path, **more: Any) -> Iterator[embedded.Servers]:
    """Embedded servers in that folder, stopped afterwards."""
    servers = embedded.start(home, **{"postgres_settings": FAST, **more})
    try:
        yield servers
    finally:
        embedded.stop(servers)


def processes_in(folder: Path) -> list[psutil.Process]:
    """The live processes that work in a folder or name it on their command line."""
    return [process for process in psutil.process_iter() if _lives_in(folder, process)]


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and whose parent hasn't noticed doesn't."""
    try:
        return psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False


def gone(*pids: int, within: float) -> bool:
    """Whether all these processes have ended within so many seconds."""
    deadline = time.monotonic() + within
    while any(is_alive(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def ask_postgres(url: str, query: str = "select 1") -> Any:
    """The first field of the first row, on a connection of its own."""
    connection = psycopg2.connect(url.replace("+psycopg2", ""), connect_timeout=5)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(query)
            row = cursor.fetchone() if cursor.description else None
            return row and row[0]
    finally:
        connection.close()


def ping(url: str) -> bool:
    """Whether a Redis answers with the URL's password."""
    with Redis.from_url(url) as client:
        return bool(client.ping())


def _lives_in(folder: Path, process: psutil.Process) -> bool:
    try:
        return Path(process.cwd()).is_relative_to(folder) or str(folder) in " ".join(process.cmdline())
    except psutil.Error:
        return False
