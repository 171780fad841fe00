"""Behind PgBouncer in session mode everything works; what can't be known is unknown."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg2
import pytest
from sqlalchemy.engine import make_url
from support.contract import Platform, platform_on
from support.emptied import fresh_database
from support.homes import ask_postgres
from support.pooler import pooling
from support.running import run

from seeder.errors import MatviewBusy
from seeder.matviews import Limits
from seeder.matviews.locks import lock
from seeder.postgres.application_names import application_name
from seeder.postgres.backend_usage import local_backend


@pytest.fixture(scope="module")
def pooled(postgres_url: str) -> Iterator[Platform]:
    with fresh_database(postgres_url) as direct, pooling(postgres_url) as url:
        through = make_url(url).set(database=make_url(direct).database)
        with platform_on(through.render_as_string(hide_password=False)) as platform:
            yield platform


def test_every_report_is_refreshed_and_what_cant_be_known_is_unknown(pooled: Platform) -> None:
    """PgBouncer's process ids are random numbers, half of them negative."""
    for number in range(1, 17):
        pooled.custom(number, query=f"select {number} as n, count(*) as many from generate_series(1, 300000)")

    def refreshed(number: int) -> list[str | None]:
        rows = []
        for seeding in ("n1", "n2"):
            rows.append(run(pooled, number, seeding, statement_timeout=60))
            pooled.databases.dispose()
        # A superuser's PostgreSQL tells what it used; the process is out of reach.
        return [row.errors for row in rows if row.status != "success"]

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(refreshed, range(1, 17))) == [[]] * 16


def test_without_the_right_to_ask_postgresql_cpu_and_memory_are_null(pooled: Platform) -> None:
    pooled.custom(20)
    with pooled.databases.session() as session:
        assert local_backend(session.backend_pid, session._driver.fileno()) is None
        session._connection.info.update(backend=None, reports=False)
    row = run(pooled, 20)
    assert (row.status, row.cpu_percentage, row.memory_usage_mb) == ("success", None, None)


@pytest.mark.parametrize("number", [0, -1, -(2**31), 2**31 - 1, 2**40])
def test_a_number_that_no_process_bears_is_nobodys(pooled: Platform, number: int) -> None:
    with pooled.databases.session() as session:
        assert local_backend(number, session._driver.fileno()) is None


def test_the_lock_the_name_and_cancelling_are_those_of_the_backend(pooled: Platform) -> None:
    pooled.custom(30, table_name="held")
    matview = {one.manifest_id: one for one in pooled.all_manifests()}[30].matview
    limits, name = Limits(0, 0, ("public",)), application_name("n1.custom-30", 0)
    with (
        pooled.databases.session() as one,
        pooled.databases.session() as other,
        ThreadPoolExecutor(1) as aside,
    ):
        lock.take(one, matview, name, limits)
        with pytest.raises(MatviewBusy, match=r"run n1\.custom-30"):
            lock.take(other, matview, "seeder n2.custom-30 0", limits)
        sleeping = aside.submit(one.run, "select pg_sleep(60)")
        while not sleeping.done():
            assert lock.cancel_holder(other, matview, "n1.custom-30")
        assert isinstance(sleeping.exception(), psycopg2.errors.QueryCanceled)
        lock.release(one, matview)
        assert lock.holder(other, matview) is None


def test_a_server_that_goes_takes_the_connection_with_it(pooled: Platform) -> None:
    with pooled.databases.session() as session:
        pid = session.row("select pg_backend_pid() as pid").pid
    ask_postgres(pooled.url, f"select pg_terminate_backend({pid}, 20000)")
    pooled.custom(40)
    assert run(pooled, 40).status == "success"
