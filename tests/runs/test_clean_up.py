"""What a concurrent refresh leaves where much has changed is removed afterwards; nobody waits for that."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import psycopg2
import pytest
import structlog
from support.contract import Platform, new_run

from seeder import signals
from seeder.config.settings import Settings
from seeder.equipment import Equipment
from seeder.matviews import is_much
from seeder.runs.claim import Claim, Claims
from seeder.runs.message import Message
from seeder.runs.recording import CLOSING

ROWS = 3000
QUERY = "-- seeder: unique=(id)\nselect * from public.sale"
DEAD = "select pg_stat_get_dead_tuples('reporting.sales'::regclass)"


class Worker:
    """One report, whose runs are done in this process from claim to postrun, as Celery's signals do."""

    def __init__(self, platform: Platform, equipment: Equipment) -> None:
        self.platform, self.equipment, self.runs = platform, equipment, 0
        platform.sql(
            f"create table public.sale as select n as id, 0 as amount from generate_series(1, {ROWS}) n"
        )
        platform.custom(1, table_name="sales", query=QUERY)
        self.run()
        platform.sql("alter materialized view reporting.sales set (autovacuum_enabled = off)")

    def claim(self) -> Claim:
        self.runs += 1
        run_id = f"n{self.runs}.custom-1"
        self.platform.history.queue([new_run(run_id)])
        return Claims.of(self.equipment).claim(Message(run_id, 0, "custom", 1, "sales", None))

    def run(self) -> Claim:
        claim = self.claim()
        claim.refresh()
        claim.succeed()
        request = SimpleNamespace(run=claim, message=claim.message)
        signals.let_go(claim.message.run_id, SimpleNamespace(request=request))
        return claim

    def status(self, claim: Claim) -> Any:
        run = self.platform.history.run(claim.message.run_id)
        assert run
        return run.status


@pytest.fixture
def worker(any_platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    equipment = Equipment(Settings(), any_platform.url)
    nobody: Any = SimpleNamespace(after=lambda *_, **__: None, call_next=lambda *_: None)
    monkeypatch.setattr(signals, "release", lambda: nobody)
    monkeypatch.setattr(signals, "delayed_runs", lambda: nobody)
    monkeypatch.setattr(signals, "is_awaited", lambda _: False)
    yield Worker(any_platform, equipment)
    equipment.databases.dispose()


def change(worker: Worker, rows: int) -> None:
    worker.platform.sql(f"update public.sale set amount = amount + 1 where id <= {rows}")


def test_much_is_a_tenth_and_a_thousand() -> None:
    assert [is_much(dead, 10_000) for dead in (None, 0, 2000, 2001)] == [False, False, False, True]


def test_what_much_changing_left_is_removed_when_the_run_is_over(worker: Worker) -> None:
    change(worker, 1500)
    with structlog.testing.capture_logs() as lines:
        claim = worker.run()
    assert claim.result
    assert (claim.result.dead, worker.status(claim)) == (1500, "success")
    assert worker.platform.value(DEAD) == 0
    assert {
        "event": "vacuumed",
        "log_level": "info",
        "table_name": "reporting.sales",
        "dead_rows": 1500,
    } in lines
    # Nobody's connection bears its name or its limits afterwards.
    with worker.equipment.databases.session() as session:
        row = session.row("select current_setting('application_name') as name, "
                          "current_setting('statement_timeout') as timeout")  # fmt: skip
    assert row == ("seeder", "0")


def test_a_little_adds_up_until_it_is_much(worker: Worker) -> None:
    found = []
    for _ in range(4):
        change(worker, 500)
        claim = worker.run()
        assert claim.result
        found.append((claim.result.dead, worker.platform.value(DEAD)))
    assert found == [(500, 500), (1000, 1000), (1500, 0), (500, 500)]


def test_who_works_on_the_matview_is_not_waited_for(worker: Worker) -> None:
    change(worker, 1500)
    claim = worker.claim()
    claim.refresh()
    claim.succeed()
    with worker.platform.databases.session() as other, other.transaction():
        other.run_text("comment on materialized view reporting.sales is 'Ask Ann.'")
        claim.clean_up()
    assert (worker.platform.value(DEAD), worker.status(claim)) == (1500, "success")


@pytest.mark.parametrize("trouble", ["it fails", "no connection", "the worker is told to stop", "cancelled"])
def test_where_it_cant_be_done_the_run_is_a_success_all_the_same(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    change(worker, 1500)
    if trouble == "it fails":
        monkeypatch.setattr("seeder.matviews.modes.vacuum.VACUUM", "vacuum (nonsense) {matview}")
    if trouble == "cancelled":
        monkeypatch.setattr("seeder.matviews.modes.vacuum.VACUUM", "select pg_sleep(60) -- {matview}")
        monkeypatch.setattr("seeder.matviews.modes.vacuum.LONGEST_SECONDS", 0.05)
    claim = worker.claim()
    claim.refresh()
    claim.succeed()
    if trouble == "no connection":
        worker.platform.sql(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity "
            "where application_name like 'seeder%'"
        )
        monkeypatch.setattr(worker.equipment.databases, "open", broken)
    try:
        if trouble == "the worker is told to stop":
            CLOSING.set()
        claim.clean_up()
    finally:
        CLOSING.clear()
    assert (worker.platform.value(DEAD), worker.status(claim)) == (1500, "success")


def broken(*_: Any) -> Any:
    raise psycopg2.OperationalError("server closed the connection unexpectedly")
