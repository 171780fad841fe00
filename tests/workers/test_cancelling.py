"""Runs that are ended on purpose, by a person, by Celery's revoke or by a time limit, in both pools."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.processes import Worker, pool_arguments, wait_until
from support.world import World

from seeder.history import NewRun
from seeder.runs.cancelling import Cancellation, Stopped

pytestmark = pytest.mark.slow

SETTINGS = {"statement_timeout": "60s"}


@pytest.fixture(scope="module", params=["threads", "prefork"])
def pool(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def worker(world: World, pool: str) -> Iterator[Worker]:
    """A worker of each pool in turn, with two refreshes at a time."""
    with world.worker(*pool_arguments(pool), "-c", "2") as worker:
        yield worker


@pytest.fixture
def table(request: pytest.FixtureRequest) -> str:
    """A name of the test's own, in each pool."""
    return re.sub(r"\W+", "_", request.node.name.removeprefix("test_"))[-50:].strip("_")


@pytest.fixture(autouse=True)
def gates(world: World) -> Iterator[None]:
    yield
    world.open_gates()


def held(world: World, table: str) -> str:
    """A run that is in the middle of its refresh, and stays there until the gates open."""
    if not world.sql("select from reporting.seeder_custom_report_manifest where table_name = %s", table):
        world.custom(table, f"select public.gate('{table}') as n")
    world.close_gate(table)
    (run_id,) = world.seed(table_name=table).run_ids
    wait_until("the refresh is at its gate", lambda: world.at_work(run_id))
    return run_id


def cancel(world: World, name: str, by: str = "anna") -> list[Stopped]:
    return Cancellation.of(world.equipment).cancel_named(name, by)


def check_that_it_ended(world: World, worker: Worker, run_id: str, words: str) -> None:
    """The run is one error with these words, whatever its worker said afterwards; the next one succeeds."""
    row = world.run(run_id)
    assert (row.status, row.errors) == ("error", words)
    assert row.consecutive_failures == world.status(row.table_name).consecutive_failures == 1
    assert world.status(row.table_name).last_errors == words
    wait_until("its statement has ended", lambda: not world.at_work(run_id), seconds=2)
    wait_until("its lock is free", lambda: not world.locked_by(run_id))
    world.open_gates()
    (again,) = world.seed(table_name=row.table_name).run_ids
    assert world.wait_for(again, "success").consecutive_failures == 0
    assert world.run(run_id) == row
    assert world.refreshes(row.table_name) == 1


# --- seeder cancel -----------------------------------------------------------------------------------------


def test_a_running_run_is_ended_by_its_tables_name(world: World, worker: Worker, table: str) -> None:
    run_id = held(world, table)
    (stopped,) = cancel(world, table)
    assert (stopped.run.run_id, stopped.run.status) == (run_id, "running")
    assert stopped.moved
    assert stopped.ended
    assert not world.at_work(run_id)
    worker.wait_for_log(f"[{run_id}] raised expected: QueryFailed('57014: ")
    check_that_it_ended(world, worker, run_id, "Cancelled by anna in the middle of the run.")


def test_a_queued_run_is_over_before_its_message_is_taken(world: World, worker: Worker, table: str) -> None:
    busy = [held(world, f"{table}_{number}") for number in range(2)]
    world.custom(table, f"select public.gate('{table}') as n")
    (run_id,) = world.seed(table_name=table).run_ids
    (stopped,) = cancel(world, run_id)
    assert (stopped.run.status, stopped.moved, stopped.ended) == ("pending", True, True)
    row = world.run(run_id)
    assert (row.status, row.errors) == ("error", "Cancelled by anna before it started.")
    world.open_gates()
    worker.wait_for_log(f"[{run_id}] ignored")
    assert world.run(run_id) == row
    assert world.refreshes(table) == 0
    assert {run.status for run in world.wait_for_end(busy).values()} == {"success"}


def test_a_run_that_waits_its_turn_is_ended_without_touching_the_one_at_work(
    world: World, worker: Worker, table: str
) -> None:
    at_work = held(world, table)
    (waiting,) = world.seed(table_name=table).run_ids
    worker.wait_for_log(f"[{waiting}] retry: ")
    (stopped,) = cancel(world, waiting)
    assert stopped.moved
    assert world.run(at_work).status == "running"
    assert world.at_work(at_work)
    world.open_gates()
    assert world.wait_for(at_work, "success").errors is None
    assert world.run(waiting).errors == "Cancelled by anna before it started."


def test_of_many_cancels_one_wins(world: World, worker: Worker, table: str) -> None:
    run_id = held(world, table)
    with ThreadPoolExecutor(5) as threads:
        answers = list(threads.map(lambda by: cancel(world, run_id, by)[0], "abcde"))
    (winner,) = [by for by, answer in zip("abcde", answers, strict=True) if answer.moved]
    assert {answer.run.status for answer in answers if not answer.moved} == {"error"}
    check_that_it_ended(world, worker, run_id, f"Cancelled by {winner} in the middle of the run.")


def test_a_run_that_is_over_stays_as_it_is(world: World, worker: Worker, table: str) -> None:
    world.custom(table)
    (run_id,) = world.seed(table_name=table).run_ids
    row = world.wait_for(run_id, "success")
    (stopped,) = cancel(world, run_id)
    assert (stopped.run.status, stopped.moved) == ("success", False)
    assert cancel(world, table) == []
    assert world.run(run_id) == row


def test_a_cancel_that_hits_the_record_of_the_end_loses_nothing(
    world: World, worker: Worker, table: str
) -> None:
    run_id = held(world, table)
    person = world.connect()
    person.autocommit = False
    with person.cursor() as cursor:
        cursor.execute("select from reporting.seeder_job_status where table_name = %s for update", [table])
    world.open_gates()
    recording = wait_until("the record waits for the person", lambda: world.waiting(run_id))
    world.sql("select pg_cancel_backend(%s)", recording)
    worker.wait_for_log(f"what=success run_id={run_id}")
    person.rollback()
    person.close()
    assert world.wait_for(run_id, "success").errors is None
    assert world.refreshes(table) == 1


# --- Celery's revoke ---------------------------------------------------------------------------------------


def test_a_queued_run_that_is_revoked_is_recorded_so(world: World, worker: Worker, table: str) -> None:
    busy = [held(world, f"{table}_{number}") for number in range(2)]
    world.custom(table, f"select public.gate('{table}') as n")
    (run_id,) = world.seed(table_name=table).run_ids
    world.app.control.revoke(run_id)
    worker.wait_for_log(f"Tasks flagged as revoked: {run_id}")
    world.open_gates()
    world.wait_for(run_id, "error")
    check_that_it_ended(world, worker, run_id, "Cancelled by a revoke through Celery before it started.")
    assert "Failed to mark task" not in worker.logs(), "nobody keeps results"
    world.wait_for_end(busy)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL"])
def test_a_running_run_that_is_terminated_is_ended_and_recorded_so(
    world: World, worker: Worker, table: str, name: str
) -> None:
    run_id = held(world, table)
    world.app.control.revoke(run_id, terminate=True, signal=name)
    world.wait_for(run_id, "error")
    check_that_it_ended(
        world, worker, run_id, "Cancelled by a revoke through Celery in the middle of the run."
    )


def test_a_run_that_was_revoked_and_lost_its_message_ends_when_the_sweep_queues_it(
    world: World, worker: Worker, table: str
) -> None:
    run_id = f"swept.{table}"
    number = world.custom(table, f"select public.gate('{table}') as n")
    world.equipment.history.queue([NewRun(run_id, "custom", number, table, "Report", 1, "ua")])
    world.app.control.revoke(run_id)
    worker.wait_for_log(f"Tasks flagged as revoked: {run_id}")
    assert world.sweep()["requeued"] == 1
    world.wait_for(run_id, "error")
    check_that_it_ended(world, worker, run_id, "Cancelled by a revoke through Celery before it started.")


# --- Celery's time limits -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("which", "setting"), [("hard", "task_time_limit"), ("soft", "task_soft_time_limit")]
)
def test_celerys_time_limits_end_a_run_in_prefork(
    world: World, worker: Worker, pool: str, table: str, which: str, setting: str
) -> None:
    if pool == "threads":
        pytest.skip("threads knows no time limits")
    run_id = f"limited.{table}"
    number = world.custom(table, f"select public.gate('{table}') as n")
    world.close_gate(table)
    world.equipment.history.queue([NewRun(run_id, "custom", number, table, "Report", 1, "ua")])
    world.publish(run_id, table, number, **{setting.removeprefix("task_"): 1})
    row = world.wait_for(run_id, "error")
    assert row.errors.startswith(f"Ended by Celery's {which} time limit of 1 s ({setting}, ")
    check_that_it_ended(world, worker, run_id, row.errors)
