"""Several databases: each has its matviews, its locks and its limit; what is wrong with one stays there."""

import json
import socket
from collections.abc import Iterator
from functools import partial
from typing import Any

import psycopg2
import pytest
from psycopg2.extras import NamedTupleCursor
from sqlalchemy.engine import make_url
from support.emptied import fresh_database
from support.processes import wait_until
from support.world import WITNESS, World

from seeder.broker.delayed import Deferral
from seeder.errors import SharedTableConflict

pytestmark = pytest.mark.slow

ADVISORY = """
select classid, objsubid from pg_locks
where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())
"""


class Other:
    """Another database, as a person sees it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.sql("create schema reporting;" + WITNESS)

    def sql(self, text: str, *values: object) -> list[Any]:
        plain = make_url(self.url).set(drivername="postgresql").render_as_string(hide_password=False)
        connection = psycopg2.connect(plain, cursor_factory=NamedTupleCursor)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(text, values or None)
                return list(cursor.fetchall()) if cursor.description else []
        finally:
            connection.close()

    def close_gates(self, *names: str) -> None:
        for name in names:
            self.sql("insert into public.closed_gates values (%s)", name)

    def open_gates(self, *names: str) -> None:
        self.sql("delete from public.closed_gates where name = any(%s)", list(names))

    def names(self) -> set[str]:
        return {row.matviewname for row in self.sql("select matviewname from pg_matviews")}


@pytest.fixture(scope="module")
def other(postgres_url: str) -> Iterator[Other]:
    """Number 7, on the same server as the reporting database."""
    with fresh_database(postgres_url) as url:
        yield Other(url)


@pytest.fixture(scope="module")
def silent_port() -> Iterator[int]:
    """A TCP port that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        yield server.getsockname()[1]


@pytest.fixture(scope="module")
def world(
    module_database_url: str,
    module_broker_url: str,
    other: Other,
    silent_port: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[World]:
    databases = {
        "7": other.url,
        "8": f"postgresql://someone@127.0.0.1:{silent_port}/silent?connect_timeout=2",
        "9": "postgresql://someone@127.0.0.1:1/refusing",
    }
    world = World(
        module_database_url,
        module_broker_url,
        tmp_path_factory.mktemp("world"),
        databases=json.dumps(databases),
        max_per_database='{"7": 2}',
        route_by_database="true",
        max_retries="1",
        retry_backoff_max="1",
    )
    yield world
    world.close()


@pytest.fixture(autouse=True)
def no_manifests(world: World) -> Iterator[None]:
    yield
    world.no_manifests()


def waiting(world: World) -> set[str]:
    with world.app.connection_for_read() as connection, connection.channel() as channel:
        return Deferral(channel.conn_or_acquire).run_ids()


def running(world: World) -> set[str]:
    return {row.run_id for row in world.history(status="running")}


def test_a_matview_and_its_locks_live_in_its_database_and_the_record_in_the_reporting_one(
    world: World, other: Other
) -> None:
    other.sql("create table public.source as select generate_series(1, 1000) as n")
    world.custom("there", "select n, public.gate('there') as gate from public.source", database_id=7)
    world.custom("there_too", "select n from public.source", database_id=7)
    other.close_gates("there")
    with world.worker("-c", "2"):
        runs = {run.rpartition("-")[2]: run for run in world.seed().run_ids}
        assert len(runs) == 2
        (blocked,) = wait_until("one is held", lambda: world.history(table_name="there", status="running"))
        world.wait_for(world.history(table_name="there_too")[0].run_id, "success")
        # The matview's lock and the database's slot.
        assert sorted(row.objsubid for row in other.sql(ADVISORY) if row.classid != 4711) == [1, 2]
        assert world.sql(ADVISORY) == []
        other.open_gates("there")
        ended = world.wait_for(blocked.run_id, "success")
    assert (ended.records_processed, world.status("there").status) == (1000, "success")
    size = other.sql("select pg_total_relation_size('reporting.there') as size")[0].size
    assert ended.bytes_processed == size
    assert other.names() == {"there", "there_too"}
    assert world.sql("select matviewname from pg_matviews") == []
    assert other.sql("select count(*) as n from pg_stats where tablename = 'there_too'")[0].n == 1
    assert wait_until("the locks are gone", lambda: not other.sql(ADVISORY))


def test_a_table_name_belongs_to_one_database(world: World) -> None:
    first = world.custom("of_two", "select 1 as one")
    second = world.custom("reporting.of_two", "select 1 as one", database_id=7)
    seeding = world.seed()
    assert seeding.run_ids == (f"{seeding.seeding_id}.custom-{first}",)
    assert list(seeding.refused) == [f"{seeding.seeding_id}.custom-{second}"]
    (words,) = seeding.refused.values()
    conflict = SharedTableConflict(
        table_name="reporting.of_two",
        owner=f"custom-{first}",
        owner_report="A report",
        owner_agency="ua",
        what="database_id",
    )
    assert words == str(conflict)
    world.app.control.purge()


def test_databases_that_are_down_do_not_hold_up_the_others(world: World, other: Other) -> None:
    # By name the dead ones are first in the queue.
    for n in range(12):
        world.custom(f"a_silent_{n}", database_id=8)
        world.custom(f"a_refusing_{n}", database_id=9)
        world.custom(f"b_well_{n}")
        world.custom(f"b_well_there_{n}", database_id=7)
    seeding = world.seed()
    with world.worker("-c", "4") as worker:
        ended = world.wait_for_end(seeding.run_ids, seconds=90)
    of = {
        kind: [run for run in ended.values() if kind in run.table_name]
        for kind in ("silent", "refus", "well")
    }
    assert {run.status for run in of["well"]} == {"success"}
    assert {run.status for run in of["silent"] + of["refus"]} == {"error"}
    # One thread waited for the silent server, and not twelve runs for 2 s each.
    assert max(run.finish_time for run in of["well"]) < min(run.finish_time for run in of["silent"])
    for run in of["silent"]:
        assert run.errors.startswith("The connection to database ")
        assert "(SEEDER_DATABASES) failed: " in run.errors
        assert "timeout expired" in run.errors or "doesn't answer" in run.errors
    assert all("Connection refused" in run.errors for run in of["refus"])
    for run_id in ended:
        if ended[run_id] in of["silent"]:
            assert worker.logs().count(f"Task seeder.refresh_manifest[{run_id}] received") == 2


def test_no_more_refreshes_run_on_a_database_than_it_may_have(world: World, other: Other) -> None:
    names = [f"limited_{n}" for n in range(6)]
    for name in names:
        world.custom(name, f"select public.gate('{name}') as n", database_id=7)
    elsewhere = world.custom("unlimited")
    with world.worker("-c", "3") as worker:
        world.wait_for_end(world.seed().run_ids)
        for seconds, name in enumerate(names):
            world.sql(
                "update reporting.seeder_run_history set duration_seconds = %s where table_name = %s",
                *(100 + seconds, name),
            )
        other.close_gates(*names)
        seeding = world.seed()
        longest_first = [
            run.run_id for name in reversed(names) for run in world.history(table_name=name)[-1:]
        ]
        wait_until("two run, the others wait", lambda: (len(running(world)), len(waiting(world))) == (2, 4))
        # Of the three that the worker takes at once two get a slot.
        begun = running(world)
        assert begun < set(longest_first[:3])
        longest_first.sort(key=lambda run_id: run_id not in begun)
        # The third thread is free for other databases all the while.
        world.wait_for(f"{seeding.seeding_id}.custom-{elsewhere}", "success")
        # Nobody cycles meanwhile; only the first of those that wait tries unasked now and then.
        for run_id in longest_first[3:]:
            assert worker.logs().count(f"[{run_id}] received") == 1
        for n in range(6):
            expected = set(longest_first[n : n + 2])
            wait_until(f"{n} are done, two run", partial(lambda these: running(world) == these, expected))
            assert len(other.sql(ADVISORY + " and objsubid = 2 and classid = 24301")) == len(expected)
            other.open_gates(world.run(longest_first[n]).table_name)
            world.wait_for(longest_first[n], "success")
    assert waiting(world) == set()


def test_a_slot_that_a_dead_worker_had_is_free_again(world: World, other: Other) -> None:
    names = {f"orphan_{n}" for n in range(4)}
    for name in names:
        world.custom(name, f"select public.gate('{name}') as n", database_id=7)
    other.close_gates(*names)
    with world.worker("-c", "4") as worker:
        seeding = world.seed()
        wait_until("two run and two wait", lambda: len(running(world)) == len(waiting(world)) == 2)
        killed, later = running(world), waiting(world)
        worker.kill("SIGKILL")
    other.open_gates(*(world.run(run_id).table_name for run_id in later))
    with world.worker("-c", "4"):
        assert {row.status for row in world.wait_for_end(later).values()} == {"success"}
        assert running(world) == killed
        other.open_gates(*names)
        wait_until("the sweep has settled the others", lambda: world.sweep() and not running(world))
        world.wait_for_end(seeding.run_ids)


def test_a_worker_can_be_given_one_databases_queue_alone(world: World, other: Other) -> None:
    here, there = world.custom("routed_here"), world.custom("routed_there", database_id=7)
    seeding = world.seed()
    assert (world.in_queue(), world.in_queue("seeder.refresh.7")) == (1, 1)
    assert world.sweep() == {"requeued": 0, "ended": 0}
    with world.worker("-c", "1", "-Q", "seeder.refresh.7"):
        world.wait_for(f"{seeding.seeding_id}.custom-{there}", "success")
        assert world.run(f"{seeding.seeding_id}.custom-{here}").status == "pending"
        assert (world.in_queue(), world.in_queue("seeder.refresh.7")) == (1, 0)
    with world.worker("-c", "1"):
        world.wait_for(f"{seeding.seeding_id}.custom-{here}", "success")
