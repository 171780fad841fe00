"""Redis goes away in the middle of a seeding and comes back, with what was queued or without."""

import shutil
import signal

import pytest
from redis import Redis, RedisError
from support.outages import away
from support.processes import Worker, wait_until
from support.world import World

from seeder.embedded.server import Server

pytestmark = pytest.mark.slow

REFUSED = "Cannot connect to redis"


@pytest.mark.parametrize("queue", ["kept", "lost"])
def test_every_run_ends_once_and_the_worker_goes_on(
    world: World, worker: Worker, redis: Server, queue: str
) -> None:
    names = [f"queue_{queue}_{number}" for number in range(10)]
    world.no_manifests()
    for name in names:
        world.custom(name, f"select public.gate('{name}') as n")
    world.close_gate(*names)
    run_ids = world.seed().run_ids
    running = wait_until(
        "all places are taken", lambda: len(found := world.history(status="running")) == 4 and found
    )
    pid, refusals = worker.container.popen.pid, worker.logs().count(REFUSED)

    with away(redis, signal.SIGTERM, lambda: answers(redis)):
        wait_until("the worker has noticed", lambda: worker.logs().count(REFUSED) > refusals)
        world.open_gates()
        # What runs ends, and is recorded, without Redis.
        world.wait_for_end(run.run_id for run in running)
        if queue == "lost":
            shutil.rmtree(redis.folder / "appendonlydir")

    if queue == "lost":
        left = {run.run_id for run in world.history(status="pending")}
        assert len(left) == 6
        assert world.sweep() == {"requeued": 6, "ended": 0}
    for run in world.wait_for_end(run_ids).values():
        world.check_record(run)
    assert [world.refreshes(name) for name in names] == [1] * 10
    wait_until("nothing is left on the way", lambda: world.in_queue() + world.unacked() == 0)
    assert worker.container.popen.poll() is None
    assert worker.container.popen.pid == pid
    (again,) = world.seed(table_name=names[0]).run_ids
    world.check_record(world.wait_for(again, "success"))


def test_a_run_that_must_be_tried_again_while_redis_is_away_is_not_lost(
    world: World, worker: Worker, redis: Server
) -> None:
    world.no_manifests()
    world.custom("interrupted", "select public.gate('interrupted') as n")
    world.close_gate("interrupted")
    (run_id,) = world.seed().run_ids
    world.wait_for(run_id, "running")
    refusals = worker.logs().count(REFUSED)
    with away(redis, signal.SIGTERM, lambda: answers(redis)):
        wait_until("the worker has noticed", lambda: worker.logs().count(REFUSED) > refusals)
        (backend,) = backends(world)
        world.sql("select pg_terminate_backend(%s)", backend)
        wait_until("the try is over", lambda: not backends(world))
    world.open_gates()

    wait_until(
        "the run has a message again, by the worker or by the sweep",
        lambda: world.run(run_id).status == "success" or world.sweep()["requeued"],
    )
    world.wait_for(run_id, "success")
    world.check_record(world.run(run_id))
    assert world.refreshes("interrupted") == 1


def backends(world: World) -> list[int]:
    rows = world.sql("select pid from pg_stat_activity where application_name like 'seeder %.custom-%'")
    return [row.pid for row in rows]


def answers(redis: Server) -> bool:
    try:
        with Redis.from_url(redis.url) as client:
            return bool(client.ping())
    except RedisError:
        return False
