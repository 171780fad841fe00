"""Whose move it is: an attempt moves its own run, and never that of whoever took it up after it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from celery.exceptions import Retry
from support.contract import Platform, as_it_is, new_run

from seeder import signals
from seeder.config.settings import Settings
from seeder.equipment import Equipment
from seeder.errors import (
    DatabaseTrouble,
    Duplicate,
    ManifestGone,
    MatviewBusy,
    Report,
    SeederError,
    TurnAwaited,
)
from seeder.history import Figures, Run
from seeder.maintenance.lost_runs import Sweep, Swept
from seeder.runs.cancelling import Cancellation, Ending
from seeder.runs.claim import Claim, Claims
from seeder.runs.message import Message
from seeder.tasks import refresh_manifest

RUN = "n1.custom-1"
FIRST = Message(RUN, 0, "custom", 1, "sales", None)
SECOND = replace(FIRST, attempt=1)

#: What a worker may say of its attempt, late.
LATE: dict[str, Callable[[Claim], Any]] = {
    "retry": lambda claim: claim.retry("Try 1 failed; it is tried again.\nlost the connection"),
    "succeed": lambda claim: claim.succeed(),
    "fail": lambda claim: claim.fail("division by zero"),
}


@pytest.fixture
def workers(platform: Platform) -> Iterator[tuple[Equipment, Equipment]]:
    """Two of them, each with connections of its own; and a run that waits to be taken."""
    platform.custom(1, table_name="sales")
    platform.history.queue([new_run(RUN)])
    both = Equipment(Settings(), platform.url), Equipment(Settings(), platform.url)
    yield both
    for one in both:
        one.databases.dispose()


def sweep(platform: Platform) -> Swept:
    return Sweep(platform.databases, platform.history, "reporting", 5, 0.0).settle({"custom-1": None}, set)


def given_up(platform: Platform, worker: Equipment) -> Claim:
    """A claim whose worker has done its work, and whose connection was lost before it could say so."""
    claim = Claims.of(worker).claim(FIRST)
    claim.refresh()
    platform.sql(f"select pg_terminate_backend({claim.session.backend_pid}, 5000)")
    assert [run.run_id for run in sweep(platform).requeue] == [RUN]
    return claim


@pytest.mark.parametrize("said", LATE)
def test_a_worker_that_was_given_up_for_dead_does_not_touch_its_successors_run(
    platform: Platform, workers: tuple[Equipment, Equipment], said: str
) -> None:
    old, new = workers
    late = given_up(platform, old)
    successor = Claims.of(new).claim(SECOND)
    before = platform.run(RUN), platform.status("sales")
    assert before[0].status == "running"
    assert LATE[said](late) in (None, False)
    assert (platform.run(RUN), platform.status("sales")) == before
    # Who asks now is told of a run of its own, since this one has begun to read.
    assert platform.history.queue([new_run("n2.custom-1")]).waiting == {}
    successor.refresh()
    successor.succeed()
    assert (platform.run(RUN).status, platform.run(RUN).errors) == ("success", None)


@pytest.mark.parametrize("said", LATE)
def test_a_worker_that_was_given_up_for_dead_does_not_move_the_run_before_it_is_taken_again(
    platform: Platform, workers: tuple[Equipment, Equipment], said: str
) -> None:
    late = given_up(platform, workers[0])
    before = platform.run(RUN)
    assert before.status == "pending"
    assert LATE[said](late) in (None, False)
    assert platform.run(RUN) == before


@pytest.mark.parametrize("said", LATE)
def test_a_worker_that_lost_its_connection_alone_records_its_end_over_another(
    platform: Platform, workers: tuple[Equipment, Equipment], said: str
) -> None:
    claim = Claims.of(workers[0]).claim(FIRST)
    claim.refresh()
    platform.sql(f"select pg_terminate_backend({claim.session.backend_pid}, 5000)")
    assert LATE[said](claim) in (None, True)
    assert platform.run(RUN).status == {"retry": "pending", "succeed": "success", "fail": "error"}[said]
    assert sweep(platform).ended == ()


@pytest.mark.parametrize("said", LATE)
def test_what_a_cancelled_or_handed_back_worker_says_changes_nothing(
    platform: Platform, workers: tuple[Equipment, Equipment], said: str
) -> None:
    for ending in (Ending.HANDED_BACK, Ending.CANCELLED):
        claim = Claims.of(workers[0]).claim(FIRST)
        claim.refresh()
        Cancellation.of(workers[1]).stop(RUN, ending, "Enough.", [None], patience=0)
        before = platform.run(RUN)
        assert LATE[said](claim) in (None, False)
        assert platform.run(RUN) == before


def test_a_retry_that_is_said_twice_since_its_answer_was_lost_is_still_the_workers_own(
    platform: Platform, workers: tuple[Equipment, Equipment]
) -> None:
    claim = Claims.of(workers[0]).claim(FIRST)
    words = "Try 1 failed; it is tried again.\nlost the connection"
    assert [platform.history.retry(claim.seen, words) for _ in range(2)] == [True, True]
    before = platform.run(RUN)
    # In the place of the first answer came the next try.
    platform.history.start(RUN, "sales")
    assert platform.history.retry(claim.seen, words) is False
    assert before.status == "pending"
    assert platform.run(RUN).status == "running"
    claim.release()


def test_an_end_that_is_said_twice_since_its_answer_was_lost_counts_once(
    platform: Platform, workers: tuple[Equipment, Equipment]
) -> None:
    claim = Claims.of(workers[0]).claim(FIRST)
    platform.history.fail(claim.seen, "division by zero")
    before = platform.run(RUN), platform.status("sales")
    platform.history.fail(claim.seen, "division by zero")
    platform.history.succeed(claim.seen, Figures(1, 1))
    assert (platform.run(RUN), platform.status("sales")) == before
    claim.release()


def test_a_message_that_comes_twice_leaves_the_attempt_at_work_as_it_is(
    platform: Platform, workers: tuple[Equipment, Equipment]
) -> None:
    claim = Claims.of(workers[0]).claim(FIRST)
    before = platform.run(RUN)
    with pytest.raises(Duplicate):
        Claims.of(workers[1]).claim(FIRST)
    assert platform.run(RUN) == before
    claim.refresh()
    claim.succeed()
    assert platform.run(RUN).status == "success"


class Room:
    """Notes whose message is to wait."""

    def __init__(self) -> None:
        self.put: list[str] = []

    def wait_for_next_try(self, request: Any, _seconds: float, _attempts: int) -> None:
        self.put.append(request.run.message.run_id)

    def wait_for_turn(self, _request: Any, message: Message, _busy: TurnAwaited) -> None:
        self.put.append(message.run_id)


@pytest.mark.parametrize(
    "reason", [DatabaseTrouble(report=Report(None, "lost")), MatviewBusy(table_name="x", holder="y")]
)
@pytest.mark.parametrize("own", [True, False])
def test_the_message_of_a_next_try_is_put_away_by_the_worker_whose_run_it_is(
    platform: Platform,
    workers: tuple[Equipment, Equipment],
    monkeypatch: pytest.MonkeyPatch,
    reason: SeederError,
    own: bool,
) -> None:
    room = Room()
    monkeypatch.setattr(signals, "equipment", lambda: workers[0])
    monkeypatch.setattr(signals, "delayed_runs", lambda: room)
    claim = Claims.of(workers[0]).claim(FIRST) if own else given_up(platform, workers[0])
    request = SimpleNamespace(id=RUN, run=claim, message=FIRST, retries=0)
    signals.record_retry(refresh_manifest, request=request, reason=Retry(exc=reason, when=1.0))
    assert room.put == ([RUN] if own else [])
    assert platform.run(RUN).status == "pending"
    assert (str(reason) in platform.run(RUN).errors) is own


# --- what the record doesn't know --------------------------------------------------------------------------


def lose_start(platform: Platform, before: Any) -> None:
    """As a failover to a standby that hadn't received it does."""
    platform.sql(f"""
        update reporting.seeder_run_history
        set status = '{before.status}', start_time = '{before.start_time}', updated_at = '{before.updated_at}'
    """)


def test_a_start_that_was_lost_leaves_the_retry_and_the_failure_to_the_attempt(platform: Platform) -> None:
    for said in ("retry", "fail"):
        platform.history.queue([new_run(RUN)])
        before = platform.run(RUN)
        seen = platform.history.start(RUN, "sales")
        assert seen is not None
        lose_start(platform, before)
        assert getattr(platform.history, said)(seen, "the server went away") in (None, True)
        assert platform.run(RUN).errors == "the server went away"


def test_a_success_of_a_start_that_was_lost_does_not_answer_who_asked_meanwhile(platform: Platform) -> None:
    platform.history.queue([new_run(RUN)])
    before = platform.run(RUN)
    seen = platform.history.start(RUN, "sales")
    assert seen is not None
    lose_start(platform, before)
    assert platform.history.queue([new_run("n2.custom-1")]).waiting == {"sales": RUN}
    platform.history.succeed(seen, Figures(1, 1))
    assert platform.run(RUN) == before


def test_a_start_waits_for_the_disk_unless_its_refresh_is_in_the_same_database(platform: Platform) -> None:
    platform.custom(1, table_name="sales")
    platform.history.queue([new_run(RUN)])
    platform.sql("""
        create table public.told (how text);
        create function public.tell() returns trigger language plpgsql as $$
        begin insert into public.told values (current_setting('synchronous_commit')); return new; end $$;
        create trigger tell after update on reporting.seeder_run_history
        for each row execute function public.tell()
    """)
    # The embedded server's tests run without waiting for the disk.
    waits = platform.url + "?options=-csynchronous_commit%3Don"
    worker = Equipment(Settings(databases={7: platform.url}), waits)
    Claims.of(worker).claim(replace(FIRST, database_id=7)).release()
    Claims.of(worker).claim(FIRST).release()
    worker.databases.dispose()
    assert [how for (how,) in platform.sql("select how from public.told")] == ["on", "off"]


# --- the sweep ---------------------------------------------------------------------------------------------


def quiet(platform: Platform) -> Run:
    (run,) = platform.history.unfinished(days=7, quiet_seconds=0)
    return run


def test_a_sweep_that_was_held_up_does_not_put_back_what_has_begun_since(platform: Platform) -> None:
    platform.history.queue([new_run(RUN)])
    waiting = quiet(platform).seen
    first = platform.history.start(RUN, "sales")
    assert first is not None
    # The second attempt: of the same status as the first, and quiet for as long.
    second = platform.history.start(RUN, "sales")
    assert second is not None
    for seen in (waiting, first):
        assert platform.history.requeue(seen, "lost", 0) is False
    assert as_it_is(platform.history, RUN) == second
    assert platform.history.requeue(second, "lost", 0) is True


def test_the_sweep_and_the_worker_itself_don_t_both_put_a_run_back(
    platform: Platform, workers: tuple[Equipment, Equipment]
) -> None:
    claim = Claims.of(workers[0]).claim(FIRST)
    seen = quiet(platform).seen
    platform.sql(f"select pg_terminate_backend({claim.session.backend_pid}, 5000)")
    assert claim.retry("Try 1 failed; it is tried again.") is True
    assert platform.history.requeue(seen, "lost", 0) is False
    assert platform.run(RUN).errors == "Try 1 failed; it is tried again."


# --- the worker's main process -----------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [Ending.FAILED, Ending.HANDED_BACK])
def test_a_worker_that_ends_its_own_attempt_lets_its_successors_be(
    platform: Platform, workers: tuple[Equipment, Equipment], ending: Ending
) -> None:
    old, new = workers
    given_up(platform, old)
    successor = Claims.of(new).claim(SECOND)
    before = platform.run(RUN)
    stopped = Cancellation.of(old).stop(RUN, ending, "The worker was shut down.", [None], attempt=0)
    assert stopped is not None
    assert (stopped.moved, stopped.ended) == (False, False)
    assert platform.run(RUN) == before
    stopped = Cancellation.of(new).stop(RUN, ending, "It was shut down.", [None], attempt=1, patience=0)
    assert stopped is not None
    assert stopped.moved is True
    assert platform.run(RUN).errors == "It was shut down."
    successor.release()


def test_a_manifest_that_is_gone_is_recorded_by_the_attempt_that_found_it_so(
    platform: Platform, workers: tuple[Equipment, Equipment]
) -> None:
    platform.sql("delete from reporting.seeder_custom_report_manifest")
    claim = Claims.of(workers[0]).claim(FIRST)
    with pytest.raises(ManifestGone) as gone:
        claim.refresh()
    # Until that is recorded nobody else takes the run.
    with pytest.raises(Duplicate):
        Claims.of(workers[1]).claim(FIRST)
    claim.fail(str(gone.value))
    assert platform.run(RUN).status == "error"


# --- runs that nobody has claimed --------------------------------------------------------------------------


def test_a_run_that_was_not_claimed_moves_only_while_it_waits_as_it_did(platform: Platform) -> None:
    platform.history.queue([new_run(RUN)])
    waiting = as_it_is(platform.history, RUN)
    running = platform.history.start(RUN, "sales")
    before = platform.run(RUN)
    assert platform.history.retry(waiting, "could not connect") is False
    platform.history.fail(waiting, "could not connect")
    assert platform.run(RUN) == before
    assert running is not None
    platform.history.retry(running, "lost the connection")
    before = platform.run(RUN)
    # It waits again, but since then it has had a try.
    platform.history.fail(waiting, "could not connect")
    assert platform.run(RUN) == before


@pytest.mark.parametrize("retried", [True, False])
def test_a_second_message_that_could_not_be_claimed_does_not_move_the_run_at_work(
    platform: Platform, workers: tuple[Equipment, Equipment], monkeypatch: pytest.MonkeyPatch, retried: bool
) -> None:
    monkeypatch.setattr(signals, "equipment", lambda: workers[1])
    claim, words = Claims.of(workers[0]).claim(FIRST), "The connection to the database failed."
    before = platform.run(RUN)
    signals._record_unclaimed(FIRST, words, retried=retried)
    assert platform.run(RUN) == before
    claim.retry("lost the connection")
    signals._record_unclaimed(FIRST, words, retried=retried)
    assert platform.run(RUN).errors == words
