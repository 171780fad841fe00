"""One seeding per tick of the schedule, however many beats fire for it and wherever a fan-out is killed."""

from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from celery.beat import PersistentScheduler
from redis import Redis
from support.fan_out import POINTS
from support.processes import Process, Worker, celery, wait_until
from support.world import World
from support.yearly import ENDED, TICK, YEARLY, begin_anew, check_that_each_manifest_has_one_run, ran, runs

from seeder.seedings.catching_up import catch_up
from seeder.seedings.overdue import DueTicks

pytestmark = pytest.mark.slow

SETTINGS = YEARLY


@pytest.fixture(autouse=True)
def _anew(world: World, worker: Worker) -> None:
    begin_anew(world)


# --- with beats ------------------------------------------------------------------------------------------

FIRES = "Sending due task refresh everything"


def asleep(world: World, file: Path) -> None:
    """Beat's file as it was when the host fell asleep, before the tick."""
    scheduler = PersistentScheduler(world.app, schedule_filename=str(file), lazy=False)
    scheduler.schedule["refresh everything"].last_run_at = TICK - timedelta(minutes=1)
    scheduler.close()


def beat(stack: ExitStack, world: World, file: Path) -> Process:
    command = celery("beat", "-l", "INFO", "--schedule", str(file), "--pidfile=")
    return stack.enter_context(world.process("beat", command, "beat: Starting"))


def test_five_beats_and_one_that_is_killed_and_forgets_that_it_fired_start_one_seeding(
    world: World, worker: Worker
) -> None:
    files = [world.folder / f"beat-{number}" for number in range(5)]
    with ExitStack() as stack:
        beats = []
        for file in files:
            asleep(world, file)
            beats.append(beat(stack, world, file))
        for one in beats:
            wait_until(f"{one.name} fires", lambda one=one: FIRES in one.logs())
        beats[0].kill()
        asleep(world, files[0])
        again = beat(stack, world, files[0])
        wait_until("it fires again", lambda: FIRES in again.logs())
        fan_outs = "Task seeder.refresh_all["
        wait_until("six have been taken and are over", lambda: worker.logs().count(fan_outs) == 12)
    check_that_each_manifest_has_one_run(world)


def test_a_sweep_leaves_word_so_that_nobody_asks_for_another(world: World, worker: Worker) -> None:
    with Redis.from_url(world.broker_url) as redis:
        redis.delete("seeder.swept")
        world.app.send_task("seeder.sweep")
        wait_until("it leaves word", lambda: redis.exists("seeder.swept"))
    # One that found nothing is no line of the log.
    assert "Task seeder.sweep[" not in worker.logs()


# --- fan-outs that die -----------------------------------------------------------------------------------


@pytest.mark.parametrize("point", POINTS)
def test_a_fan_out_that_is_killed_is_completed_and_nothing_is_doubled(
    world: World, worker: Worker, point: str
) -> None:
    died = ran(world, "support.fan_out", point)
    assert died.returncode == -9, died.stderr
    is_recorded = point not in ("nothing is recorded", "half the record is written")
    assert set(runs(world)) == (set(ENDED) if is_recorded else set()), "all of it or nothing"
    catch_up(world.app, world.equipment, DueTicks.of(world.equipment).now())
    world.sweep()
    check_that_each_manifest_has_one_run(world)
