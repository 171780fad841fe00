"""Runs a real PgBouncer in front of a real PostgreSQL."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg2
import pytest
from sqlalchemy.engine import make_url

#: Debian's. `ignore_startup_parameters` is left as it is, empty: seeder must ask for nothing that is refused.
CONFIGURATION = """
[databases]
* = host={host} port={port} user={user} password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own_port}
unix_socket_dir =
auth_type = any
pool_mode = session
max_client_conn = 100
default_pool_size = 20
"""


def program() -> str:
    found = shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")
    if found is None:
        complain = pytest.fail if os.environ.get("CI") else pytest.skip
        complain("PgBouncer is not installed: apt-get install pgbouncer")
    return str(found)


@contextmanager
def pooling(postgres_url: str) -> Iterator[str]:
    """The URL of the same server by way of a PgBouncer of its own."""
    binary = program()
    server = make_url(postgres_url)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        own_port = free.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="seeder-pooler-"))
    try:
        configuration = folder / "pgbouncer.ini"
        configuration.write_text(
            CONFIGURATION.format(
                host=server.host, port=server.port, user=server.username, password=server.password,
                own_port=own_port,
            )
        )  # fmt: skip
        command = [binary, str(configuration)]
        if os.geteuid() == 0:
            # It refuses to run as root.
            account = pwd.getpwnam("nobody")
            os.chown(folder, account.pw_uid, account.pw_gid)
            os.chown(configuration, account.pw_uid, account.pw_gid)
            command = [binary, "-u", "nobody", str(configuration)]
        with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
            try:
                url = server.set(host="127.0.0.1", port=own_port)
                _await(url.set(drivername="postgresql").render_as_string(hide_password=False), folder / "log")
                yield url.render_as_string(hide_password=False)
            finally:
                process.terminate()
    finally:
        shutil.rmtree(folder)


def _await(url: str, log: Path) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with suppress(psycopg2.OperationalError):
            psycopg2.connect(url).close()
            return
        time.sleep(0.05)
    pytest.fail(f"PgBouncer doesn't answer: {log.read_text()}")
