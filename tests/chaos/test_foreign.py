"""What other sessions do to the servers is really done, and ends when the fault does."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import psycopg2
import pytest
from redis import Redis
from redis.exceptions import ReadOnlyError

from chaos.faults import Fault, Kind
from chaos.injecting import AT_WORK, Injector
from chaos.place import Place, connect, place

RECORD = """
insert into reporting.seeder_run_history
    (run_id, manifest_id, table_name, report_name, agency_id, agency_slug, report_type, status)
values ('20261125T0000Z.custom-1', 1, 'report_1', 'A report', 1, 'agency', 'custom', 'running')
"""
SHOW = """
insert into reporting.seeder_job_status
    (table_name, manifest_id, report_name, report_type, agency_id, agency_slug, status)
values ('report_1', 1, 'A report', 'custom', 1, 'agency', 'running')
"""


@pytest.fixture(scope="module")
def here() -> Iterator[Place]:
    with place() as made:
        made.sql(RECORD)
        made.sql(SHOW)
        yield made


@pytest.fixture
def somebody(here: Place) -> Iterator[Any]:
    """A session with the settings that everybody has."""
    with closing(connect(here.postgres.url, "somebody")) as session, session.cursor() as cursor:
        cursor.execute("reset default_transaction_read_only")
        cursor.execute("set lock_timeout = '100ms'")
        yield cursor


def injected(here: Place, kind: Kind, choice: float = 0.0) -> tuple[Injector, str | None]:
    injector = Injector(here, [])
    return injector, injector.inject(Fault(0.0, kind, 60.0, choice))


@pytest.mark.parametrize(
    ("choice", "what", "statement"),
    [
        (0.0, "report_1", "update reporting.seeder_job_status set updated_at = now()"),
        (0.6, "20261125T0000Z.custom-1", "update reporting.seeder_run_history set updated_at = now()"),
    ],
)
def test_a_held_row_can_not_be_written_until_the_fault_ends(
    here: Place, somebody: Any, choice: float, what: str, statement: str
) -> None:
    injector, hit = injected(here, Kind.HELD_ROW, choice)
    assert hit == f"{what} for 60 s"
    with pytest.raises(psycopg2.errors.LockNotAvailable):
        somebody.execute(statement)
    assert injected(here, Kind.HELD_ROW, choice)[1] is None, "it is held already"
    injector.end_what_is_over(everything=True)
    somebody.execute(statement)


def test_a_grant_that_is_not_committed_holds_the_catalogue(here: Place, somebody: Any) -> None:
    injector, hit = injected(here, Kind.GRANTED)
    assert hit
    with pytest.raises(psycopg2.errors.LockNotAvailable):
        somebody.execute("grant insert on reporting.seeder_job_status to bi")
    injector.end_what_is_over(everything=True)
    somebody.execute("select has_table_privilege('bi', 'reporting.seeder_job_status', 'select')")
    assert somebody.fetchone() == (True,)


def test_a_database_that_takes_no_writes_takes_the_observers(here: Place, somebody: Any) -> None:
    injector, _ = injected(here, Kind.READ_ONLY)
    here.sql("update reporting.seeder_job_status set updated_at = now()")
    with closing(connect(here.postgres.url, "a new session")) as session, session.cursor() as cursor:
        cursor.execute("reset default_transaction_read_only")
        cursor.execute("show default_transaction_read_only")
        assert cursor.fetchone() == ("on",)
    injector.end_what_is_over(everything=True)
    with closing(connect(here.postgres.url, "another")) as session, session.cursor() as cursor:
        cursor.execute("reset default_transaction_read_only")
        cursor.execute("show default_transaction_read_only")
        assert cursor.fetchone() == ("off",)


def test_a_demoted_redis_refuses_writes_and_keeps_what_it_holds(here: Place) -> None:
    with Redis.from_url(here.redis.url) as client:
        client.set("kept", 1)
        injector, _ = injected(here, Kind.DEMOTED)
        with pytest.raises(ReadOnlyError):
            client.set("lost", 1)
        injector.end_what_is_over(everything=True)
        assert client.getdel("kept") == b"1"


def test_a_worker_is_stopped_in_the_middle_of_its_runs_only(here: Place) -> None:
    assert injected(here, Kind.REVIVED)[1] is None, "nobody is at work"
    told: list[str] = []

    def process(name: str) -> Any:
        return SimpleNamespace(
            suspend=lambda: told.append(f"{name} stopped"), resume=lambda: told.append(f"{name} goes on")
        )

    main, child = process("main"), process("child")
    here.workers.append(SimpleNamespace(name="one", main=lambda: main, pool=lambda: [child]))  # type: ignore[arg-type]
    with closing(connect(here.postgres.url, "seeder 20261125T0000Z.custom-1 0")) as run:
        thread = ThreadPoolExecutor(1)
        asleep = thread.submit(run.cursor().execute, "select pg_sleep(60)")
        while not here.sql(AT_WORK):
            time.sleep(0.01)
        injector, hit = injected(here, Kind.REVIVED)
        assert hit == "one for 60 s"
        assert isinstance(asleep.exception(10), psycopg2.OperationalError)
        thread.shutdown()
    injector.end_what_is_over(everything=True)
    here.workers.clear()
    assert told == ["main stopped", "child stopped", "main goes on", "child goes on"]
