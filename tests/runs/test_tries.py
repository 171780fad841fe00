"""How often a run is tried: SEEDER_MAX_RETRIES bounds it, whatever happens to it in between."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from celery.exceptions import Retry
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from redis import Redis
from support.contract import Platform, new_run

from seeder import signals, tasks
from seeder.broker.attempts import Attempts
from seeder.config.settings import Settings
from seeder.equipment import Equipment
from seeder.errors import DatabaseTrouble, MatviewBusy, Report, TemporaryError
from seeder.maintenance.lost_runs import Sweep
from seeder.runs.cancelling import Cancellation, Ending
from seeder.runs.claim import Claim, Claims, Message
from seeder.tasks import refresh_manifest

MAX_RETRIES = 4
RUN = "n1.custom-1"
BUSY = MatviewBusy(table_name="sales", holder="another", session_name="another")


class Room:
    """Keeps no message waiting: it is there again at once."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def wait_for_next_try(self, _request: Any, _seconds: float, attempts: int) -> None:
        self._world.attempts.note({RUN: attempts})
        self._world.retries = attempts

    def wait_for_turn(self, request: Any, *_: Any) -> None:
        self._world.retries = request.retries


class World:
    """One run, its message, its worker and the sweep, as they meet; all but the processes and the queue."""

    def __init__(self, platform: Platform, worker: Equipment, redis: Redis) -> None:
        self.platform, self.worker = platform, worker
        self.attempts = Attempts(lambda: redis.client())
        #: Of the message; None where it is lost.
        self.retries: int | None = 0
        #: Tries that began, and then failed or were lost.
        self.spent = 0

    def do(self, what: str) -> None:
        if self.retries is None or what == "sweep":
            self.sweep()
        elif what == "lose the message":
            self.retries = None
        else:
            self._try(what)

    def sweep(self) -> None:
        settling = Sweep(self.platform.databases, self.platform.history, "reporting", MAX_RETRIES, 0.0)
        for run in settling.settle({"custom-1": None}, set, self.attempts.of).requeue:
            self.attempts.note({RUN: run.attempts or 0})
            self.retries = run.attempts

    def _try(self, what: str) -> None:
        request = SimpleNamespace(id=RUN, retries=self.retries, kwargs={"database_id": None})
        request.message = Message(RUN, request.retries, "custom", 1, "sales", None)
        request.run = claim = Claims.of(self.worker).claim(request.message)
        self.retries = None
        if what == "die":
            self.spent += 1
            self._end(claim)
        elif what == "wait for a turn":
            signals.record_retry(refresh_manifest, request=request, reason=Retry(exc=BUSY))
        elif what == "hand back":
            stopping = Cancellation.of(self.worker)
            stopping.stop(
                RUN,
                Ending.HANDED_BACK,
                "The worker was shut down.",
                [None],
                attempt=request.retries,
                patience=0,
            )
            self._end(claim)
            self.retries = request.retries
        else:
            self.spent += 1
            self._fail(request, claim)

    def _end(self, claim: Claim) -> None:
        """As the death of its process does."""
        self.platform.sql(f"select pg_terminate_backend({claim.session.backend_pid}, 5000)")
        claim.release()

    def _fail(self, request: Any, claim: Claim) -> None:
        trouble = DatabaseTrouble(report=Report("40P01", "deadlock detected"))

        def refresh() -> None:
            raise trouble

        claim.refresh = refresh  # type: ignore[method-assign, assignment]
        try:
            refresh_manifest.run.__func__(SimpleNamespace(request=request), "custom", 1, "sales")
        except Retry as retry:
            signals.record_retry(refresh_manifest, request=request, reason=retry)
        except TemporaryError as error:
            claim.fail(str(error))


DEEDS = ["die", "die", "fail", "wait for a turn", "hand back", "lose the message"]


@pytest.fixture(params=["with the column", "without the column"])
def column(request: pytest.FixtureRequest, platform: Platform) -> Iterator[bool]:
    """Whether the history has ``attempts``."""
    there = request.param == "with the column"
    if not there:
        platform.sql("alter table reporting.seeder_run_history drop column attempts")
    yield there
    if not there:
        platform.sql("alter table reporting.seeder_run_history add column attempts integer")


@pytest.fixture
def worker(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Iterator[Equipment]:
    equipment = Equipment(Settings(max_retries=MAX_RETRIES), platform.url)
    monkeypatch.setattr(signals, "equipment", lambda: equipment)
    monkeypatch.setattr(tasks, "equipment", lambda: equipment)
    yield equipment
    equipment.databases.dispose()


@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
@example(deeds=["die", "sweep", "wait for a turn"] * 6)
@example(deeds=["die", "sweep", "hand back"] * 6)
@given(deeds=st.lists(st.sampled_from(DEEDS), min_size=10, max_size=20))
def test_no_more_tries_are_lost_or_fail_than_the_setting_says(
    platform: Platform, column: bool, worker: Equipment, broker_url: str, deeds: list[str]
) -> None:
    platform.empty()
    platform.custom(1, table_name="sales")
    platform.history.queue([new_run(RUN)])
    with Redis.from_url(broker_url) as redis, pytest.MonkeyPatch.context() as patch:
        redis.flushdb()
        world = World(platform, worker, redis)
        patch.setattr(signals, "delayed_runs", lambda: Room(world))
        for deed in deeds:
            if platform.run(RUN).status == "error":
                break
            world.do(deed)
        row = platform.run(RUN)
        assert world.spent <= MAX_RETRIES + 1, deeds
        if world.spent > MAX_RETRIES:
            world.sweep()
            assert platform.run(RUN).status == "error"
        if column and row.status == "error":
            assert row.attempts == MAX_RETRIES + 1
