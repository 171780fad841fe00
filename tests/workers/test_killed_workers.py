"""A worker that is killed in the middle of its runs costs them nothing but time, until they prove deadly."""

import os
import signal

import pytest
from support.processes import Worker, pool_arguments, wait_until
from support.world import World

pytestmark = pytest.mark.slow

SETTINGS = {"max_retries": "1"}

#: What a run has on the server: its backend, by the name it goes by, and its lock.
LEFT = """
select a.pid, a.application_name, a.client_port
from pg_stat_activity a
where a.datname = current_database() and a.application_name like 'seeder %.custom-%'
union all
select l.pid, l.locktype, null
from pg_locks l
where l.locktype = 'advisory'
  and l.database = (select oid from pg_database where datname = current_database())
"""


def start_gated(world: World, *names: str) -> dict[str, str]:
    """Seed manifests that stay in the middle of their refreshes; returns their runs by name."""
    world.no_manifests()
    for name in names:
        world.custom(name, f"select public.gate('{name}') as n")
    world.close_gate(*names)
    return {world.run(run_id).table_name: run_id for run_id in world.seed().run_ids}


def test_the_runs_of_a_killed_worker_are_run_again_by_another_and_a_deadly_one_is_given_up(
    world: World,
) -> None:
    names = [f"killed_{number}" for number in range(6)]
    with world.worker() as worker:
        runs = start_gated(world, *names)
        running = wait_until(
            "all places are taken", lambda: len(found := world.history(status="running")) == 4 and found
        )
        assert world.sweep() == {"requeued": 0, "ended": 0}, "who is at work is let be"
        worker.container.kill()

    assert (world.in_queue(), world.unacked()) == (2, 0), "what it hadn't started is anybody's"
    wait_until("PostgreSQL has noticed, and nothing is left there", lambda: not world.sql(LEFT))
    assert world.sweep() == {"requeued": 4, "ended": 0}
    assert world.in_queue() == 6
    for run in running:
        lost = world.run(run.run_id)
        assert (lost.status, lost.consecutive_failures, lost.finish_time) == ("pending", 0, None)
        assert lost.errors.startswith("Try 1 was lost: the worker or its connection died")
        world.check_status(lost)
    deadly, *others = sorted(runs, key=lambda name: runs[name] != running[0].run_id)

    world.sql("delete from public.closed_gates where name <> %s", deadly)
    with world.worker() as worker:
        for run in world.wait_for_end(runs[name] for name in others).values():
            world.check_record(run)
        assert [world.refreshes(name) for name in names] == [name != deadly for name in names]
        world.wait_for(runs[deadly], "running")
        worker.container.kill()

    wait_until("nothing is left on the server", lambda: not world.sql(LEFT))
    assert world.sweep() == {"requeued": 0, "ended": 1}
    given_up = world.run(runs[deadly])
    assert (given_up.status, given_up.consecutive_failures) == ("error", 1)
    assert given_up.errors.startswith("Given up after 2 tries")
    world.check_status(given_up)
    assert world.sweep() == {"requeued": 0, "ended": 0}
    assert (world.in_queue(), world.refreshes(deadly)) == (0, 0)
    world.open_gates()


def test_the_run_of_a_killed_pool_process_is_run_again_by_the_same_worker(world: World) -> None:
    with world.worker(*pool_arguments("prefork"), "-c", "2") as worker:
        (run_id,) = start_gated(world, "of_a_pool_process").values()
        world.wait_for(run_id, "running")
        (port,) = [row.client_port for row in world.sql(LEFT) if row.client_port]
        os.kill(pool_process(worker, port), signal.SIGKILL)

        worker.wait_for_log("the process of a run died; the sweep takes the run up")
        wait_until("nothing is left on the server", lambda: not world.sql(LEFT))
        assert world.run(run_id).status == "running"
        assert world.sweep() == {"requeued": 1, "ended": 0}
        world.open_gates()
        run = world.wait_for(run_id, "success")
        world.check_record(run)
        assert world.refreshes("of_a_pool_process") == 1
        assert worker.container.popen.poll() is None


def test_a_run_that_ends_its_process_each_time_and_one_that_fails_in_between_do_not_go_round_for_ever(
    world: World,
) -> None:
    with world.worker(*pool_arguments("prefork"), "-c", "2") as worker:
        runs = start_gated(world, "deadly_each_time", "deadly_once")
        for run_id in runs.values():
            world.wait_for(run_id, "running")
        kill_pool_processes(world, worker)
        assert world.sweep() == {"requeued": 2, "ended": 0}

        for run_id in runs.values():
            world.wait_for(run_id, "running")
        # A try that was lost counts as one that failed: this was the last.
        world.sql(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name like %s",
            f"seeder {runs['deadly_once']} %",
        )
        failed = world.wait_for(runs["deadly_once"], "error")
        assert failed.errors.startswith("The connection to the database failed")
        assert failed.consecutive_failures == 1

        kill_pool_processes(world, worker)
        assert world.sweep() == {"requeued": 0, "ended": 1}
        given_up = world.run(runs["deadly_each_time"])
        assert (given_up.status, given_up.consecutive_failures) == ("error", 1)
        assert given_up.errors.startswith("Given up after 2 tries, the last of which was lost: its worker or")
        world.check_status(given_up)
        assert (world.in_queue(), world.unacked()) == (0, 0)
        world.open_gates()
        assert worker.container.popen.poll() is None


def kill_pool_processes(world: World, worker: Worker) -> None:
    """Those that are in the middle of a run, as the kernel does when memory runs out."""
    for pid in [pool_process(worker, row.client_port) for row in world.sql(LEFT) if row.client_port]:
        os.kill(pid, signal.SIGKILL)
    wait_until("PostgreSQL has noticed, and nothing is left there", lambda: not world.sql(LEFT))


def pool_process(worker: Worker, port: int) -> int:
    """The process of the worker's pool that has that end of a connection."""
    (found,) = [
        process.pid
        for process in worker.container.children()
        if port in {connection.laddr.port for connection in process.net_connections()}
    ]
    return found
