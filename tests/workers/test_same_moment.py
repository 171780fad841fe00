"""Reports of one seeding agree, refreshed by real workers while somebody writes, one of which is killed."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from support.processes import wait_until
from support.world import World

pytestmark = pytest.mark.slow

HOLDERS = "select count(*) from pg_stat_activity where application_name like 'seeder moment %'"
REPORTS = 6


@contextmanager
def writing(world: World) -> Iterator[None]:
    over = threading.Event()

    def write() -> None:
        with world.equipment.databases.session() as session:
            while not over.is_set():
                session.run("insert into public.sold default values")
                time.sleep(0.002)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def held(world: World) -> dict[str, int]:
    """What each report holds."""
    found = {}
    for number in range(REPORTS):
        found[f"sold_{number}"] = world.value(f"select n from reporting.sold_{number}")
    return found


def ended(world: World, run_ids: tuple[str, ...]) -> int:
    return sum(world.run(run_id).status == "success" for run_id in run_ids)


def test_they_agree_over_workers_and_after_a_kill_those_that_are_left_agree(world: World) -> None:
    world.sql("create table public.sold (id bigint generated always as identity)")
    for number in range(REPORTS):
        # Half a second of work each.
        work = f"select count(*) from generate_series(1, 1500000) as g where g <> {number}"
        world.custom(f"sold_{number}", f"select count(*) as n, ({work}) as work from public.sold")
    settings = {"same_moment": "seeding"}
    with world.worker("-c", "1", **settings) as first, writing(world):
        with world.worker("-c", "1", **settings):
            for _ in range(2):
                seeding = world.seed()
                world.wait_for_end(seeding.run_ids)
                assert len(set(held(world).values())) == 1
                notes = {world.run(run_id).note for run_id in seeding.run_ids}
                assert len(notes) == 1
                wait_until("nobody holds it any more", lambda: world.value(HOLDERS) == 0)
        # The one that is left holds the third moment, and is killed in the middle.
        seeding = world.seed()
        wait_until("some are done", lambda: ended(world, seeding.run_ids) >= 2)
        first.kill("SIGKILL")
        assert ended(world, seeding.run_ids) < REPORTS
    with world.worker("-c", "1", **settings):
        world.sweep()
        world.wait_for_end(seeding.run_ids)
        moments: dict[str, set[int]] = {}
        for run_id in seeding.run_ids:
            run = world.run(run_id)
            assert run.status == "success"
            moments.setdefault(run.note, set()).add(held(world)[run.table_name])
        # Those of one moment agree, and the note says which that is.
        assert all(len(numbers) == 1 for numbers in moments.values())
        wait_until("nobody holds it any more", lambda: world.value(HOLDERS) == 0)
