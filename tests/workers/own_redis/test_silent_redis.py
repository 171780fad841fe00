"""Redis says nothing any more, and nobody is told: the worker finds out and goes on by itself."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy.engine import make_url
from support.processes import Worker, pool_arguments, wait_until
from support.valve import valve
from support.world import World

from seeder.embedded.server import Server

pytestmark = pytest.mark.slow

OUT_OF_REACH = "can't reach the waiting runs in Redis"


@contextmanager
def frozen(redis: Server) -> Iterator[None]:
    """It keeps its connections, takes new ones, and answers nothing."""
    os.kill(redis.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(redis.pid, signal.SIGCONT)


def gated(world: World, name: str) -> str:
    """A run in the middle of its refresh."""
    world.custom(name, f"select public.gate('{name}') as n")
    world.close_gate(name)
    (run_id,) = world.seed(table_name=name).run_ids
    world.wait_for(run_id, "running")
    return run_id


def test_a_frozen_redis_costs_nothing_and_the_worker_goes_on_when_it_thaws(
    world: World, worker: Worker, redis: Server
) -> None:
    run_id = gated(world, "while_frozen")
    pid, said = worker.container.popen.pid, worker.logs().count(OUT_OF_REACH)
    with frozen(redis):
        started, before = time.monotonic(), worker.spent()
        world.open_gates()
        # What runs ends, and is recorded, without Redis.
        world.wait_for(run_id, "success")
        wait_until("the worker has noticed", lambda: worker.logs().count(OUT_OF_REACH) > said)
        after = worker.spent()
        assert after[0] - before[0] < 0.3 * (time.monotonic() - started)
        assert after[1] - before[1] < 20_000_000
    world.custom("after_the_thaw")
    (after,) = world.seed(table_name="after_the_thaw").run_ids
    world.check_record(world.wait_for(after, "success", seconds=60))
    assert world.refreshes("while_frozen") == 1
    assert (worker.container.popen.poll(), worker.container.popen.pid) == (None, pid)


# The one process that a silent connection could hold up for ever is the same for both pools.
@pytest.mark.parametrize("pool", ["threads"], indirect=True, scope="module")
def test_connections_that_swallow_everything_are_replaced(world: World, redis: Server, pool: str) -> None:
    url = make_url(redis.url)
    with valve(str(url.host), int(url.port or 0)) as between:
        through = url.set(port=between.port).render_as_string(hide_password=False)
        with world.worker("-E", *pool_arguments(pool), broker_url=through) as worker:
            run_id = gated(world, "swallowed")
            assert between.shut() > 2
            world.open_gates()
            world.wait_for(run_id, "success")
            world.custom("after_the_silence")
            (after,) = world.seed(table_name="after_the_silence").run_ids
            # Redis counts the connection's last BRPOP as waiting, and may give it the message: the sweep's.
            wait_until(
                "it has run",
                lambda: world.run(after).status == "success" or (world.sweep() and False),
                seconds=60,
            )
            world.check_record(world.run(after))
            assert world.refreshes("swallowed") == 1
            assert worker.container.popen.poll() is None
