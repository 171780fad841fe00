"""A worker that scales by itself, alone with its messages; and one that can't and says so."""

import pytest
from support.forked import run_module
from support.processes import celery, clean_environment, wait_until
from support.world import World

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", ["threads", "prefork"])
def test_a_pool_scales_by_itself_with_what_there_is_to_do(world: World, kind: str) -> None:
    names = [f"{kind}_{number}" for number in range(8)]
    world.no_manifests()
    for name in names:
        world.custom(name, f"select public.gate('{name}') as n")
    world.close_gate(*names)
    with world.worker("-P", kind, "--autoscale=3,1", "--max-tasks-per-child=100") as worker:
        run_ids = world.seed().run_ids
        wait_until("all places are taken", lambda: len(world.history(status="running")) == 3)
        limits = {"max": 5, "min": 1}
        world.app.control.broadcast("autoscale", arguments=limits, reply=True, timeout=10, limit=1)
        wait_until("the new places are taken", lambda: len(world.history(status="running")) == 5)
        world.open_gates()
        assert {run.status for run in world.wait_for_end(run_ids).values()} == {"success"}
        assert ("without effect" in worker.logs()) == (kind == "threads")


def test_a_pool_that_can_not_do_what_is_asked_is_told_in_one_line(world: World) -> None:
    command = celery("worker", "-P", "solo", "--autoscale=4,1")
    done = run_module(command, cwd=world.folder, env=clean_environment(world.environment))
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("seeder: The worker doesn't start: the pool that was")
    assert "Traceback" not in done.stderr
