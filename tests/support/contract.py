"""A platform without workers: a database with the contract's tables, and what reads and writes them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg2
import pytest
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url

from seeder import schema
from seeder.config.urls import driver_url
from seeder.history import HistoryRepository, NewRun, Seen
from seeder.manifests import Manifest, ManifestReader
from seeder.postgres.databases import Databases

#: Of a test over the fixture ``platform``, and over those that are made of it.
ON_EACH_VERSION = pytest.mark.parametrize("platform", ["pg18", "pg15"], indirect=True)

EMPTY = """
delete from reporting.seeder_custom_report_manifest;
delete from reporting.seeder_canned_report_manifest;
delete from reporting.seeder_canned_report;
delete from reporting.seeder_run_history;
delete from reporting.seeder_job_status;
do $$
declare made record;
begin
    for made in
        select format('drop %s if exists %s cascade',
                      case relkind when 'm' then 'materialized view' when 'v' then 'view'
                                   when 'S' then 'sequence' when 'f' then 'foreign table'
                                   when 'c' then 'type' else 'table' end,
                      oid::regclass) as statement
        from pg_class
        where relnamespace in ('reporting'::regnamespace, 'public'::regnamespace)
          and relkind in ('m', 'v', 'S', 'f', 'r', 'p', 'c') and relname not like 'seeder\\_%'
        union all
        select format('drop routine if exists %s cascade', oid::regprocedure)
        from pg_proc where pronamespace = 'public'::regnamespace
    loop
        execute made.statement;
    end loop;
end $$
"""


class Platform:
    """One database with the contract's tables in the schema ``reporting``."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.databases = Databases(url)
        self.history = HistoryRepository(self.databases, "reporting")
        self.manifests = ManifestReader("reporting")
        self._persons: dict[int, Any] = {}

    # --- what a person does ----------------------------------------------------------------------------

    def sql(self, text: str) -> list[Any]:
        """Rows of the last statement, where it has any; committed. In a session that isn't seeder's."""
        with self._person().cursor() as cursor:
            try:
                cursor.execute(text)
                return list(cursor.fetchall()) if cursor.description else []
            finally:
                cursor.execute("discard all")

    def value(self, text: str) -> Any:
        return self.sql(text)[0][0]

    def insert(self, table: str, **columns: Any) -> None:
        names = ", ".join(columns)
        gaps = ", ".join(f"%({name})s" for name in columns)
        with self.databases.session() as session:
            session.run(f"insert into reporting.{table} ({names}) values ({gaps})", **columns)

    def custom(self, number: int, **columns: Any) -> None:
        """A custom manifest, usable unless the columns given say otherwise."""
        usable = {
            "table_name": f"report_{number}",
            "report_name": f"Report {number}",
            "query": "select 1 as one",
        }
        agency = {"agency_id": 7, "agency_slug": "ua"}
        self.insert("seeder_custom_report_manifest", **{"id": number, **usable, **agency, **columns})

    def canned_report(self, number: int, **columns: Any) -> None:
        usable = {
            "table_name": f"canned_{number}",
            "report_name": f"Canned {number}",
            "query": "select 1 as one",
        }
        self.insert("seeder_canned_report", **{"id": number, **usable, **columns})

    def canned(self, number: int, report: int | None, **columns: Any) -> None:
        """A subscription to a canned report."""
        given = {"id": number, "agency_id": 7, "agency_slug": "ua", "canned_report_id": report, **columns}
        self.insert("seeder_canned_report_manifest", **given)

    # --- what is there ----------------------------------------------------------------------------------

    def all_manifests(self) -> list[Manifest]:
        with self.databases.session() as session:
            return self.manifests.every(session)

    def manifest(self, report_type: str, number: int) -> Manifest | None:
        with self.databases.session() as session:
            row = session.row(self.manifests.one, report_type=report_type, manifest_id=number)
            return row and self.manifests.manifest(row)

    def status(self, table_name: str) -> Any:
        with self.databases.session() as session:
            return session.row(
                "select * from reporting.seeder_job_status where table_name = %(name)s", name=table_name
            )

    def run(self, run_id: str) -> Any:
        with self.databases.session() as session:
            return session.row("select * from reporting.seeder_run_history where run_id = %(id)s", id=run_id)

    def empty(self) -> None:
        self.sql(EMPTY)

    def close(self) -> None:
        for connection in self._persons.values():
            connection.close()
        self.databases.dispose()

    def _person(self) -> Any:
        """A connection for each thread, so that one that waits for a lock keeps nobody waiting."""
        thread = threading.get_ident()
        if thread not in self._persons or self._persons[thread].closed:
            plain = make_url(self.url).set(drivername="postgresql")
            self._persons[thread] = psycopg2.connect(plain.render_as_string(hide_password=False))
            self._persons[thread].autocommit = True
        return self._persons[thread]


@contextmanager
def platform_on(url: str) -> Iterator[Platform]:
    """A platform in an empty database."""
    engine = create_engine(driver_url(url))
    with engine.connect() as connection:
        schema.apply(connection, "reporting", "public.agency")
    engine.dispose()
    platform = Platform(url)
    yield platform
    platform.close()


def as_it_is(history: HistoryRepository, run_id: str) -> Seen:
    """The run as it is, for a move that is its mover's; one that was never recorded as if it were at work."""
    run = history.run(run_id)
    return run.seen if run else Seen(run_id, "sales", "running", datetime.now(UTC))


def new_run(run_id: str, table_name: str = "sales", **columns: Any) -> NewRun:
    usual = {
        "report_type": "custom", "manifest_id": 1, "report_name": "Sales", "agency_id": 7,
        "agency_slug": "ua",
    }  # fmt: skip
    return NewRun(run_id=run_id, table_name=table_name, **{**usual, **columns})
