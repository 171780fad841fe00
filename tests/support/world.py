"""A reporting platform in small: a database with the contract's tables, a Redis database, and manifests that
the tests put in.

``public.gate(name)`` is the witness: a manifest that calls it logs each refresh that was committed, finds out
when it is refreshed twice at once, and can be held in the middle of a refresh for as long as a test wants.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from celery import Celery
from psycopg2.extras import NamedTupleCursor
from redis import Redis
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from support.forked import Forked
from support.processes import Process, Worker, celery, wait_until

from seeder.app import celery_settings
from seeder.config.settings import Settings, load_settings
from seeder.config.urls import driver_url
from seeder.equipment import Equipment
from seeder.maintenance.sweep import sweep_and_requeue
from seeder.models import contract
from seeder.seedings.fan_out import Seeding, seed
from seeder.seedings.planning import Selection

WITNESS = """
create table public.closed_gates (name text primary key);
create table public.witnessed (name text, pid integer, at timestamptz default clock_timestamp());
create function public.gate(gate_name text) returns integer language plpgsql volatile as $$
begin
    if not pg_try_advisory_xact_lock(4711, hashtext(gate_name)) then
        raise exception using message = 'refreshed twice at once: ' || gate_name;
    end if;
    insert into public.witnessed (name, pid) values (gate_name, pg_backend_pid());
    while exists (select from public.closed_gates g where g.name = gate_name) loop
        perform pg_sleep(0.01);
    end loop;
    return 1;
end $$;
"""

_ids = itertools.count(1)


class World:
    """One platform. ``environment`` is what makes a process of seeder belong to it."""

    def __init__(self, database_url: str, broker_url: str, folder: Path, **settings: str) -> None:
        self.database_url = database_url
        self.broker_url = broker_url
        self.folder = folder
        self.environment = {
            "SEEDER_DATABASE_URL": database_url,
            "SEEDER_BROKER_URL": broker_url,
            "SEEDER_ALLOWED_FUNCTIONS": '["public.gate"]',
            "SEEDER_RETRY_BACKOFF_MAX": "2",
            # No tick of the night comes due while tests run, which a worker would then catch up on.
            "SEEDER_SCHEDULE": "0 2 29 2 *",
            **{f"SEEDER_{name.upper()}": value for name, value in settings.items()},
        }
        engine = create_engine(driver_url(database_url))
        with engine.begin() as connection:
            connection.exec_driver_sql("create schema reporting")
            contract("reporting").metadata.create_all(connection)
            connection.exec_driver_sql(WITNESS)
        engine.dispose()

    # --- the platform ---------------------------------------------------------------------------------

    @cached_property
    def settings(self) -> Settings:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment.items():
                patch.setenv(name, value)
            return load_settings()

    @cached_property
    def app(self) -> Celery:
        """A client of the same broker, configured as seeder's own app is."""
        app = Celery("seeder", set_as_current=False)
        app.conf.update(celery_settings(self.settings, self.broker_url))
        return app

    @cached_property
    def equipment(self) -> Equipment:
        return Equipment(self.settings, self.database_url)

    def close(self) -> None:
        self.app.close()
        self.equipment.databases.dispose()

    @contextmanager
    def worker(
        self,
        *arguments: str,
        app: str = "seeder",
        begin: Callable[..., Any] = Forked,
        **settings: str,
    ) -> Iterator[Worker]:
        """``celery -A seeder worker``, ready, with its default pool unless the arguments name another."""
        # Neither gossip nor mingling is of use among one or two workers; it is a second of each start.
        quick = ("--without-mingle", "--without-gossip", "-l", "INFO", "-n", "{name}@%h")
        command = celery("worker", *quick, *arguments)
        command[command.index("seeder")] = app
        with self.process("worker", command, " ready.", begin, **settings) as process:
            process.ready()
            yield Worker(process, self.app)

    @contextmanager
    def process(
        self,
        name: str,
        command: Sequence[str],
        ready_words: str,
        begin: Callable[..., Any] = Forked,
        **settings: str,
    ) -> Iterator[Process]:
        environment = {**self.environment, **{f"SEEDER_{key.upper()}": v for key, v in settings.items()}}
        process = Process(self.folder, name, command, environment, ready_words, begin)
        try:
            yield process
        finally:
            process.stop()

    # --- what a person does -----------------------------------------------------------------------------

    def sql(self, text: str, *values: object) -> list[Any]:
        """Rows of a statement, committed, through a connection of its own."""
        with closing(self.connect()) as connection:
            return _rows(connection, text, *values)

    def value(self, text: str, *values: object) -> Any:
        return self.sql(text, *values)[0][0]

    def connect(self) -> Any:
        """A person's own session, in autocommit."""
        plain = make_url(self.database_url).set(drivername="postgresql")
        connection = psycopg2.connect(
            plain.render_as_string(hide_password=False), cursor_factory=NamedTupleCursor
        )
        connection.autocommit = True
        return connection

    def custom(
        self,
        table_name: str | None,
        query: str | None = "select 1 as one",
        *,
        agency: str | None = "ua",
        agency_id: int | None = 1,
        report: str | None = "A report",
        database_id: int | None = None,
        enabled: bool = True,
    ) -> int:
        """Put in a custom manifest; returns its id."""
        number = next(_ids)
        self.sql(
            "insert into reporting.seeder_custom_report_manifest values (%s, %s, %s, %s, %s, %s, %s, %s)",
            *(number, table_name, report, agency_id, agency, query, database_id, enabled),
        )
        return number

    def canned(
        self,
        table_name: str,
        query: str,
        agencies: Iterable[tuple[int, str]],
        report: str = "A canned report",
    ) -> list[int]:
        """Put in a canned report and its subscriptions; returns their ids."""
        report_id = next(_ids)
        self.sql(
            "insert into reporting.seeder_canned_report values (%s, %s, %s, %s, null)",
            *(report_id, table_name, report, query),
        )
        numbers = []
        for agency_id, slug in agencies:
            numbers.append(next(_ids))
            self.sql(
                "insert into reporting.seeder_canned_report_manifest values (%s, %s, %s, %s)",
                *(numbers[-1], agency_id, slug, report_id),
            )
        return numbers

    def no_manifests(self) -> None:
        self.sql(
            "truncate reporting.seeder_custom_report_manifest, reporting.seeder_canned_report_manifest,"
            " reporting.seeder_canned_report"
        )

    def seed(self, **selection: str) -> Seeding:
        return seed(self.app, self.equipment, Selection(**selection))

    def sweep(self, quiet_seconds: float = 0.0) -> dict[str, Any]:
        """A sweep that doesn't wait for a row to have been quiet for a minute."""
        return sweep_and_requeue(self.app, self.equipment, quiet_seconds)

    def publish(self, run_id: str, table_name: str, manifest_id: int, **options: Any) -> None:
        """Send a run's message once more."""
        self.app.send_task(
            "seeder.refresh_manifest",
            kwargs={"report_type": "custom", "manifest_id": manifest_id, "table_name": table_name},
            task_id=run_id,
            **options,
        )

    # --- the gate ---------------------------------------------------------------------------------------

    def close_gate(self, *names: str) -> None:
        for name in names:
            self.sql("insert into public.closed_gates values (%s) on conflict do nothing", name)

    def open_gates(self) -> None:
        self.sql("delete from public.closed_gates")

    def refreshes(self, name: str) -> int:
        """How many refreshes of the manifest that calls this gate were committed."""
        return int(self.value("select count(*) from public.witnessed where name = %s", name))

    # --- the sessions of workers ------------------------------------------------------------------------

    def at_work(self, run_id: str) -> list[Any]:
        """The process ids of the sessions that are in the middle of this run's refresh."""
        return self.sql(
            "select pid from pg_stat_activity where application_name like %s and state = 'active'"
            " and (query ilike '%%refresh materialized%%' or query ilike '%%create materialized%%')",
            f"seeder {run_id} %",
        )

    def waiting(self, run_id: str) -> int | None:
        """The process id of the run's session if it waits for somebody's lock."""
        found = self.sql(
            "select pid from pg_stat_activity where application_name like %s and wait_event_type = 'Lock'",
            f"seeder {run_id} %",
        )
        return found[0].pid if found else None

    def locked_by(self, run_id: str) -> list[Any]:
        """The advisory locks that a session holds in this run's name."""
        return self.sql(
            "select l.pid from pg_locks l join pg_stat_activity a using (pid)"
            " where l.locktype = 'advisory' and l.granted and a.application_name like %s",
            f"seeder {run_id} %",
        )

    # --- the record -------------------------------------------------------------------------------------

    def history(self, **columns: str) -> list[Any]:
        """The history rows with those values, oldest first."""
        where = " and ".join(f"{name} = %s" for name in columns) or "true"
        return self.sql(
            f"select * from reporting.seeder_run_history where {where} order by id", *columns.values()
        )

    def run(self, run_id: str) -> Any:
        """The one history row of a run."""
        (row,) = self.history(run_id=run_id)
        return row

    def status(self, table_name: str) -> Any:
        (row,) = self.sql("select * from reporting.seeder_job_status where table_name = %s", table_name)
        return row

    def wait_for(self, run_id: str, status: str, seconds: float = 30) -> Any:
        with closing(self.connect()) as connection:

            def look() -> Any:
                (row,) = _rows(
                    connection, "select * from reporting.seeder_run_history where run_id = %s", run_id
                )
                return row if row.status == status else None

            return wait_until(f"{run_id} is {status}", look, seconds)

    def wait_for_end(self, run_ids: Iterable[str], seconds: float = 30) -> dict[str, Any]:
        """Wait until all are over; returns their history rows by run_id."""
        expected = list(run_ids)

        with closing(self.connect()) as connection:

            def look() -> bool:
                over = _rows(
                    connection,
                    "select run_id, status from reporting.seeder_run_history"
                    " where run_id = any(%s) and status in ('success', 'error')",
                    expected,
                )
                return len(over) == len(expected)

            wait_until(f"all {len(expected)} runs are over", look, seconds)
        return {run_id: self.run(run_id) for run_id in expected}

    def check_record(self, run: Any) -> None:
        """A table's newest run succeeded, and its rows say what the matview says."""
        assert run.status == "success", run.errors
        schema, _, name = run.table_name.rpartition(".")
        matview = f"{schema or 'reporting'}.{name}"
        assert run.records_processed == self.value(f"select count(*) from {matview}")
        assert run.bytes_processed == self.value("select pg_total_relation_size(%s::regclass)", matview)
        assert run.duration_seconds is not None
        assert run.finish_time >= run.start_time
        assert run.consecutive_failures == 0
        assert run.errors is None
        self.check_status(run)

    def check_status(self, run: Any) -> None:
        """The status row of a table says what its newest run does, which is this one."""
        status = self.status(run.table_name)
        newest = self.history(table_name=run.table_name)[-1]
        assert newest.run_id == run.run_id
        for column in status._fields:
            if column not in ("last_run_id", "last_errors"):
                assert getattr(status, column) == getattr(newest, column), column
        assert (status.last_run_id, status.last_errors) == (newest.run_id, newest.errors)

    def in_queue(self, queue: str = "seeder.refresh") -> int:
        """Messages that no worker has taken, of all priorities."""
        with self.app.connection_for_read() as connection, connection.channel() as channel:
            return sum(
                channel.client.llen(channel._q_for_pri(queue, step)) for step in channel.priority_steps
            )

    def unacked(self) -> int:
        with Redis.from_url(self.broker_url) as client:
            return int(client.hlen("unacked"))


def _rows(connection: Any, text: str, *values: object) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(text, values or None)
        return list(cursor.fetchall()) if cursor.description else []
