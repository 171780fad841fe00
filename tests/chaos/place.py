"""Where it happens: servers, ways to them, workers and beats, in a temporary folder."""

import contextlib
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg2
from celery import Celery
from psycopg2.extras import NamedTupleCursor
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url

from chaos.reports import WITNESSES, Report, sources
from chaos.silence import Way
from chaos.sources import HELD, MAKE
from seeder import embedded, schema
from seeder.app import celery_settings
from seeder.config.settings import load_settings
from seeder.equipment import Equipment
from seeder.supervision.kept import KILL, Kept, Program, Step

#: What it has committed it doesn't forget; the rest is about the log.
SERVER_SETTINGS = {
    "synchronous_commit": "on",
    "track_commit_timestamp": "on",
    "log_line_prefix": "%m %a| ",
    "log_timezone": "UTC",
    "lc_messages": "C",
}
SETTINGS = {
    "SEEDER_ALLOWED_FUNCTIONS": '["public.witness"]',
    "SEEDER_RETRY_BACKOFF_MAX": "5",
    "SEEDER_STATEMENT_TIMEOUT": "15",
    "SEEDER_LOCK_TIMEOUT": "5",
    "SEEDER_SCHEDULE": "* * * * *",
    "SEEDER_SKIP_UNCHANGED": "true",
}
#: No power is cut here, so the disk needn't be waited for, which makes a recovery take a second instead of
#: ten. Not in the command line, so that it can be changed for a while (chaos.injecting).
QUICK = ("alter system set fsync = off", "select pg_reload_conf()")
#: Of one refresh; the statement timeout ends it.
TOO_SLOW_SECONDS = 60.0
#: What else connects to the database is seeder's.
OBSERVER = "chaos"
SLOTS = 4

PUT_IN = """
insert into reporting.seeder_custom_report_manifest
    (id, table_name, report_name, agency_id, agency_slug, query, enabled)
values (%s, %s, %s, 1, 'agency', %s, true)
"""


def kept_by(keeper: int) -> psutil.Process | None:
    """The program that a keeper runs; None between its death and its next start."""
    with contextlib.suppress(psutil.Error):
        for process in psutil.Process(keeper).children():
            if process.status() != psutil.STATUS_ZOMBIE:
                return process
    return None


class Kin:
    """A program of seeder's with its keeper, which starts it again when it dies; its log is a file."""

    def __init__(
        self, name: str, arguments: Sequence[str], environment: dict[str, str], folder: Path
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        with self.log.open("ab") as output:
            self._kept = Kept(
                Program(
                    f"chaos {name}",
                    [sys.executable, "-m", "celery", "-A", "seeder", *arguments],
                    (Step(signal.SIGTERM, 30.0), Step(signal.SIGQUIT, 10.0), KILL),
                    env=environment,
                    first_delay=0.5,
                    keep_up=True,
                ),
                output,
            )

    def main(self) -> psutil.Process | None:
        return kept_by(self._kept.pid)

    def pool(self) -> list[psutil.Process]:
        """The processes of its pool, if it has any."""
        with contextlib.suppress(psutil.Error):
            if main := self.main():
                return sorted(main.children(recursive=True), key=lambda process: process.pid)
        return []

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def ask_to_stop(self) -> None:
        self._kept.ask_to_stop()

    def wait(self) -> None:
        self._kept.wait()


class Place:
    """The servers by their own addresses, for whoever looks from outside; workers and beats use the ways."""

    def __init__(self, folder: Path, servers: embedded.Servers) -> None:
        assert servers.postgres
        assert servers.redis
        self.folder = folder
        self.postgres, self.redis = servers.postgres, servers.redis
        engine = create_engine(self.postgres.url)
        with engine.connect() as connection:
            schema.apply(connection, "reporting", "public.agency")
        engine.dispose()
        self._connection: Any = None
        for statement in (*QUICK, WITNESSES, HELD):
            self.sql(statement)
        self.settings = load_settings(database_url=self.postgres.url, broker_url=self.redis.url)
        self.equipment = Equipment(self.settings, self.postgres.url)
        self.app = Celery("seeder", set_as_current=False)
        self.app.conf.update(celery_settings(self.settings, self.redis.url))
        self.ways: dict[str, Way] = {}
        self.workers: list[Kin] = []
        self.beats: list[Kin] = []
        #: Whether the folder, with all logs in it, outlives this process.
        self.keep = False

    def put_in(self, reports: Sequence[Report]) -> None:
        for name in sources(reports):
            self.sql(MAKE.format(name=name))
        for report in reports:
            self.sql(PUT_IN, report.number, report.table_name, report.table_name, report.query(0))

    def start(self, stack: ExitStack) -> None:
        """Ways, workers and beats; the stack ends them."""
        self.ways = {
            server.name: stack.enter_context(Way(server.name, server.port))
            for server in (self.postgres, self.redis)
        }
        environment = {
            **SETTINGS,
            "SEEDER_DATABASE_URL": _through(self.postgres.url, self.ways["postgres"].port),
            "SEEDER_BROKER_URL": _through(self.redis.url, self.ways["redis"].port),
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "PYTHONUNBUFFERED": "1",
            # The timeline puts all logs into one order.
            "TZ": "UTC",
        }

        def kin(name: str, *arguments: str) -> Kin:
            return Kin(name, [*arguments, "-l", "INFO"], environment, self.folder)

        stack.callback(self.stop_workers)
        stack.callback(self.stop_beats)
        for pool, chosen in {"threads": (), "prefork": ("-P", "prefork")}.items():
            self.workers.append(kin(pool, "worker", *chosen, "-n", f"{pool}@%h", "-c", str(SLOTS)))
        for name in ("beat-1", "beat-2"):
            schedule = str(self.folder / f"{name}-schedule")
            self.beats.append(kin(name, "beat", "--pidfile=", "--schedule", schedule))

    def stop_workers(self) -> None:
        _stop(self.workers)

    def stop_beats(self) -> None:
        _stop(self.beats)

    def sql(self, text: str, *values: object) -> list[Any]:
        """Rows of a statement, committed, through the observer's connection; a new one if that has broken."""
        try:
            return self._rows(text, values)
        except (psycopg2.OperationalError, psycopg2.InterfaceError):
            if self._connection is not None and not self._connection.closed:
                raise
            self._connection = None
            return self._rows(text, values)

    def value(self, text: str, *values: object) -> Any:
        return self.sql(text, *values)[0][0]

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self.app.close()
        self.equipment.databases.dispose()

    def _rows(self, text: str, values: tuple[object, ...]) -> list[Any]:
        if self._connection is None:
            self._connection = connect(self.postgres.url)
        with self._connection.cursor() as cursor:
            cursor.execute(text, values or None)
            return list(cursor.fetchall()) if cursor.description else []


def connect(url: str, name: str = OBSERVER) -> Any:
    """A session in autocommit."""
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = psycopg2.connect(plain, application_name=name, cursor_factory=NamedTupleCursor)
    connection.autocommit = True
    with connection.cursor() as cursor:
        # Whoever looks and ends faults can write while nobody else can (chaos.foreign).
        cursor.execute("set default_transaction_read_only = off")
    return connection


@contextmanager
def place() -> Iterator[Place]:
    """Start the servers, and stop whatever was started whatever happens; if this process is killed its
    keepers do that."""
    folder = Path(tempfile.mkdtemp(prefix="seeder-chaos-"))
    # As root the servers run as another account, which must be able to pass through.
    folder.chmod(0o711)
    keep = False
    try:
        # There no .env and no celeryconfig.py is found.
        with contextlib.chdir(folder), _environment(), ExitStack() as stack:
            servers = embedded.start(folder / "home", postgres_settings=SERVER_SETTINGS)
            stack.callback(embedded.stop, servers)
            made = Place(folder, servers)
            stack.callback(made.close)
            yield made
            keep = made.keep
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _environment() -> Iterator[None]:
    """No settings of seeder's but those of this place."""
    before = {name: value for name, value in os.environ.items() if name.startswith("SEEDER_")}
    for name in before:
        del os.environ[name]
    os.environ.update(SETTINGS)
    try:
        yield
    finally:
        for name in SETTINGS:
            os.environ.pop(name, None)
        os.environ.update(before)


def _stop(kin: list[Kin]) -> None:
    for one in kin:
        one.ask_to_stop()
    for one in kin:
        one.wait()
    kin.clear()


def _through(url: str, port: int) -> str:
    return make_url(url).set(port=port).render_as_string(hide_password=False)
