"""What the pools are to do: take the next message as soon as there is room for it, and none before."""

from collections.abc import Iterator

import pytest
from support.processes import Worker, wait_until
from support.world import World

from seeder.broker.thread_pool import asks_for_prefork

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["default", "threads", "prefork"])
def pool(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def worker(world: World, pool: str) -> Iterator[Worker]:
    with world.worker(*(() if pool == "default" else ("-P", pool)), "-c", "4") as worker:
        yield worker


def test_the_pool_is_the_one_that_was_asked_for(world: World, worker: Worker, pool: str) -> None:
    (stats,) = (world.app.control.inspect(timeout=10, limit=1).stats() or {}).values()
    implementation = {"prefork": "celery.concurrency.prefork:TaskPool"}.get(
        pool, "seeder.broker.thread_pool:TaskPool"
    )
    assert stats["pool"]["implementation"] == implementation
    assert stats["pool"]["max-concurrency"] == 4


def test_short_runs_follow_each_other_at_once(world: World, worker: Worker) -> None:
    """Celery's own thread pool without prefetch takes 4 messages a second: 15 s for 60 runs of 10 ms."""
    world.no_manifests()
    for number in range(60):
        world.custom(f"short_{number}", "select count(*) from generate_series(1, 50000)")
    runs = world.wait_for_end(world.seed().run_ids).values()
    started, ended = min(run.start_time for run in runs), max(run.finish_time for run in runs)
    assert (ended - started).total_seconds() < 5


def test_as_many_messages_are_out_as_there_is_room_for(world: World, worker: Worker) -> None:
    names = [f"held_{number}" for number in range(10)]
    world.no_manifests()
    for name in names:
        world.custom(name, f"select public.gate('{name}') as n")
    world.close_gate(*names)
    run_ids = world.seed().run_ids
    wait_until("all places are taken", lambda: len(world.history(status="running")) == 4)
    # The answer shows that the event loop has gone round since, and has taken nothing more.
    assert world.app.control.ping(timeout=10, limit=1)
    assert (world.in_queue(), world.unacked()) == (6, 0)
    world.open_gates()
    assert {run.status for run in world.wait_for_end(run_ids).values()} == {"success"}


def test_the_pool_grows_and_shrinks_by_remote_control(world: World, worker: Worker) -> None:
    def ask(command: str, number: int) -> str:
        (answer,) = world.app.control.broadcast(
            command, arguments={"n": number}, reply=True, timeout=10, limit=1
        )
        (told,) = answer.values()
        return " ".join(f"{outcome}: {words}" for outcome, words in told.items())

    names = [f"grown_{number}" for number in range(8)]
    world.no_manifests()
    for name in names:
        world.custom(name, f"select public.gate('{name}') as n")
    world.close_gate(*names)
    run_ids = world.seed().run_ids
    wait_until("all places are taken", lambda: len(world.history(status="running")) == 4)
    assert ask("pool_grow", 2) == "ok: pool will grow"
    wait_until("the new places are taken", lambda: len(world.history(status="running")) == 6)
    assert ask("pool_shrink", 6).startswith("error: a pool keeps one place at least")
    assert ask("pool_grow", -1).startswith("error: the number must be 1 or more")
    world.open_gates()
    assert {run.status for run in world.wait_for_end(run_ids).values()} == {"success"}
    assert ask("pool_shrink", 2) == "ok: pool will shrink"
    assert ask("autoscale", 3).startswith("error: ")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("celery -A seeder worker -P prefork", True),
        ("celery -A seeder worker -Pprefork -E", True),
        ("celery -A seeder worker -EP prefork", True),
        ("celery -A seeder worker --pool prefork -c 2", True),
        ("celery -A seeder worker --pool=prefork", True),
        ("celery -A seeder worker", False),
        ("celery -A seeder worker -P threads", False),
        ("celery -A seeder worker -n prefork", False),
        ("celery -A seeder worker -P preforked", False),
    ],
)
def test_prefork_is_recognised_as_celery_does(words: str, expected: bool) -> None:
    assert asks_for_prefork(words.split()) is expected
