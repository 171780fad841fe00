"""A worker that is stopped in its refresh, given up for dead, and comes back while another has its run."""

import signal

import pytest
from support.processes import wait_until
from support.world import World

pytestmark = pytest.mark.slow


def test_a_revived_worker_leaves_its_successors_run_alone(world: World) -> None:
    world.custom("revived", "select public.gate('revived') as n")
    world.close_gate("revived")
    # With its one place taken it asks Redis for no message, which it would keep while it is stopped.
    with world.worker("-c", "1") as stopped:
        (run_id,) = world.seed(table_name="revived").run_ids
        (backend,) = wait_until("the refresh is at its gate", lambda: world.at_work(run_id))
        stopped.container.popen.send_signal(signal.SIGSTOP)
        try:
            world.sql("select pg_terminate_backend(%s, 5000)", backend.pid)
            assert world.sweep() == {"requeued": 1, "ended": 0}
            with world.worker() as successor:
                wait_until("its successor is at the gate", lambda: world.at_work(run_id))
                before = world.run(run_id)
                stopped.container.popen.send_signal(signal.SIGCONT)
                stopped.wait_for_log("given up for dead meanwhile; the run is another's")
                assert world.run(run_id) == before
                # Who asks now gets a run that has yet to begin.
                (asked,) = world.seed(table_name="revived").run_ids
                world.open_gates()
                ended = world.wait_for_end((run_id, asked))
                assert {row.status for row in ended.values()} == {"success"}
                assert ended[run_id].start_time == before.start_time
                assert world.refreshes("revived") == 2
                successor.wait_for_log(f"[{run_id}] succeeded")
        finally:
            stopped.container.popen.send_signal(signal.SIGCONT)
