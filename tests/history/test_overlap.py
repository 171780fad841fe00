"""A table of which a run waits to begin isn't queued again: whoever asks is told of that run."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from support.contract import Platform, as_it_is, new_run

from seeder.history import Figures, NewRun, Recorded, Run

ADHOC = "20261123T091502Z-k3f9.custom-1"
TONIGHT = "20261124T0200Z.custom-1"
LAST_NIGHT = "20261123T0200Z.custom-1"


def ids(platform: Platform) -> list[str]:
    return [run.run_id for run in platform.history.runs_of_table("sales")][::-1]


def test_a_pending_run_is_told_instead_of_another(platform: Platform) -> None:
    platform.history.queue([new_run("a.custom-1")])
    before = platform.run("a.custom-1")
    asked = [new_run("b.custom-1"), new_run("b.custom-2", "costs", manifest_id=2)]
    assert platform.history.queue(asked) == Recorded([], {"sales": "a.custom-1"})
    assert (platform.run("a.custom-1"), platform.run("b.custom-1")) == (before, None)
    assert platform.run("b.custom-2").status == "pending"
    assert platform.status("sales").last_run_id == "a.custom-1"


def test_a_running_one_gets_one_follow_up_and_no_more(platform: Platform) -> None:
    platform.history.queue([new_run("a.custom-1")])
    platform.history.start("a.custom-1", "sales")
    assert platform.history.queue([new_run("b.custom-1")]).waiting == {}
    assert platform.history.queue([new_run("c.custom-1")]).waiting == {"sales": "b.custom-1"}
    platform.history.succeed(as_it_is(platform.history, "a.custom-1"), Figures(1, 1))
    assert platform.history.queue([new_run("d.custom-1")]).waiting == {"sales": "b.custom-1"}
    assert ids(platform) == ["a.custom-1", "b.custom-1"]


def test_a_run_that_waits_for_its_next_try_is_one_that_waits(platform: Platform) -> None:
    platform.history.queue([new_run("a.custom-1")])
    platform.history.start("a.custom-1", "sales")
    platform.history.queue([new_run("b.custom-1")])
    platform.history.retry(as_it_is(platform.history, "a.custom-1"), "lost the connection")
    platform.history.start("b.custom-1", "sales")
    # The status row shows b, which runs.
    assert platform.history.queue([new_run("c.custom-1")]).waiting == {"sales": "a.custom-1"}


@pytest.mark.parametrize(
    "other", [{"manifest_id": 2}, {"report_type": "canned"}], ids=["of another number", "of another type"]
)
def test_a_pending_run_of_the_manifest_that_had_the_table_before_does_not_count(
    platform: Platform, other: dict[str, Any]
) -> None:
    platform.history.queue([new_run("a.custom-1")])
    assert platform.history.queue([new_run("b.other", **other)]).waiting == {}


def test_a_pending_run_that_nobody_will_ever_take_does_not_count(platform: Platform) -> None:
    platform.history.queue([new_run("a.custom-1")])
    platform.sql("update reporting.seeder_run_history set start_time = now() - interval '8 days'")
    assert platform.history.queue([new_run("b.custom-1")]).waiting == {}


@pytest.mark.parametrize(
    ("pending", "asked", "scheduled", "queued"),
    [
        (ADHOC, TONIGHT, True, True),
        (LAST_NIGHT, TONIGHT, True, False),
        (TONIGHT, ADHOC, False, False),
        (TONIGHT, TONIGHT, True, True),
    ],
)
def test_a_tick_of_the_schedule_has_a_run_of_its_own_unless_an_earlier_ticks_waits(
    platform: Platform, pending: str, asked: str, scheduled: bool, queued: bool
) -> None:
    platform.history.queue([new_run(pending)])
    recorded = platform.history.queue([new_run(asked)], scheduled=scheduled)
    assert recorded == Recorded([], {} if queued else {"sales": pending})
    assert (platform.run(asked) is not None) == queued


def test_a_tick_that_fires_again_completes_what_it_began_whatever_waits(platform: Platform) -> None:
    platform.history.queue([new_run(TONIGHT)])
    platform.history.start(TONIGHT, "sales")
    platform.history.queue([new_run(ADHOC)])
    assert platform.history.queue([new_run(TONIGHT)], scheduled=True) == Recorded([], {})
    assert ids(platform) == [TONIGHT, ADHOC]


@pytest.fixture
def slow_inserts(platform: Platform) -> Iterator[None]:
    """Each recording takes so long that those begun together overlap."""
    platform.sql("""
        create function public.slow() returns trigger language plpgsql as $$
        begin perform pg_sleep(0.2); return null; end $$;
        create trigger slow before insert on reporting.seeder_run_history
        for each statement execute function public.slow()
    """)
    yield
    platform.sql("drop function public.slow cascade")


@pytest.mark.usefixtures("slow_inserts")
@pytest.mark.parametrize("known", [False, True], ids=["never run before", "run before"])
def test_of_many_seedings_at_once_one_queues_each_table(platform: Platform, known: bool) -> None:
    tables = [f"table_{n}" for n in range(20)]

    def runs(seeding: str) -> list[NewRun]:
        return [new_run(f"{seeding}.custom-{n}", name, manifest_id=n) for n, name in enumerate(tables)]

    if known:
        platform.history.queue(runs("before"))
        for n in range(len(tables)):
            platform.history.succeed(as_it_is(platform.history, f"before.custom-{n}"), Figures(1, 1))
    barrier = threading.Barrier(3)
    found: dict[str, Recorded] = {}

    def seed(seeding: str) -> None:
        barrier.wait(timeout=30)
        mine = runs(seeding)
        found[seeding] = platform.history.queue(mine[::-1] if int(seeding) % 2 else mine)

    threads = [threading.Thread(target=seed, args=(str(number),)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(found) == 3
    pending = platform.sql(
        "select table_name, run_id from reporting.seeder_run_history where status = 'pending'"
    )
    assert len(pending) == len(dict(pending)) == 20
    for seeding, recorded in found.items():
        others = {name: run_id for name, run_id in pending if not run_id.startswith(f"{seeding}.")}
        assert recorded == Recorded([], others)


# --- what the sweep takes for lost ------------------------------------------------------------------------


def seen(platform: Platform) -> Run:
    (run,) = platform.history.unfinished(days=7, quiet_seconds=0)
    return run


def test_a_run_that_was_lost_is_pending_again_and_says_so(platform: Platform) -> None:
    platform.history.queue([new_run("a.custom-1")])
    assert platform.history.requeue(seen(platform).seen, "Its message was lost", 0) is True
    assert platform.run("a.custom-1").errors == "Its message was lost"
    assert platform.status("sales").last_errors == "Its message was lost"


def test_a_run_that_has_moved_since_it_was_seen_is_left_alone(platform: Platform) -> None:
    platform.history.queue([new_run("a.custom-1")])
    run = seen(platform)
    platform.history.start("a.custom-1", "sales")
    before = platform.run("a.custom-1")
    assert platform.history.requeue(run.seen, "Its message was lost", 0) is False
    assert platform.run("a.custom-1") == before


def test_of_two_sweeps_one_settles_a_run(platform: Platform) -> None:
    platform.history.queue([new_run("a.custom-1")])
    platform.sql("update reporting.seeder_run_history set updated_at = now() - interval '2 minutes'")
    run = seen(platform)
    assert [platform.history.requeue(run.seen, "Its message was lost", 60) for _ in range(2)] == [True, False]


def test_a_lost_run_that_a_newer_one_has_overtaken_is_settled_too(platform: Platform) -> None:
    platform.history.queue([new_run("a.custom-1")])
    run = seen(platform)
    platform.history.queue([new_run("b.custom-2", manifest_id=2)])
    assert platform.history.requeue(run.seen, "Its message was lost", 0) is True
    assert platform.status("sales").last_run_id == "b.custom-2"
