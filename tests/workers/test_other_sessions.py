"""What other people do in psql while a worker is at work: it waits, tries again, and goes on by itself."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from support.processes import Worker, wait_until
from support.world import World

pytestmark = pytest.mark.slow

SETTINGS = {"retry_backoff_max": "1"}


def times_taken(worker: Worker, run_id: str) -> int:
    return worker.logs().count(f"Task seeder.refresh_manifest[{run_id}] received")


@contextmanager
def person(world: World, statement: str) -> Iterator[None]:
    """A transaction that somebody has begun and commits at the end."""
    connection = world.connect()
    connection.autocommit = False
    try:
        connection.cursor().execute(statement)
        yield
        connection.commit()
    finally:
        connection.close()


@contextmanager
def read_only(world: World) -> Iterator[None]:
    """The whole server, as a standby is."""

    world.sql("alter system set default_transaction_read_only = on")
    world.sql("select pg_reload_conf()")
    try:
        yield
    finally:
        # This one command may be given all the same.
        world.sql("alter system reset default_transaction_read_only")
        world.sql("select pg_reload_conf()")


def test_a_grant_over_everything_costs_one_try(world: World, worker: Worker) -> None:
    world.no_manifests()
    world.custom("granted")
    world.wait_for_end(world.seed().run_ids)
    with person(world, "grant select on all tables in schema reporting to public"):
        (run_id,) = world.seed().run_ids
        wait_until("it waits for the grant", lambda: world.waiting(run_id))
    ended = world.wait_for(run_id, "success")
    assert (ended.attempts, ended.consecutive_failures, ended.errors) == (2, 0, None)
    assert "XX000" in worker.logs()


def test_a_fan_out_and_a_run_outlast_a_server_that_is_read_only(world: World, worker: Worker) -> None:
    world.no_manifests()
    world.custom("written", "select public.gate('written') as n")
    world.close_gate("written")
    (at_work,) = world.seed().run_ids
    world.wait_for(at_work, "running")
    with read_only(world):
        fan_out = world.app.send_task("seeder.refresh_all")
        said = f"Task seeder.refresh_all[{fan_out.id}] retry: "
        wait_until("the fan-out is to be tried again", lambda: said in worker.logs())
        with person(world, "set local transaction_read_only = off; delete from public.closed_gates"):
            pass
        wait_until("the end can't be recorded yet", lambda: "not recorded yet" in worker.logs())
    assert world.wait_for(at_work, "success").errors is None
    (_, later) = wait_until("both are over", lambda: _ended(world, "written", 2))
    assert later.status == "success"
    assert later.run_id != at_work


def test_a_run_whose_row_is_held_takes_no_place_and_runs_when_it_is_free(
    world: World, worker: Worker
) -> None:
    world.no_manifests()
    names = [f"held_{number}" for number in range(6)]
    for name in names:
        world.custom(name)
    world.wait_for_end(world.seed().run_ids)
    rows = "select from reporting.seeder_job_status where table_name <> 'held_5' for update"
    with person(world, rows):
        # More than there are places.
        seeding = world.seed()
        assert set(seeding.held) == set(names[:5])
        free = next(run_id for run_id in seeding.run_ids if run_id not in seeding.held.values())
        world.wait_for(free, "success")
        (one, *_) = seeding.held.values()
        wait_until("it is tried again", lambda: times_taken(worker, one) > 1)
        assert world.run(one).status == "pending"
    runs = world.wait_for_end(seeding.run_ids)
    assert {(run.status, run.attempts) for run in runs.values()} == {("success", 1)}


def _ended(world: World, table_name: str, count: int) -> list[object]:
    runs = world.history(table_name=table_name)
    return runs if len(runs) == count and all(run.status == "success" for run in runs) else []
