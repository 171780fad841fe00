"""No statement of seeder's own waits for a lock without a limit, and who gives a connection back leaves none
of a run's limits on it."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from psycopg2.extensions import TRANSACTION_STATUS_INERROR
from support.contract import ON_EACH_VERSION, Platform, as_it_is

from seeder import schema
from seeder.config.settings import Settings, load_settings
from seeder.diagnosis.check import check_manifests
from seeder.diagnosis.inspection import inspect, next_refresh, work
from seeder.equipment import Equipment
from seeder.history.nights import Nights
from seeder.maintenance import prune
from seeder.maintenance.sweep import sweep_and_requeue
from seeder.matviews import policy_of
from seeder.monitoring import Monitor
from seeder.postgres.session import LOCK_TIMEOUT, Session
from seeder.runs.cancelling import Cancellation
from seeder.runs.claim import Claims
from seeder.runs.message import Message
from seeder.seedings.catching_up import catch_up
from seeder.seedings.fan_out import seed
from seeder.seedings.planning import Selection
from seeder.sql.names import matview_name

PACKAGE = Path(__file__).parents[2] / "seeder"

NOW = """
select current_setting('statement_timeout') as statement, current_setting('lock_timeout') as lock
"""

#: As another value than LOCK_TIMEOUT, and than the server's: 0.
LIMITS = {"statement_timeout": "7s", "lock_timeout": "3s"}


@pytest.fixture(params=[0, 2], ids=["no slots", "slots"])
def settings(platform: Platform, request: pytest.FixtureRequest) -> Settings:
    return load_settings(
        max_per_database=request.param,
        databases={8: f"{platform.url}?application_name=other"},
        **LIMITS,
    )


@pytest.fixture
def unlimited(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that began without a lock_timeout."""
    found: list[str] = []

    def watched(verb: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(verb)
        def call(session: Session, sql: Any, **values: Any) -> Any:
            driver = session._driver
            if not session.closed and driver.info.transaction_status != TRANSACTION_STATUS_INERROR:
                with driver.cursor() as cursor:
                    cursor.execute("select current_setting('lock_timeout')")
                    if cursor.fetchone() == ("0",):
                        found.append(str(sql))
            return verb(session, sql, **values)

        return call

    for name in ("row", "rows", "run", "run_text"):
        monkeypatch.setattr(Session, name, watched(getattr(Session, name)))
    return found


def limits(equipment: Equipment, database_id: int | None = None) -> tuple[str, str]:
    """What the next borrower of the connection used last finds."""
    with equipment.databases.session(database_id) as session:
        found = session.row(NOW)
    return found.statement, found.lock


def messages(app: Celery, equipment: Equipment) -> list[Message]:
    seeding = seed(app, equipment, Selection())
    runs = [equipment.history.run(run_id) for run_id in seeding.run_ids]
    database_of = {2: 8}
    return [
        Message(
            run.run_id, 0, run.report_type, run.manifest_id, run.table_name, database_of.get(run.manifest_id)
        )
        for run in runs
        if run
    ]


ENDS: dict[str, Callable[[Any], None]] = {
    "success": lambda claim: (claim.refresh(), claim.succeed()),  # type: ignore[func-returns-value]
    "retry": lambda claim: claim.retry("Try 1 failed"),
    "error": lambda claim: claim.fail("wrong"),
    "let go": lambda claim: claim.release(),
}


@ON_EACH_VERSION
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_a_run_leaves_none_of_its_limits_on_its_connection(
    platform: Platform, app: Celery, equipment: Equipment, end: Callable[[Any], None]
) -> None:
    platform.custom(1)
    platform.custom(2, database_id=8)
    found = messages(app, equipment)
    assert len(found) == 2
    for message in found:
        claim = Claims.of(equipment).claim(message)
        assert claim.session.row(NOW) == ("7s", "3s")
        end(claim)
        claim.release()
        assert limits(equipment, message.database_id) == ("0", LOCK_TIMEOUT)


def test_a_message_that_is_dropped_leaves_no_limits_either(
    platform: Platform, app: Celery, equipment: Equipment
) -> None:
    platform.custom(1)
    (message,) = messages(app, equipment)
    equipment.history.fail(as_it_is(equipment.history, message.run_id), "over")
    with pytest.raises(Exception, match="is over"):
        Claims.of(equipment).claim(message)
    assert limits(equipment) == ("0", LOCK_TIMEOUT)


def test_the_end_of_a_run_is_recorded_within_our_own_limits(
    platform: Platform, app: Celery, equipment: Equipment
) -> None:
    platform.sql("""
        create table public.seen (lock_timeout text);
        create function public.note() returns trigger language plpgsql as $$
        begin
            insert into public.seen values (current_setting('lock_timeout'));
            return null;
        end $$;
        create trigger note after update on reporting.seeder_run_history
            for each row when (new.status = 'success') execute function public.note()
    """)
    platform.custom(1)
    try:
        (message,) = messages(app, equipment)
        claim = Claims.of(equipment).claim(message)
        claim.refresh()
        claim.succeed()
        assert platform.sql("select * from public.seen") == [(LOCK_TIMEOUT,)]
    finally:
        platform.sql("drop trigger note on reporting.seeder_run_history")


@ON_EACH_VERSION
def test_every_statement_of_ours_has_a_limit_for_locks(
    platform: Platform, app: Celery, equipment: Equipment, unlimited: list[str]
) -> None:
    platform.custom(1)
    platform.custom(2, database_id=8)
    platform.custom(3, table_name="a b")
    platform.custom(4, query="select 1/0 as one")
    for message in messages(app, equipment):
        claim = Claims.of(equipment).claim(message)
        try:
            claim.refresh()
            claim.succeed()
        except Exception as error:  # noqa: BLE001 - as the signals do
            claim.fail(str(error))
    (again, *_) = messages(app, equipment)
    Cancellation.of(equipment).cancel_named(again.run_id, "somebody")
    seed(app, equipment, Selection(), scheduled=True)
    catch_up(app, equipment, datetime.now(UTC))
    sweep_and_requeue(app, equipment)
    prune.prune(equipment)
    settings, policy = equipment.settings, policy_of(equipment.settings)
    manifests = platform.all_manifests()
    check_manifests(equipment.databases, manifests, Selection(), policy)
    Monitor(equipment.databases, settings).look()
    Nights(equipment.databases, "reporting").seeding_ids()
    inspect(equipment.databases, None, matview_name("report_1", "reporting"))
    work(equipment.databases, None, matview_name("report_1", "reporting"))
    next_refresh(equipment.databases, manifests[0], policy)
    assert unlimited == []
    with equipment.databases.engine().connect() as connection:
        assert connection.exec_driver_sql("show lock_timeout").scalar() == LOCK_TIMEOUT
    with equipment.databases.engine().connect() as connection:
        schema.apply(connection, "reporting", "public.agency")
    with equipment.databases.bare_connection() as bare, bare.cursor() as cursor:
        cursor.execute("show lock_timeout")
        assert cursor.fetchone() == (LOCK_TIMEOUT,)


def test_the_limit_is_set_wherever_a_connection_is_made_and_nowhere_taken_back() -> None:
    made, taken_back = set(), set()
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text()
        if re.search(r"psycopg2\.connect\(|create_engine\(", text):
            made.add(str(path.relative_to(PACKAGE)))
        if re.search(
            r"reset (lock_timeout|all)\b|discard all|lock_timeout\s*(=|to)\s*'?0\b", text, re.IGNORECASE
        ):
            taken_back.add(str(path.relative_to(PACKAGE)))
    # What asks why it was refused sends no statement.
    assert made == {"postgres/databases.py", "postgres/refusals.py", "embedded/postgres.py"}
    assert taken_back == set()
