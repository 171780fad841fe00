"""What time mends is tried again with backoff; everything else is final at once."""

import re
from typing import Any

import pytest
from support.processes import Worker, wait_until
from support.world import World

pytestmark = pytest.mark.slow

SETTINGS = {
    "lock_timeout": "200ms",
    "statement_timeout": "60s",
    "max_retries": "2",
    "retry_backoff_max": "2",
    "databases": '{"5": "postgresql://someone:hush@127.0.0.1:1/nowhere"}',
}


def tries(worker: Worker, run_id: str) -> int:
    return worker.logs().count(f"Task seeder.refresh_manifest[{run_id}] received")


def backend_of(world: World, run_id: str) -> int:
    return int(
        world.value("select pid from pg_stat_activity where application_name like %s", f"seeder {run_id} %")
    )


@pytest.fixture
def person(world: World) -> Any:
    """Somebody who holds a lock on public.source in a transaction of their own."""
    world.sql("create table if not exists public.source as select 1 as one")
    connection = world.connect()
    connection.autocommit = False
    with connection.cursor() as cursor:
        cursor.execute("lock table public.source in access exclusive mode")
    yield connection
    connection.close()


#: Keeps what the record said at the first failure, and ends the person's session there and then: nobody who
#: looks from outside is sure to let go between two tries.
AT_THE_FIRST_FAILURE = """
create table public.seen_failing (status text, errors text, finish_time timestamptz, last_errors text);
create function public.let_go() returns trigger language plpgsql as $$
begin
    insert into public.seen_failing
    select new.status, new.errors, new.finish_time, s.last_errors
    from reporting.seeder_job_status s where s.table_name = new.table_name;
    perform pg_terminate_backend({pid});
    return null;
end $$;
create trigger let_go after update on reporting.seeder_run_history for each row
when (new.table_name = 'behind_a_lock' and new.errors is not null and new.status = 'pending')
execute function public.let_go();
"""


def test_a_refresh_that_waits_for_a_persons_lock_is_tried_again_until_it_succeeds(
    world: World, worker: Worker, person: Any
) -> None:
    world.sql(AT_THE_FIRST_FAILURE.format(pid=person.info.backend_pid))
    world.custom("behind_a_lock", "select * from public.source")
    (run_id,) = world.seed(table_name="behind_a_lock").run_ids
    ended = world.wait_for(run_id, "success")
    assert (ended.errors, ended.consecutive_failures) == (None, 0)
    (failed,) = world.sql("select * from public.seen_failing")
    assert failed.errors.startswith("Try 1 failed; it is tried again.\n55P03: ")
    assert "lock timeout" in failed.errors
    assert (failed.status, failed.finish_time, failed.last_errors) == ("pending", None, failed.errors)
    assert tries(worker, run_id) == 2


def test_after_the_last_try_the_run_is_an_error_with_the_last_reason(
    world: World, worker: Worker, person: Any
) -> None:
    world.custom("never_free", "select * from public.source")
    (run_id,) = world.seed(table_name="never_free").run_ids
    ended = world.wait_for(run_id, "error")
    assert ended.errors.startswith("55P03: canceling statement due to lock timeout")
    assert ended.consecutive_failures == world.status("never_free").consecutive_failures == 1
    assert tries(worker, run_id) == 3
    pauses = [
        float(n) for n in re.findall(re.escape(run_id) + r"\] retry: Retry in ([\d.]+)s", worker.logs())
    ]
    assert len(pauses) == 2
    assert all(pause <= most for pause, most in zip(pauses, (1, 2), strict=True))


def test_a_backend_that_somebody_terminates_costs_one_try(world: World, worker: Worker) -> None:
    world.custom("terminated", "select public.gate('terminated') as n")
    world.close_gate("terminated")
    (run_id,) = world.seed(table_name="terminated").run_ids
    world.wait_for(run_id, "running")
    world.sql("select pg_terminate_backend(%s)", backend_of(world, run_id))
    # psycopg2 2.9.13 with libpq 17 loses PostgreSQL's last words (57P01, "terminating connection …").
    words = "Try 1 failed; it is tried again.\nThe connection to the database failed: "
    wait_until("the reason is recorded", lambda: (world.run(run_id).errors or "").startswith(words))
    world.open_gates()
    ended = world.wait_for(run_id, "success")
    assert ended.errors is None
    assert world.refreshes("terminated") == 1
    assert tries(worker, run_id) >= 2


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cancelled", "57014: canceling statement due to user request\nHint: Somebody ended the statement"),
        ("too_long", "Hint: The refresh took longer than the manifest's own timeout=1 s allows."),
    ],
)
def test_a_refresh_that_is_cancelled_or_takes_too_long_is_not_tried_again(
    world: World, worker: Worker, name: str, words: str
) -> None:
    timeout = "-- seeder: timeout=1s\n" if name == "too_long" else ""
    world.custom(name, f"{timeout}select public.gate('{name}') as n")
    world.close_gate(name)
    (run_id,) = world.seed(table_name=name).run_ids
    world.wait_for(run_id, "running")
    if name == "cancelled":
        world.sql("select pg_cancel_backend(%s)", backend_of(world, run_id))
    ended = world.wait_for(run_id, "error")
    world.open_gates()
    assert words in ended.errors
    assert tries(worker, run_id) == 1
    assert world.refreshes(name) == 0


def test_a_database_out_of_reach_is_tried_again_and_then_told_without_its_password(
    world: World, worker: Worker
) -> None:
    world.custom("elsewhere", database_id=5)
    (run_id,) = world.seed(table_name="elsewhere").run_ids
    ended = world.wait_for(run_id, "error")
    assert ended.errors.startswith("The connection to database 5 (SEEDER_DATABASES) failed: ")
    assert "Connection refused" in ended.errors
    assert tries(worker, run_id) == 3
    assert "hush" not in ended.errors + worker.logs()


def test_no_lock_is_held_when_all_is_over(world: World, worker: Worker) -> None:
    held = (
        "select count(*) from pg_locks where locktype = 'advisory'"
        " and database = (select oid from pg_database where datname = current_database())"
    )
    wait_until("every advisory lock is free", lambda: world.value(held) == 0)
