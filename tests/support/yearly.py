"""A tick of the schedule that was an hour ago and comes once a year, so that it stays the latest; and what
its seeding looks like in the record."""

from datetime import UTC, datetime, timedelta
from typing import Any

from redis import Redis
from support.contract import as_it_is, new_run
from support.forked import run_module
from support.processes import clean_environment, wait_until
from support.world import World

from seeder.run_ids import tick_seeding_id

TICK = (datetime.now(UTC) - timedelta(hours=1)).replace(second=0, microsecond=0)
SEEDING = tick_seeding_id(TICK)
YEARLY = {
    "schedule": f"{TICK.minute} {TICK.hour} {TICK.day} {TICK.month} *",
    "timezone": "UTC",
    "catch_up": "6h",
}

#: The manifests, each of which calls the gate of its name, and beside them one that can't be used.
NAMES = [f"nightly_{number}" for number in range(4)]
ENDED = {**dict.fromkeys(NAMES, "success"), "no name": "error"}


def begin_anew(world: World) -> None:
    """Manifests, and a record that goes back to before the tick and knows nothing of it."""
    world.no_manifests()
    world.sql("truncate reporting.seeder_run_history, reporting.seeder_job_status, public.witnessed")
    with Redis.from_url(world.broker_url) as redis:
        redis.delete("seeder.swept", f"seeder.missed.{SEEDING}")
    for name in NAMES:
        world.custom(name, f"select public.gate('{name}') as n")
    world.custom("no name", "select 1 as n")
    world.equipment.history.queue([new_run("n0-k3f9.custom-0", table_name="older", manifest_id=0)])
    world.equipment.history.fail(as_it_is(world.equipment.history, "n0-k3f9.custom-0"), "long ago")
    world.sql("update reporting.seeder_run_history set created_at = %s", TICK - timedelta(days=1))


def ran(world: World, *arguments: str, **settings: str) -> Any:
    """``python -m`` with these arguments in that world, to its end."""
    environment = {**world.environment, **{f"SEEDER_{name.upper()}": v for name, v in settings.items()}}
    return run_module(arguments, cwd=world.folder, env=clean_environment(environment))


def runs(world: World) -> dict[str, str]:
    """table_name → status of the tick's runs; each manifest has one at most."""
    found = [run for run in world.history() if run.run_id.startswith(f"{SEEDING}.")]
    assert len({run.run_id for run in found}) == len({run.table_name for run in found}) == len(found)
    return {run.table_name: run.status for run in found}


def check_that_each_manifest_has_one_run(world: World) -> None:
    wait_until("the tick's runs are over", lambda: runs(world) == ENDED)
    wait_until("nothing is left to do", lambda: not world.in_queue("seeder.control") + world.in_queue())
    assert len(world.history()) == 1 + len(ENDED), "and there is no run of another seeding"
    assert [world.refreshes(name) for name in NAMES] == [1] * len(NAMES)
