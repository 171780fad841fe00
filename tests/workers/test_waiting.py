"""Runs that wait do so outside any worker, and go on with whichever is there."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from celery.app.task import Context
from redis import Redis
from support.processes import wait_until
from support.world import World

from seeder.broker.delayed import Deferral
from seeder.errors import DatabaseFull, MatviewBusy, TurnAwaited
from seeder.matviews import policy_of
from seeder.matviews.locks import lock
from seeder.postgres.session import Session
from seeder.runs.message import Message
from seeder.runs.waiting import DelayedRuns
from seeder.sql.names import matview_name

pytestmark = pytest.mark.slow

SETTINGS = {
    "max_retries": "3",
    "max_per_database": "100",
    "databases": '{"5": "postgresql://someone@127.0.0.1:1/nowhere"}',
}

POOLS = {"threads": (), "prefork": ("-P", "prefork")}


@pytest.fixture
def redis(world: World) -> Iterator[Redis]:
    with Redis.from_url(world.broker_url, decode_responses=True) as client:
        yield client


def waiting(world: World) -> set[str]:
    with world.app.connection_for_read() as connection, connection.channel() as channel:
        return Deferral(channel.conn_or_acquire).run_ids()


@pytest.mark.parametrize("arguments", POOLS.values(), ids=POOLS)
def test_a_run_that_waits_survives_the_worker_that_had_it(world: World, arguments: tuple[str, ...]) -> None:
    name = f"waits_{'_'.join(arguments).strip('-').lower().replace('-', '')}"
    world.custom(name, f"select public.gate('{name}') as n")
    world.close_gate(name)
    with world.worker("-c", "2", *arguments) as worker:
        (first,) = world.seed(table_name=name).run_ids
        world.wait_for(first, "running")
        (second,) = world.seed(table_name=name).run_ids
        wait_until("the second waits", lambda: waiting(world) == {second})
        assert (world.in_queue(), world.unacked()) == (0, 0)
        assert (world.run(second).status, world.run(second).errors) == ("pending", None)
        # What waits isn't lost, however long it has been quiet.
        assert world.sweep() == {"requeued": 0, "ended": 0}
        worker.kill("SIGKILL")
    with world.worker("-c", "2", *arguments):
        world.open_gates()
        # The dead worker's backend ends when it finds that its client is gone; nobody calls then.
        world.wait_for(second, "success")
        wait_until("the first is settled", lambda: world.sweep() and world.run(first).status == "success")
    assert world.run(first).start_time > world.run(second).start_time


@contextmanager
def listening(world: World) -> Iterator[Any]:
    """Events of workers that run with -E; gives a function that returns those so far."""
    events: list[dict[str, Any]] = []
    with world.app.connection_for_read() as connection:
        receiver = world.app.events.Receiver(connection, handlers={"*": events.append})
        with receiver.consumer_context() as (consumer_connection, _channel, _consumers):

            def so_far() -> list[dict[str, Any]]:
                try:
                    while True:
                        consumer_connection.drain_events(timeout=0.1)
                except OSError:
                    return events

            so_far()
            yield so_far


@pytest.mark.parametrize("arguments", POOLS.values(), ids=POOLS)
def test_a_run_that_is_tried_again_is_shown_as_a_retry_that_counts(
    world: World, arguments: tuple[str, ...]
) -> None:
    with listening(world) as so_far, world.worker("-E", "-c", "2", *arguments):
        number = world.custom(f"nowhere_{len(arguments)}", database_id=5)
        (run_id,) = world.seed(table_name=f"nowhere_{len(arguments)}").run_ids
        world.wait_for(run_id, "error")

        def of_run(kind: str) -> list[dict[str, Any]]:
            return [one for one in so_far() if one["type"] == kind and one["uuid"] == run_id]

        wait_until("it has failed for Flower too", lambda: of_run("task-failed"))
        assert [one["retries"] for one in of_run("task-received")] == [0, 1, 2, 3]
        assert len(of_run("task-retried")) == 3
    assert "Connection refused" in of_run("task-retried")[0]["exception"]
    world.sql("delete from reporting.seeder_custom_report_manifest where id = %s", number)


@contextmanager
def full(redis: Redis) -> Iterator[None]:
    """A Redis that takes nothing more in, and gives out what it has."""
    before = redis.config_get("maxmemory")["maxmemory"]
    redis.config_set("maxmemory", "1")
    try:
        yield
    finally:
        redis.config_set("maxmemory", before)


def test_a_run_that_can_not_be_put_away_stays_pending_and_is_queued_by_the_sweep(
    world: World, redis: Redis
) -> None:
    world.custom("no_room", "select public.gate('no_room') as n")
    world.close_gate("no_room")
    with world.worker("-c", "2") as worker:
        (first,) = world.seed(table_name="no_room").run_ids
        world.wait_for(first, "running")
        # Its backend ends while Redis is full: the try has failed, and can't be put away.
        with full(redis):
            world.sql(
                "select pg_terminate_backend(pid) from pg_stat_activity where application_name like %s",
                f"seeder {first} %",
            )
            worker.wait_for_log("not deferred; the sweep queues it")
            assert world.run(first).status == "pending"
            assert world.run(first).errors.startswith("Try 1 failed")
        assert (waiting(world), world.in_queue()) == (set(), 0)
        assert world.sweep() == {"requeued": 1, "ended": 0}
        world.open_gates()
        world.wait_for(first, "success")


# --- the message and the turn, without a worker -----------------------------------------------------------


@pytest.fixture
def room(world: World, redis: Redis) -> Iterator[DelayedRuns]:
    redis.flushdb()
    yield DelayedRuns(world.app, world.equipment)
    redis.flushdb()


def request(run_id: str = "n.custom-1", **more: Any) -> Context:
    """A task's request as a worker makes it of a message."""
    kwargs = {"report_type": "custom", "manifest_id": 1, "table_name": "sales", "database_id": None}
    place = {"exchange": "seeder.refresh", "routing_key": "seeder.refresh", "priority": 6}
    return Context({"id": run_id, "args": [], "kwargs": kwargs, "retries": 1, "delivery_info": place, **more})


def message(run_id: str = "n.custom-1") -> Message:
    return Message(run_id, 1, "custom", 1, "sales", None)


BUSY = MatviewBusy(table_name="reporting.sales", holder="somebody")
FULL = DatabaseFull(table_name="reporting.sales", limit=100)


def test_the_next_try_is_the_same_message_counted_on(world: World, room: DelayedRuns, redis: Redis) -> None:
    room.wait_for_next_try(request(usual_seconds=12), 0, 2)
    with world.app.connection_for_read() as connection, connection.channel() as channel:
        Deferral(channel.conn_or_acquire).move_due()
        taken = channel.basic_get("seeder.refresh", no_ack=True)
    assert (taken.headers["id"], taken.headers["task"]) == ("n.custom-1", "seeder.refresh_manifest")
    assert (taken.headers["retries"], taken.headers["usual_seconds"]) == (2, 12)
    assert taken.properties["priority"] == 6
    assert taken.delivery_info["routing_key"] == "seeder.refresh"
    assert taken.payload[1] == request().kwargs


@contextmanager
def somebody_at(world: World) -> Iterator[Session]:
    """Another session that holds the matview's lock."""
    with world.equipment.databases.session() as session:
        matview = matview_name("sales", "reporting")
        lock.take(session, matview, "somebody", policy_of(world.equipment.settings).limits, 100)
        yield session
        lock.release(session, matview)


def queued(redis: Redis) -> list[str]:
    return [
        json.loads(text)["headers"]["id"] for text in redis.lrange("seeder.refresh\x06\x166", 0, -1)[::-1]
    ]


def test_a_run_waits_for_a_matview_until_its_holder_calls(
    world: World, room: DelayedRuns, redis: Redis
) -> None:
    with somebody_at(world):
        room.wait_for_turn(request(), message(), BUSY)
        assert (waiting(world), queued(redis)) == ({"n.custom-1"}, [])
        room.call_next(Message("n.custom-2", 0, "custom", 2, "costs", None), None)
        assert queued(redis) == []
    room.call_next(message("n.custom-0"), None)
    assert (waiting(world), queued(redis)) == (set(), ["n.custom-1"])


def test_a_run_whose_way_is_free_by_now_does_not_wait(world: World, room: DelayedRuns, redis: Redis) -> None:
    room.wait_for_turn(request("n.custom-1"), message("n.custom-1"), BUSY)
    room.wait_for_turn(request("n.custom-2"), message("n.custom-2"), FULL)
    assert (waiting(world), len(queued(redis))) == (set(), 2)


@pytest.mark.parametrize(
    ("awaited", "called"),
    [
        (None, {"n.of the database", "n.of the matview"}),
        (BUSY, {"n.of the database"}),
        (FULL, {"n.of the matview"}),
    ],
    ids=["a run that ended", "one that waits for the matview", "one that waits for a slot"],
)
def test_a_run_calls_for_what_it_had_and_not_for_what_it_awaits(
    world: World, room: DelayedRuns, redis: Redis, awaited: TurnAwaited | None, called: set[str]
) -> None:
    ready = room._ready
    room._deferral.park(ready(request("n.of the database"), 0), "reporting", 0)
    room._deferral.park(ready(request("n.of the matview"), 0), "reporting reporting.sales", 0)
    room.call_next(message(), awaited)
    assert set(queued(redis)) == called


def test_the_longest_is_called_first(world: World, room: DelayedRuns, redis: Redis) -> None:
    for run_id, seconds in (("n.short", 1), ("n.long", 60), ("n.new", None)):
        room._deferral.park(
            room._ready(request(run_id, usual_seconds=seconds), 0), "reporting", -(seconds or 0)
        )
    order = []
    while room._deferral.call(["reporting"]):
        order.append(queued(redis)[0])
    assert order == ["n.long", "n.short", "n.new"]


def test_a_rebuild_waits_for_the_run_of_a_matview_that_reads_it(world: World) -> None:
    base = world.custom("read_by_another", "select 1 as one")
    with world.worker("-c", "2") as worker:
        world.wait_for_end(world.seed(table_name="read_by_another").run_ids)
        world.custom("reads_another", "select one, public.gate('on_top') as n from reporting.read_by_another")
        world.wait_for_end(world.seed(table_name="reads_another").run_ids)
        world.close_gate("on_top")
        (on_top,) = world.seed(table_name="reads_another").run_ids
        world.wait_for(on_top, "running")
        world.sql(
            "update reporting.seeder_custom_report_manifest set query = 'select 2 as one' where id = %s", base
        )
        (run_id,) = world.seed(table_name="read_by_another").run_ids
        wait_until("the rebuild waits", lambda: waiting(world) == {run_id})
        row = world.run(run_id)
        assert row.status == "pending"
        assert row.errors.startswith("reporting.reads_another is being refreshed by ")
        tries = worker.logs().count(f"[{run_id}] received")
        world.open_gates()
        assert world.wait_for(on_top, "success").errors is None
        assert world.wait_for(run_id, "success").errors is None
        assert world.value("select one from reporting.reads_another") == 2
        # It was called, or tried now and then; it didn't go round and round meanwhile.
        assert tries <= 2
