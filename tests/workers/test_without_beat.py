"""Without any beat: a tick that nobody ran is run once, or told of as missed; and the sweeps go on."""

import json
import socket
from contextlib import ExitStack

import pytest
from support.processes import wait_until
from support.world import World
from support.yearly import (
    ENDED,
    NAMES,
    SEEDING,
    TICK,
    YEARLY,
    begin_anew,
    check_that_each_manifest_has_one_run,
    ran,
    runs,
)

from seeder import schema

pytestmark = pytest.mark.slow

SETTINGS = YEARLY


@pytest.fixture(autouse=True)
def _anew(world: World) -> None:
    begin_anew(world)


MISSED = "missed: nothing ran the schedule's tick"


def test_a_tick_that_nobody_ran_is_told_of_once_when_it_is_too_late_and_not_run(world: World) -> None:
    with world.equipment.databases.engine().connect() as connection:
        schema.apply(connection, "reporting", "public.agency")
    told = ran(world, "seeder", "status", "--json", catch_up="1min")
    missed = {"tick": TICK.isoformat(), "seeding_id": SEEDING, "missed": True}
    assert (told.returncode, told.stderr, json.loads(told.stdout)["late"]) == (1, "", missed)
    with ExitStack() as stack:
        workers = [stack.enter_context(world.worker(catch_up="1min")) for _ in range(2)]
        wait_until("one of them tells", lambda: any(MISSED in one.logs() for one in workers))
        # A worker that stops ends its look first.
    assert sum(one.logs().count(MISSED) for one in workers) == 1
    assert runs(world) == {}


def test_a_tick_that_nobody_ran_is_queued_by_the_api_and_run_by_workers_that_come_later(world: World) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["seeder", "web", f"--port={port}"]
    with world.process("web", command, "Pages and API on") as web:
        web.ready()
        queued = {**ENDED, **dict.fromkeys(NAMES, "pending")}
        wait_until("the API has started the seeding", lambda: runs(world) == queued)
        wait_until("and queued it", lambda: world.in_queue() == len(NAMES))
    with world.worker():
        check_that_each_manifest_has_one_run(world)


def test_a_tick_that_nobody_ran_is_run_once_by_two_workers(world: World) -> None:
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(world.worker())
        check_that_each_manifest_has_one_run(world)


#: A worker that looks and asks in seconds where a real one does in minutes.
IMPATIENT = """
from dataclasses import replace

from seeder.maintenance import sweep_requests, watchdog

sweep_requests.OVERDUE_SECONDS = 1
watchdog.WATCHDOG = replace(watchdog.WATCHDOG, interval=0.2)

from seeder.celery import app
"""


def test_a_worker_without_beat_asks_for_sweeps(world: World) -> None:
    (world.folder / "impatient.py").write_text(IMPATIENT)
    with world.worker("-l", "DEBUG", app="impatient") as worker:
        worker.wait_for_log("no sweep for a while: is beat running? This process asks for them meanwhile")
        # The first is the one that every worker begins with.
        wait_until("sweeps go on", lambda: worker.logs().count("Task seeder.sweep[") >= 6)
