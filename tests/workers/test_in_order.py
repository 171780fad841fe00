"""Reports that read each other, with real workers: each is refreshed after what it reads."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest
from redis import Redis
from support.processes import Worker, wait_until
from support.world import World

from seeder.seedings.fan_out import Seeding

pytestmark = pytest.mark.slow

#: Of runs of one seeding: each that began before one of those that it reads had ended.
OUT_OF_ORDER = """
select reader.table_name as reader, source.table_name as source
from unnest(cast(%s as text[]), cast(%s as text[])) as edge (reader, source)
join reporting.seeder_run_history reader on reader.table_name = edge.reader and reader.run_id like %s
join reporting.seeder_run_history source on source.table_name = edge.source and source.run_id like %s
where source.finish_time is null or reader.start_time < source.finish_time
"""

#: Of runs of one seeding: those that began while another was at work.
AT_ONCE = """
select one.table_name, other.table_name as beside
from reporting.seeder_run_history one
join reporting.seeder_run_history other
  on other.run_id <> one.run_id and one.start_time > other.start_time and one.start_time < other.finish_time
where one.run_id like %s and starts_with(other.run_id, split_part(one.run_id, '.', 1) || '.')
"""

RIGHT = """
select count(*) from reporting.seeder_job_status
where table_name = any(%s) and status = 'success' and consecutive_failures = 0 and last_errors is null
"""


def levels(world: World, prefix: str, wide: int, deep: int) -> dict[str, list[str]]:
    """Manifests in levels, each of which reads two of the one above; returns what each reads.

    The deepest come first in every order that goes by name.
    """
    world.no_manifests()
    reads: dict[str, list[str]] = {}
    for level in range(deep):
        for number in range(wide):
            name = f"{prefix}_{deep - level}_{number}"
            above = (
                [f"{prefix}_{deep - level + 1}_{(number + more) % wide}" for more in (0, 1)] if level else []
            )
            reads[name] = above
            tables = " join ".join(f"reporting.{one}" for one in above).replace(" join ", " cross join ")
            query = (
                f"select {above[0]}.night from {tables} limit 1" if above else "select night from public.now"
            )
            world.custom(name, query)
    return reads


def chain(world: World, prefix: str, length: int, **queries: str) -> list[str]:
    """Manifests that read each the one before; ``queries`` by their place, as in ``n3``, are put in front."""
    world.no_manifests()
    names = [f"{prefix}_{length - number}" for number in range(length)]
    for number, name in enumerate(names):
        source = f"reporting.{names[number - 1]}" if number else "public.now"
        more = queries.get(f"n{number}", "null")
        world.custom(name, f"select night, {more} as more from {source}")
    return names


def edges(names: list[str]) -> dict[str, list[str]]:
    return {name: [before] for before, name in pairwise(names)}


def check_order(world: World, reads: dict[str, list[str]], seeding_id: str) -> None:
    pairs = [(reader, source) for reader, found in reads.items() for source in found]
    readers, sources = ([one[place] for one in pairs] for place in (0, 1))
    assert world.sql(OUT_OF_ORDER, readers, sources, f"{seeding_id}.%", f"{seeding_id}.%") == []


def nights(world: World, names: Iterator[str] | list[str] | dict[str, Any]) -> set[int]:
    """What the reports' matviews hold."""
    each = " union ".join(f"select night from reporting.{name}" for name in names)
    return {row.night for row in world.sql(each)}


def ended(world: World, *run_ids: str) -> set[str]:
    """Wait until all are over; how they ended. A look is one query, whatever their number."""

    def look() -> set[str]:
        rows = world.sql(
            "select status, errors from reporting.seeder_run_history where run_id = any(%s)", list(run_ids)
        )
        found = {row.status for row in rows}
        return found if found <= {"success", "error"} and len(rows) == len(run_ids) else set()

    return set(wait_until(f"all {len(run_ids)} runs are over", look, 60))


@pytest.fixture(scope="module", autouse=True)
def tonight(world: World) -> None:
    world.sql("create table public.now (night integer); insert into public.now values (1)")


def next_night(world: World) -> int:
    return int(world.value("update public.now set night = night + 1 returning night"))


def statuses(world: World, seeding: Seeding) -> dict[str, int]:
    found: dict[str, int] = {}
    for run in world.history():
        if run.run_id.startswith(f"{seeding.seeding_id}."):
            found[run.status] = found.get(run.status, 0) + 1
    return found


@contextmanager
def in_the_midst(world: World, prefix: str) -> Iterator[tuple[list[str], Seeding, int]]:
    """A chain of six whose third is held in the middle of its refresh."""
    names = chain(world, prefix, 6, n2=f"public.gate('{prefix}')")
    night = next_night(world)
    world.close_gate(prefix)
    seeding = world.seed()
    third = next(run_id for run_id in seeding.run_ids if world.run(run_id).table_name == names[2])
    world.wait_for(third, "running")
    yield names, seeding, night
    assert ended(world, *seeding.run_ids) == {"success"}
    assert nights(world, names) == {night}
    check_order(world, edges(names), seeding.seeding_id)


# These two first, since the others share a worker.
def test_a_worker_that_is_killed_in_the_midst_costs_time_and_nothing_else(world: World) -> None:
    with world.worker() as worker, in_the_midst(world, "killed") as (_, seeding, _):
        worker.container.kill()
        world.open_gates()
        wait_until(
            "PostgreSQL has noticed",
            lambda: (
                not world.sql(
                    "select from pg_stat_activity where application_name like 'seeder %%.custom-%%'"
                )
            ),
        )
        assert world.sweep() == {"requeued": 1, "ended": 0}
        with world.worker():
            assert ended(world, *seeding.run_ids) == {"success"}


def test_one_place_on_the_database_and_a_failure_that_nobody_minds_keep_the_order(world: World) -> None:
    world.no_manifests()
    after = "-- seeder: after=(minded_root)\nselect night from public.now"
    readers = [f"minded_{number}" for number in range(6)]
    world.custom("minded_root", "select night, 1 / (night - night) as x from public.now")
    for name in readers:
        world.custom(name, after)
    world.custom("minded_last", "select * from reporting.minded_0 union table reporting.minded_5")
    next_night(world)
    with world.worker(max_per_database="1", on_upstream_error="refresh"):
        seeding = world.seed()
        assert ended(world, *seeding.run_ids) == {"success", "error"}
    assert statuses(world, seeding) == {"success": 7, "error": 1}
    check_order(
        world,
        {**{name: ["minded_root"] for name in readers}, "minded_last": ["minded_0", "minded_5"]},
        seeding.seeding_id,
    )
    assert world.sql(AT_ONCE, f"{seeding.seeding_id}.%") == []


def test_48_reports_in_six_levels_hold_this_nights_data_after_one_seeding(
    world: World, worker: Worker
) -> None:
    reads = levels(world, "six", wide=8, deep=6)
    for _ in range(2):
        # The first creates them all; in the second they are known by the catalogue.
        night = next_night(world)
        seeding = world.seed()
        assert (seeding.queued, seeding.waiting) == (48, 40)
        assert ended(world, *seeding.run_ids) == {"success"}
        assert nights(world, reads) == {night}
        check_order(world, reads, seeding.seeding_id)


def test_a_failing_root_with_forty_readers_is_one_problem_and_mended_with_all_that_reads_it(
    world: World, worker: Worker
) -> None:
    world.no_manifests()
    readers = [f"reader_{number}" for number in range(40)]
    root = world.custom("broken_root", "select night, 1 / (night - night) as x from public.now")
    for number, name in enumerate(readers):
        # Half of them by way of another one.
        world.custom(
            name,
            f"-- seeder: after=({'broken_root' if number % 2 else 'reader_1'})\nselect night from public.now",
        )
    night = next_night(world)
    seeding = world.seed()
    assert ended(world, *seeding.run_ids) == {"error"}
    failing = world.sql(
        "select table_name from reporting.seeder_job_status"
        " where consecutive_failures > 0 and table_name = any(%s)",
        ["broken_root", *readers],
    )
    assert failing == [("broken_root",)]
    words = world.sql(
        "select last_errors from reporting.seeder_job_status where table_name = any(%s)", readers
    )
    assert len(words) == 40
    assert all(one.startswith("Not run: broken_root (agency ua), which it reads, ended") for (one,) in words)
    assert all("division by zero" in one for (one,) in words)
    world.sql("update reporting.seeder_custom_report_manifest set query = %s where id = %s",
              "select night from public.now", root)  # fmt: skip
    # As with `celery -A seeder call`.
    world.app.send_task("seeder.refresh_table", ["broken_root"], {"downstream": True})
    wait_until("all is right", lambda: world.value(RIGHT, ["broken_root", *readers]) == 41, 60)
    assert nights(world, readers) == {night}


def test_a_first_seeding_creates_a_chain_of_ten_in_one_go(world: World, worker: Worker) -> None:
    names = chain(world, "ten", 10)
    night = next_night(world)
    seeding = world.seed()
    assert ended(world, *seeding.run_ids) == {"success"}
    assert nights(world, names) == {night}
    check_order(world, edges(names), seeding.seeding_id)


def test_of_two_seedings_that_overlap_each_ends_with_what_it_was_to_bring(
    world: World, worker: Worker
) -> None:
    names = chain(world, "lap", 5, n1="public.gate('lap')")
    next_night(world)
    world.close_gate("lap")
    first = world.seed()
    by_table = {world.run(run_id).table_name: run_id for run_id in first.run_ids}
    world.wait_for(by_table[names[1]], "running")
    night = next_night(world)
    second = world.seed()
    # The root has ended and is run again; what reads it, too, though some of it waits in the first one still.
    assert second.already_queued == {}
    assert (second.queued, second.waiting) == (5, 4)
    world.open_gates()
    assert ended(world, *first.run_ids, *second.run_ids) == {"success"}
    assert nights(world, names) == {night}
    for seeding in (first, second):
        check_order(world, edges(names), seeding.seeding_id)


def test_an_emptied_redis_in_the_midst_costs_time_and_nothing_else(world: World, worker: Worker) -> None:
    with in_the_midst(world, "emptied") as (_, seeding, _):
        with Redis.from_url(world.broker_url) as redis:
            redis.flushdb()
        assert world.sweep() == {"requeued": 0, "ended": 0}
        assert statuses(world, seeding) == {"success": 2, "running": 1, "pending": 3}
        world.open_gates()


def test_what_reads_a_report_that_is_switched_off_in_the_midst_is_not_run_on_its_old_rows(
    world: World, worker: Worker
) -> None:
    names = chain(world, "off", 3, n0="public.gate('off')")
    next_night(world)
    world.close_gate("off")
    seeding = world.seed()
    by_table = {world.run(run_id).table_name: run_id for run_id in seeding.run_ids}
    world.wait_for(by_table[names[0]], "running")
    world.sql(
        "update reporting.seeder_custom_report_manifest set enabled = false where table_name = %s", names[1]
    )
    world.open_gates()
    assert ended(world, *seeding.run_ids) == {"success", "error"}
    assert world.run(by_table[names[1]]).consecutive_failures == 1
    last = world.run(by_table[names[2]])
    assert (last.status, last.consecutive_failures) == ("error", 0)
    assert last.errors.startswith(f"Not run: {names[1]} (agency ua), which it reads")
    # The next night nobody keeps the one between, and what reads it goes by what is there.
    night = next_night(world)
    again = world.seed()
    assert (again.queued, again.waiting) == (2, 0)
    ended(world, *again.run_ids)
    assert nights(world, names[:1]) == {night}
