"""However often a message comes, its run is one row, one refresh and one failure."""

import pytest
from support.processes import Worker, wait_until
from support.world import World

pytestmark = pytest.mark.slow


def received(worker: Worker, run_id: str) -> int:
    return worker.logs().count(f"Task seeder.refresh_manifest[{run_id}] received")


def test_a_message_that_comes_again_while_its_run_is_at_work_is_dropped(world: World, worker: Worker) -> None:
    number = world.custom("twice_while_running", "select public.gate('while') as n")
    world.close_gate("while")
    (run_id,) = world.seed(table_name="twice_while_running").run_ids
    before = world.wait_for(run_id, "running")
    for _ in range(2):
        world.publish(run_id, "twice_while_running", number)
    wait_until("both duplicates are taken", lambda: worker.logs().count(f"[{run_id}] ignored") == 2)
    assert world.run(run_id) == before
    world.open_gates()
    ended = world.wait_for(run_id, "success")
    assert ended.errors is None
    assert world.refreshes("while") == 1
    assert received(worker, run_id) == 3


def test_a_message_that_comes_again_after_the_end_changes_nothing(world: World, worker: Worker) -> None:
    number = world.custom("twice_after_the_end", "select public.gate('after') as n")
    (run_id,) = world.seed(table_name="twice_after_the_end").run_ids
    before = world.wait_for(run_id, "success")
    status = world.status("twice_after_the_end")
    world.publish(run_id, "twice_after_the_end", number)
    worker.wait_for_log(f"[{run_id}] ignored")
    assert world.run(run_id) == before
    assert world.status("twice_after_the_end") == status
    assert world.refreshes("after") == 1


def test_a_failure_is_counted_once_however_often_it_is_reported(world: World, worker: Worker) -> None:
    number = world.custom("fails_once", "select 1 / 0 as n")
    (run_id,) = world.seed(table_name="fails_once").run_ids
    before = world.wait_for(run_id, "error")
    world.publish(run_id, "fails_once", number)
    worker.wait_for_log(f"[{run_id}] ignored")
    assert world.run(run_id) == before
    assert before.consecutive_failures == world.status("fails_once").consecutive_failures == 1


def test_a_message_for_a_run_that_was_never_recorded_fails_and_records_nothing(
    world: World, worker: Worker
) -> None:
    number = world.custom("never_recorded", "select public.gate('never') as n")
    world.publish("made-up.custom-1", "never_recorded", number)
    worker.wait_for_log("There is no run 'made-up.custom-1' in the history")
    assert not world.history(table_name="never_recorded")
    assert world.refreshes("never") == 0


def test_a_message_for_a_manifest_that_is_gone_or_renamed_ends_its_run(world: World, worker: Worker) -> None:
    gone = world.custom("soon_gone", "select public.gate('gone') as n")
    renamed = world.custom("soon_renamed", "select public.gate('gone') as n")
    world.close_gate("blocker")
    for n in range(4):
        world.custom(f"blocker_{n}", "select public.gate('blocker' || " + f"'{n}') as n")
        world.close_gate(f"blocker{n}")
        world.seed(table_name=f"blocker_{n}")
    wait_until("no thread is free", lambda: len(world.history(status="running")) == 4)
    (gone_run,) = world.seed(table_name="soon_gone").run_ids
    (renamed_run,) = world.seed(table_name="soon_renamed").run_ids
    world.sql("delete from reporting.seeder_custom_report_manifest where id = %s", gone)
    world.sql(
        "update reporting.seeder_custom_report_manifest set table_name = 'new_name' where id = %s", renamed
    )
    world.open_gates()
    assert f"custom-{gone} was deleted or switched off" in world.wait_for(gone_run, "error").errors
    assert "queued as soon_renamed but is new_name by now" in world.wait_for(renamed_run, "error").errors
    assert world.refreshes("gone") == 0


def test_another_run_of_the_same_matview_waits_its_turn_and_then_runs(world: World, worker: Worker) -> None:
    world.custom("in_turn", "select public.gate('turn') as n")
    world.close_gate("turn")
    (first,) = world.seed(table_name="in_turn").run_ids
    world.wait_for(first, "running")
    (second,) = world.seed(table_name="in_turn").run_ids
    worker.wait_for_log(f"[{second}] retry: ")
    assert world.run(first).status == "running"
    waiting = world.run(second)
    assert (waiting.status, waiting.errors) == ("pending", None)
    world.open_gates()
    rows = world.wait_for_end((first, second))
    assert {row.status for row in rows.values()} == {"success"}
    assert rows[second].start_time >= rows[first].finish_time
    assert world.refreshes("turn") == 2
    assert world.status("in_turn").last_run_id == second


def test_a_next_try_that_overtakes_the_record_of_the_last_one_waits_and_is_not_dropped(
    world: World, worker: Worker
) -> None:
    number = world.custom("overtaken", "select public.gate('overtaken') as n")
    world.close_gate("overtaken")
    (run_id,) = world.seed(table_name="overtaken").run_ids
    world.wait_for(run_id, "running")
    world.publish(run_id, "overtaken", number, retries=1)
    worker.wait_for_log(f"[{run_id}] retry: ")
    world.open_gates()
    world.wait_for(run_id, "success")
    worker.wait_for_log(f"[{run_id}] ignored")
    assert world.refreshes("overtaken") == 1
