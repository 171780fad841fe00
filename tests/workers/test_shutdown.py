"""A worker that is told to stop: warm, cold, or warm until its grace is over; in both pools.

What is cut off is pending and queued again at once, as the try it was, and nothing of it is left in the
database.
"""

import json
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from support.processes import Worker, pool_arguments, started, wait_until
from support.world import World

from seeder.history import NewRun

pytestmark = pytest.mark.slow

HANDED_BACK = "The worker was shut down in the middle of the run; it is queued again."

COLD = {
    "SIGTERM twice": ("SIGTERM", "SIGTERM"),
    "SIGINT twice": ("SIGINT", "SIGINT"),
    "SIGQUIT": ("SIGQUIT",),
}


@pytest.fixture(scope="module", params=["threads", "prefork"])
def pool(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def arguments(pool: str) -> tuple[str, ...]:
    """What a worker of that pool with two refreshes at a time is started with."""
    return (*pool_arguments(pool), "-c", "2")


@pytest.fixture(autouse=True)
def nothing_left(world: World) -> Iterator[None]:
    yield
    world.open_gates()
    world.app.control.purge()
    world.sql("delete from reporting.seeder_run_history where status = 'pending'")


@pytest.fixture
def table(request: pytest.FixtureRequest) -> str:
    return f"t{abs(hash(request.node.name))}"


def held(world: World, table: str) -> str:
    """A run in its second try, in the middle of its refresh, where it stays until the gates open."""
    number = world.custom(table, f"select public.gate('{table}') as n")
    world.close_gate(table)
    run_id = f"seeding.{table}"
    world.equipment.history.queue([NewRun(run_id, "custom", number, table, "Report", 1, "ua")])
    world.publish(run_id, table, number, retries=1)
    wait_until("the refresh is at its gate", lambda: world.at_work(run_id))
    return run_id


def send(worker: Worker, *names: str) -> None:
    """The signals, each after the worker has told of the one before."""
    for number, name in enumerate(names):
        if number:
            worker.wait_for_log("worker: Warm shutdown (MainProcess)")
        worker.container.popen.send_signal(signal.Signals[name])


def exit_code(worker: Worker, seconds: float = 30) -> int:
    wait_until("the worker has ended", lambda: worker.container.popen.poll() is not None, seconds)
    return int(worker.container.popen.returncode)


def queued(world: World) -> list[dict[str, Any]]:
    """The headers of the messages in the queue for runs."""
    with world.app.connection_for_read() as connection, connection.channel() as channel:
        return [
            json.loads(text)["headers"]
            for step in channel.priority_steps
            for text in channel.client.lrange(channel._q_for_pri("seeder.refresh", step), 0, -1)
        ]


def check_that_they_were_handed_back(world: World, worker: Worker, *run_ids: str) -> None:
    rows = {run_id: world.wait_for(run_id, "pending") for run_id in run_ids}
    for run_id, row in rows.items():
        assert row.errors == HANDED_BACK
        assert row.consecutive_failures == 0
        wait_until("its statement has ended", lambda run_id=run_id: not world.at_work(run_id), seconds=2)
    exit_code(worker, seconds=10)
    assert {(header["id"], header["retries"]) for header in queued(world)} == {(one, 1) for one in run_ids}
    assert len(queued(world)) == len(run_ids)
    assert world.unacked() == 0
    for run_id, row in rows.items():
        assert not world.locked_by(run_id)
        assert world.run(run_id) == row
        assert world.refreshes(row.table_name) == 0
    assert "Traceback" not in worker.logs()


def test_warm_takes_nothing_new_and_finishes_what_runs(
    world: World, arguments: tuple[str, ...], table: str
) -> None:
    with world.worker(*arguments, "-c", "1", shutdown_grace="10min") as worker:
        at_work = held(world, table)
        world.custom(f"{table}_next")
        (waiting,) = world.seed(table_name=f"{table}_next").run_ids
        send(worker, "SIGTERM")
        worker.wait_for_log("worker: Warm shutdown (MainProcess)")
        world.open_gates()
        assert exit_code(worker) == 0
        assert (world.run(at_work).status, world.run(at_work).errors) == ("success", None)
        assert world.run(waiting).status == "pending"
        assert [header["id"] for header in queued(world)] == [waiting]


@pytest.mark.parametrize("how", COLD)
def test_cold_hands_back_what_runs(world: World, arguments: tuple[str, ...], table: str, how: str) -> None:
    with world.worker(*arguments) as worker:
        run_ids = [held(world, f"{table}_{number}") for number in range(2)]
        send(worker, *COLD[how])
        check_that_they_were_handed_back(world, worker, *run_ids)


def test_when_the_grace_is_over_warm_turns_cold_and_another_worker_takes_the_run(
    world: World, arguments: tuple[str, ...], table: str
) -> None:
    with world.worker(*arguments, shutdown_grace="500ms") as worker:
        run_id = held(world, table)
        send(worker, "SIGTERM")
        check_that_they_were_handed_back(world, worker, run_id)
    world.open_gates()
    with world.worker() as heir:
        row = world.wait_for(run_id, "success")
        heir.wait_for_log(f"[{run_id}] succeeded")
    assert (row.errors, row.consecutive_failures) == (None, 0)
    assert world.refreshes(table) == 1


def test_celerys_soft_shutdown_and_its_other_meaning_of_sigterm_hand_back_too(
    world: World, arguments: tuple[str, ...], table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Celery reads it at import.
    monkeypatch.setenv("REMAP_SIGTERM", "SIGQUIT")
    config = world.folder / "celeryconfig.py"
    config.write_text("worker_soft_shutdown_timeout = 0.5\n")
    try:
        with world.worker(*arguments, begin=started) as worker:
            run_id = held(world, table)
            send(worker, "SIGTERM")
            worker.wait_for_log("Initiating Soft Shutdown")
            check_that_they_were_handed_back(world, worker, run_id)
    finally:
        config.unlink()
