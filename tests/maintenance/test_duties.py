"""What repeats in the background has one shape: a batch, a limit on its statements, one line of the log."""

import psycopg2
import pytest
from structlog.testing import capture_logs
from support.contract import Platform, new_run

from seeder.config.settings import Settings
from seeder.equipment import Equipment
from seeder.history import HistoryRepository
from seeder.maintenance import prune
from seeder.maintenance.duties import PRUNE, SWEEP, WATCHDOG, Duty
from seeder.postgres.databases import Databases

TIMEOUT = "select current_setting('statement_timeout') as timeout"


def timeout(databases: Databases) -> str:
    with databases.session() as session:
        return str(session.row(TIMEOUT).timeout)


@pytest.mark.parametrize("duty", [SWEEP, PRUNE, WATCHDOG], ids=lambda duty: duty.name)
def test_each_statement_of_a_duty_has_its_time_and_those_of_others_have_their_own(
    platform: Platform, duty: Duty
) -> None:
    before = timeout(platform.databases)
    with duty.carried_out(platform.databases):
        assert timeout(platform.databases) in (f"{duty.statement_seconds:.0f}s", "1min")
    assert timeout(platform.databases) == before == "0"


def test_a_statement_that_takes_longer_is_ended_and_the_connection_is_as_before(platform: Platform) -> None:
    short = Duty("short", interval=1.0, batch=1, statement_seconds=0.05)
    with (
        pytest.raises(psycopg2.errors.QueryCanceled),
        short.carried_out(platform.databases),
        platform.databases.session() as session,
        session.transaction(),
    ):
        session.run("select pg_sleep(5)")
    assert timeout(platform.databases) == "0"


def test_a_roles_own_limit_stays_where_it_is_shorter(platform: Platform) -> None:
    with platform.databases.session() as session:
        database = session.row("select quote_ident(current_database()) as name").name
        session.run(f"alter database {database} set statement_timeout = '7s'")
    databases = Databases(platform.url)
    try:
        with SWEEP.carried_out(databases):
            assert timeout(databases) == "7s"
        assert timeout(databases) == "7s"
    finally:
        databases.dispose()
        platform.sql(f"alter database {database} reset statement_timeout")


@pytest.mark.parametrize(("facts", "level"), [({"ended": 0}, "debug"), ({"ended": 2}, "info")])
def test_each_time_is_one_line_and_louder_where_something_was_done(
    platform: Platform, facts: dict[str, int], level: str
) -> None:
    with capture_logs() as logs, SWEEP.carried_out(platform.databases) as told:
        told.update(facts)
    (line,) = logs
    assert line.pop("seconds") >= 0
    assert line == {"event": "sweep", "log_level": level, **facts}


@pytest.fixture
def settings() -> Settings:
    return Settings(history_days=9)


def old_runs(platform: Platform, count: int) -> None:
    """Finished ten days ago, and none of them its table's last."""
    platform.history.queue(
        [new_run(f"n1.custom-{one}", f"t{one}", manifest_id=one) for one in range(1, count + 1)]
    )
    platform.sql(
        "update reporting.seeder_run_history set status = 'success', start_time = now() - interval '10 days'"
    )
    platform.sql("update reporting.seeder_job_status set last_run_id = 'n2'")


def test_old_runs_are_deleted_in_smaller_batches_where_a_statement_takes_too_long(
    platform: Platform, equipment: Equipment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trigger makes each statement slow that deletes more than a few rows."""
    old_runs(platform, 30)
    platform.sql(
        "create function public.slow() returns trigger language plpgsql as"
        " 'begin if (select count(*) from gone) > 6 then perform pg_sleep(5); end if; return null; end'"
    )
    platform.sql(
        "create trigger slow after delete on reporting.seeder_run_history referencing old table as gone"
        " for each statement execute function public.slow()"
    )
    monkeypatch.setattr(prune, "PRUNE", Duty("prune", interval=1.0, batch=24, statement_seconds=0.3))
    monkeypatch.setattr(prune, "SMALLEST_BATCH", 5)
    try:
        with capture_logs() as logs:
            assert prune.prune(equipment)["deleted"] == 30
        assert [one.get("batch") for one in logs if "fewer" in one["event"]] == [6]
        monkeypatch.setattr(prune, "SMALLEST_BATCH", 20)
        old_runs(platform, 30)
        with pytest.raises(psycopg2.errors.QueryCanceled):
            prune.prune(equipment)
    finally:
        platform.sql("drop trigger slow on reporting.seeder_run_history")


def test_pruning_goes_on_until_nothing_old_is_left(
    platform: Platform, equipment: Equipment, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = iter([3, 3, 1])
    monkeypatch.setattr(prune, "PRUNE", Duty("prune", interval=1.0, batch=3, statement_seconds=5.0))
    monkeypatch.setattr(HistoryRepository, "prune", lambda *_: next(batches))
    assert prune.prune(equipment) == {"copies": [], "deleted": 7}
