"""PostgreSQL refuses every connection: workers rest until it lets them in again, and then all runs end."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy.engine import make_url
from support.forked import run_module
from support.homes import ask_postgres
from support.processes import Worker, clean_environment, pool_arguments, wait_until
from support.world import World

pytestmark = pytest.mark.slow

REFUSED = "is not currently accepting connections"
UNRECORDED = "not recorded yet"


@pytest.fixture(scope="module", params=["threads", "prefork"])
def pool(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def worker(world: World, pool: str) -> Iterator[Worker]:
    with world.worker("-E", *pool_arguments(pool)) as worker:
        yield worker


@contextmanager
def refusing(world: World, postgres_url: str) -> Iterator[None]:
    """The reporting database lets nobody in, and nobody stay."""
    name = make_url(world.database_url).database
    ask_postgres(postgres_url, f"alter database {name} allow_connections false")
    try:
        ask_postgres(
            postgres_url,
            f"select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = '{name}'",
        )
        yield
    finally:
        ask_postgres(postgres_url, f"alter database {name} allow_connections true")


def test_workers_rest_while_they_are_refused_and_every_run_ends_once(
    world: World, worker: Worker, postgres_url: str, pool: str
) -> None:
    names = [f"refused_{pool}_{number}" for number in range(20)]
    world.no_manifests()
    for name in names:
        world.custom(name, f"select public.gate('{name}') as n")
    world.close_gate(*names[:4])
    run_ids = world.seed().run_ids
    wait_until("four are at work", lambda: len(world.history(status="running")) == 4)
    late = f"asked_for_while_refused_{pool}"
    world.custom(late)
    with refusing(world, postgres_url):
        wait_until("the worker has noticed", lambda: REFUSED in worker.logs())
        before, started = worker.spent(), time.monotonic()
        answer = run_module(["seeder", "refresh"], cwd=world.folder, env=clean_environment(world.environment))
        assert answer.returncode == 2
        assert answer.stderr.startswith("seeder: The reporting database at ")
        assert REFUSED in answer.stderr
        assert len(answer.stderr.splitlines()) == 1
        world.app.send_task("seeder.refresh_table", args=[late])
        while time.monotonic() < started + 8:
            time.sleep(0.1)
        after = worker.spent()
        assert after[0] - before[0] < 0.3 * (time.monotonic() - started)
        assert after[1] - before[1] < 30_000_000
        # On a busy machine a busy loop may get little of a processor.
        assert worker.logs().count(UNRECORDED) < 200

    world.open_gates()
    for run in world.wait_for_end(run_ids, seconds=60).values():
        world.check_record(run)
    assert [world.refreshes(name) for name in names] == [1] * 20
    wait_until(
        "the fan-out was made up for",
        lambda: [run.status for run in world.history(table_name=late)] == ["success"],
        seconds=60,
    )
    assert worker.container.popen.poll() is None
    assert "Traceback" not in worker.logs()
