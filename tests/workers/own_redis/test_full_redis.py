"""Redis is full and refuses whatever would make it fuller: what is queued runs, and makes room."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import pytest
from redis import Redis
from redis.exceptions import OutOfMemoryError
from support.processes import pool_arguments, wait_until
from support.world import World

from seeder.broker.delayed import Deferral, Ready
from seeder.errors import BrokerFull, NotPublished

pytestmark = pytest.mark.slow

SETTINGS = {"max_retries": "1"}


@contextmanager
def full(world: World) -> Iterator[None]:
    with Redis.from_url(world.broker_url) as client:
        client.config_set("maxmemory", "1")
        try:
            yield
        finally:
            client.config_set("maxmemory", "0")


def seed_gated(world: World, prefix: str) -> tuple[str, ...]:
    world.no_manifests()
    for number in range(6):
        world.custom(f"{prefix}_{number}", f"select public.gate('{prefix}_{number}') as n")
    return world.seed().run_ids


def test_a_worker_empties_a_full_redis_at_rest_and_nothing_is_counted_as_lost(
    world: World, pool: str
) -> None:
    world.close_gate(*(f"full_{number}" for number in range(6)))
    with world.worker("-E", "-c", "2", *pool_arguments(pool)) as worker:
        run_ids = seed_gated(world, "full")
        wait_until("both places are taken", lambda: len(world.history(status="running")) == 2)
        with full(world):
            world.open_gates()
            for run in world.wait_for_end(run_ids).values():
                world.check_record(run)
            assert (world.in_queue(), world.unacked()) == (0, 0)

            world.custom("asked_for_while_full")
            with pytest.raises(NotPublished, match="can't be queued in Redis at ") as refused:
                world.seed(table_name="asked_for_while_full")
            assert "used memory > 'maxmemory'" in str(refused.value)
            before = worker.spent()
            started = time.monotonic()
            while time.monotonic() < started + 5:
                with pytest.raises(BrokerFull, match="is full and takes no message"):
                    world.sweep()
            after = worker.spent()
            assert after[0] - before[0] < 0.3 * (time.monotonic() - started)
            assert after[1] - before[1] < 20_000_000
            (asked,) = world.history(table_name="asked_for_while_full")
            assert (asked.status, asked.errors) == ("pending", None)

        assert world.sweep() == {"requeued": 1, "ended": 0}
        world.check_record(world.wait_for(asked.run_id, "success"))
        assert worker.container.popen.poll() is None
        assert "Traceback" not in worker.logs()


def test_a_worker_starts_although_redis_is_full(world: World, pool: str) -> None:
    run_ids = seed_gated(world, "started")
    with full(world), world.worker("-E", *pool_arguments(pool)) as worker:
        for run in world.wait_for_end(run_ids).values():
            world.check_record(run)
        assert "Traceback" not in worker.logs()


def test_a_run_that_waits_is_queued_when_it_is_due_although_redis_is_full(world: World) -> None:
    with Redis.from_url(world.broker_url) as client:
        deferral = Deferral(lambda: nullcontext(client))
        deferral.defer(Ready("tried again", "some.list", "first"), 0)
        deferral.park(Ready("called", "some.list", "second"), "a turn", 0)
        with full(world):
            deferral.move_due()
            deferral.call(["a turn"])
            with pytest.raises(OutOfMemoryError):
                deferral.defer(Ready("too late", "some.list", "third"), 0)
        assert client.lrange("some.list", 0, -1) == [b"first", b"second"]
        assert deferral.run_ids() == set()
        client.delete("some.list")
