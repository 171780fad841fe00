"""PostgreSQL goes away in the middle of a seeding and comes back."""

import signal
from collections.abc import Iterator

import psycopg2
import pytest
from support.homes import FAST, ask_postgres, new_home, serving
from support.outages import away
from support.processes import Worker, pool_arguments, wait_until
from support.world import World

from seeder.embedded.server import Server

pytestmark = pytest.mark.slow

UNRECORDED = "not recorded yet"


@pytest.fixture(scope="module", params=["threads", "prefork"])
def pool(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def postgres(pool: str) -> Iterator[Server]:
    """A PostgreSQL for these tests alone; what it has committed it doesn't forget."""
    settings = {**FAST, "synchronous_commit": "on"}
    with new_home() as home, serving(home, with_redis=False, postgres_settings=settings) as servers:
        assert servers.postgres is not None
        yield servers.postgres


@pytest.fixture(scope="module")
def module_database_url(postgres: Server) -> str:
    return postgres.url


@pytest.fixture(scope="module")
def worker(world: World, pool: str) -> Iterator[Worker]:
    with world.worker("-Q", "seeder.refresh", *pool_arguments(pool)) as worker:
        yield worker


@pytest.fixture(scope="module")
def control(world: World, pool: str) -> Iterator[Worker]:
    """Fan-outs have a worker of their own, as with ``seeder up``."""
    with world.worker("-Q", "seeder.control", "-c", "1", *pool_arguments(pool)) as worker:
        yield worker


@pytest.mark.parametrize("shutdown", [signal.SIGINT, signal.SIGQUIT], ids=["fast", "immediate"])
def test_every_run_ends_once_and_the_worker_goes_on(
    world: World, worker: Worker, control: Worker, postgres: Server, shutdown: signal.Signals
) -> None:
    names = [f"{shutdown.name.lower()}_{number}" for number in range(10)]
    world.no_manifests()
    for name in names:
        world.custom(name, f"select public.gate('{name}') as n")
    world.close_gate(*names)
    run_ids = world.seed().run_ids
    wait_until("all places are taken", lambda: len(world.history(status="running")) == 4)
    late = f"asked_for_after_{shutdown.name.lower()}"
    world.custom(late)
    pid, unrecorded = worker.container.popen.pid, worker.logs().count(UNRECORDED)

    def answers() -> bool:
        try:
            return bool(ask_postgres(postgres.url))
        except psycopg2.OperationalError:
            return False

    with away(postgres, shutdown, answers):
        wait_until("the worker has noticed", lambda: worker.logs().count(UNRECORDED) > unrecorded)
        fan_out = world.app.send_task("seeder.refresh_table", args=[late]).id
        control.wait_for_log(f"seeder.refresh_table[{fan_out}] retry: Retry in ")

    world.open_gates()
    for run in world.wait_for_end(run_ids, seconds=60).values():
        world.check_record(run)
    assert [world.refreshes(name) for name in names] == [1] * 10
    wait_until(
        "the fan-out was made up for",
        lambda: [run.status for run in world.history(table_name=late)] == ["success"],
    )
    assert "Traceback" not in control.logs()
    assert worker.container.popen.poll() is None
    assert worker.container.popen.pid == pid
    (again,) = world.seed(table_name=names[0]).run_ids
    world.check_record(world.wait_for(again, "success"))
