"""Reports whose sources haven't changed: recorded by the fan-out at once, without a message or a worker."""

import pytest
from support.processes import Worker, wait_until
from support.world import World

from seeder.seedings.fan_out import Seeding

pytestmark = pytest.mark.slow

SETTINGS = {"skip_unchanged": "true"}


def seeded(world: World) -> Seeding:
    seeding = world.seed()
    world.wait_for_end(seeding.run_ids)
    return seeding


def tables(world: World, seeding: Seeding) -> set[str]:
    return {world.run(run_id).table_name for run_id in seeding.unchanged}


def test_what_is_unchanged_costs_no_message_and_what_reads_it_neither(world: World) -> None:
    world.sql("create table public.still as select g as id from generate_series(1, 3) g")
    world.sql("create table public.moving as select 1 as id")
    for name, query in {
        "steady": "select id from public.still",
        "reads_steady": "select count(*) as n from steady",
        "written": "select id from public.moving",
        "reads_written": "select count(*) as n from written",
        "by_the_clock": "select now() as at",
        "held_against_it": "-- seeder: expect=(fresh(at, 1 day))\nselect id, now() as at from public.still",
    }.items():
        world.custom(name, query)
    with world.worker("-c", "4"):
        # The first creates, the second takes the evidence.
        seeded(world)
        assert seeded(world).unchanged == frozenset()
    third = world.seed()
    assert tables(world, third) == {"steady", "reads_steady", "written", "reads_written"}
    assert (third.queued, third.waiting, world.in_queue()) == (2, 0, 2)
    for run_id in third.unchanged:
        run, before = world.run(run_id), world.history(table_name=world.run(run_id).table_name)[1]
        assert (run.status, run.errors, run.duration_seconds, run.consecutive_failures) == (
            "success", None, 0, 0,
        )  # fmt: skip
        assert run.note.startswith("Unchanged since ")
        assert (run.records_processed, run.bytes_processed) == (
            before.records_processed, before.bytes_processed,
        )  # fmt: skip
        world.check_record(run)
    with world.worker("-c", "4"):
        world.wait_for_end(third.run_ids)
        world.sql("insert into public.moving values (2)")
        wait_until(
            "it is counted",
            lambda: world.value("select n_live_tup from pg_stat_user_tables where relname = 'moving'") == 2,
        )
        fourth = seeded(world)
        assert tables(world, fourth) == {"steady", "reads_steady"}
        assert world.value("select n from reporting.reads_written") == 2
        # What took no time says nothing of what is usual.
        usual = world.equipment.history.usual_seconds()
        assert all(0 < usual[name] < 5 for name in ("steady", "written", "reads_written"))


def test_what_another_seeding_is_refreshing_is_waited_for(world: World, worker: Worker) -> None:
    world.no_manifests()
    world.sql("create table public.slow_source as select 1 as id")
    world.custom("slow_one", "select id, public.gate('slow_one') as n from public.slow_source")
    world.custom("reads_slow", "select count(*) as n from slow_one")
    seeded(world)
    seeded(world)
    world.close_gate("slow_one")
    earlier = world.seed(table_name="slow_one")
    world.wait_for(earlier.run_ids[0], "running")
    later = world.seed(table_name="reads_slow")
    assert (later.unchanged, later.waiting) == (frozenset(), 1)
    world.open_gates()
    world.wait_for_end([*earlier.run_ids, *later.run_ids])
