"""The sweep: a dead run is queued again, a live one is never touched, and one that is lost too often ends."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest
from structlog.testing import capture_logs
from support.contract import Platform, as_it_is, new_run
from support.emptied import fresh_database

from seeder.history import Figures
from seeder.maintenance.lost_runs import Sweep, Swept
from seeder.matviews import Limits
from seeder.matviews.locks import lock
from seeder.postgres.application_names import application_name
from seeder.postgres.databases import Databases
from seeder.sql.names import matview_name

MAX_RETRIES = 2
RUN = "n1.custom-1"


def sweep(platform: Platform, queued: Sequence[str] = (), quiet_seconds: float = 0.0) -> Swept:
    sweep = Sweep(platform.databases, platform.history, "reporting", MAX_RETRIES, quiet_seconds)
    return sweep.settle({"custom-1": None}, lambda: set(queued))


@contextmanager
def at_work(platform: Platform, run_id: str, table_name: str = "sales") -> Iterator[None]:
    """Hold the matview's lock as the worker of that run does."""
    with at_work_in(platform.databases, None, run_id, table_name):
        yield


@contextmanager
def at_work_in(
    databases: Databases, database_id: int | None, run_id: str, table_name: str = "sales"
) -> Iterator[None]:
    matview = matview_name(table_name, "reporting")
    with databases.session(database_id) as session:
        lock.take(session, matview, application_name(run_id, 0), Limits(0, 0, ("public",)))
        yield
        lock.release(session, matview)


def pending(platform: Platform) -> None:
    platform.history.queue([new_run(RUN)])


def running(platform: Platform) -> None:
    pending(platform)
    platform.history.start(RUN, "sales")


def test_a_run_whose_worker_died_is_pending_and_to_be_queued_again(any_platform: Platform) -> None:
    running(any_platform)
    assert [run.run_id for run in sweep(any_platform, [RUN]).requeue] == [RUN]
    row = any_platform.run(RUN)
    assert (row.status, row.consecutive_failures) == ("pending", 0)
    assert "tried again" in row.errors


def test_a_run_whose_message_was_lost_is_to_be_queued_again(platform: Platform) -> None:
    pending(platform)
    swept = sweep(platform, ["n1.custom-2"])
    assert ([run.run_id for run in swept.requeue], swept.ended) == ([RUN], ())
    assert platform.run(RUN).status == "pending"


def test_a_sweep_settles_no_more_than_its_batch_and_the_next_goes_on(platform: Platform) -> None:
    platform.history.queue([new_run(f"n1.custom-{one}", f"t{one}", manifest_id=one) for one in range(1, 6)])
    sweep = Sweep(platform.databases, platform.history, "reporting", MAX_RETRIES, 0.0, batch=3)
    database_of = {f"custom-{one}": None for one in range(1, 6)}
    with capture_logs() as logs:
        first = [run.run_id for run in sweep.settle(database_of, set).requeue]
        second = [run.run_id for run in sweep.settle(database_of, lambda: set(first)).requeue]
    assert first + second == [f"n1.custom-{one}" for one in range(1, 6)]
    left = [one for one in logs if one["event"].startswith("more runs are lost")]
    assert [one["runs"] for one in left] == [3]


def test_a_run_at_work_is_never_touched(any_platform: Platform) -> None:
    running(any_platform)
    before = any_platform.run(RUN)
    with at_work(any_platform, RUN):
        assert sweep(any_platform) == Swept((), ())
    assert any_platform.run(RUN) == before


def test_a_run_that_waits_in_a_queue_is_never_touched(platform: Platform) -> None:
    pending(platform)
    before = platform.run(RUN)
    assert sweep(platform, [RUN]) == Swept((), ())
    assert platform.run(RUN) == before


def test_another_run_at_work_on_the_matview_does_not_make_a_dead_one_live(platform: Platform) -> None:
    running(platform)
    with at_work(platform, "n2.custom-1"):
        assert [run.run_id for run in sweep(platform).requeue] == [RUN]


@pytest.fixture
def elsewhere(postgres_url: str, platform: Platform) -> Iterator[Databases]:
    """The platform's databases with another one, 7, beside the reporting database."""
    with fresh_database(postgres_url) as url:
        databases = Databases(platform.url, {7: url})
        yield databases
        databases.dispose()


def test_a_run_whose_manifest_is_gone_is_looked_for_in_every_database(
    platform: Platform, elsewhere: Databases
) -> None:
    running(platform)
    sweeping = Sweep(elsewhere, platform.history, "reporting", MAX_RETRIES, 0.0)
    with at_work_in(elsewhere, 7, RUN):
        assert sweeping.settle({}, set) == Swept((), ())
    assert platform.run(RUN).status == "running"
    assert [run.run_id for run in sweeping.settle({}, set).requeue] == [RUN]


def test_a_run_whose_manifest_is_gone_is_let_be_while_a_database_that_may_have_it_is_down(
    platform: Platform,
) -> None:
    running(platform)
    databases = Databases(platform.url, {7: "postgresql://nobody@127.0.0.1:1/nothing"})
    sweeping = Sweep(databases, platform.history, "reporting", MAX_RETRIES, 0.0)
    with capture_logs() as logs:
        assert sweeping.settle({}, set) == Swept((), ())
    (told,) = logs
    assert told["event"] == "can't tell whether a run is at work: a database that may have it is down"
    assert (told["run_id"], told["databases"]) == (RUN, [7])
    assert [run.run_id for run in sweeping.settle({"custom-1": None}, set).requeue] == [RUN]
    databases.dispose()


@pytest.mark.parametrize("begin", [pending, running])
def test_what_was_written_a_moment_ago_is_somebodys_business(
    platform: Platform, begin: Callable[[Platform], None]
) -> None:
    begin(platform)
    assert sweep(platform, quiet_seconds=600) == Swept((), ())


@pytest.mark.parametrize("begin", [pending, running])
def test_a_run_that_is_lost_too_often_is_given_up(
    platform: Platform, begin: Callable[[Platform], None]
) -> None:
    ended = []
    for _ in range(MAX_RETRIES):
        begin(platform)
        assert len(sweep(platform).requeue) == 1
    begin(platform)
    ended = sweep(platform).ended
    row = platform.run(RUN)
    assert [run.run_id for run in ended] == [RUN]
    assert (row.status, row.consecutive_failures) == ("error", 1)
    assert f"{MAX_RETRIES + 1} tries" in row.errors
    assert sweep(platform) == Swept((), ())


def test_a_run_that_is_over_is_none_of_the_sweeps_business(platform: Platform) -> None:
    running(platform)
    platform.history.succeed(as_it_is(platform.history, RUN), Figures(1, 1))
    assert sweep(platform) == Swept((), ())
    assert platform.run(RUN).status == "success"


def test_two_sweeps_at_once_give_up_a_run_once(platform: Platform) -> None:
    running(platform)
    for _ in range(MAX_RETRIES):
        sweep(platform)
    threads = [threading.Thread(target=sweep, args=[platform]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    row = platform.run(RUN)
    assert (row.status, row.consecutive_failures) == ("error", 1)


def test_the_queues_are_not_looked_through_when_nothing_waits(platform: Platform) -> None:
    running(platform)

    def queued() -> set[str]:
        raise AssertionError("asked")

    sweeping = Sweep(platform.databases, platform.history, "reporting", MAX_RETRIES, 0.0)
    assert len(sweeping.settle({"custom-1": None}, queued).requeue) == 1


def test_tries_that_failed_and_tries_that_were_lost_count_together(platform: Platform) -> None:
    running(platform)
    platform.history.retry(as_it_is(platform.history, RUN), "40P01: deadlock", attempts=MAX_RETRIES)
    platform.history.start(RUN, "sales")
    assert [run.run_id for run in sweep(platform).ended] == [RUN]
    assert platform.run(RUN).errors.startswith(f"Given up after {MAX_RETRIES + 1} tries")


def test_a_run_that_is_to_be_queued_again_says_how_often_it_was_tried(platform: Platform) -> None:
    running(platform)
    (run,) = sweep(platform).requeue
    assert (run.status, run.attempts, platform.run(RUN).attempts) == ("pending", 1, 1)
