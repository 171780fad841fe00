"""A row of the record, or of the manifests, that somebody has locked delays its own report and no other."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import psycopg2
import pytest
from celery import Celery
from support.contract import ON_EACH_VERSION, Platform, new_run
from support.sessions import person

from seeder.broker.messages import on_their_way
from seeder.broker.queues import REFRESH_QUEUE
from seeder.config.settings import load_settings
from seeder.equipment import Equipment
from seeder.errors import RecordHeld
from seeder.history import Run, inserting
from seeder.maintenance import prune
from seeder.maintenance.sweep import sweep_and_requeue
from seeder.matviews.locks import lock as matview_lock
from seeder.matviews.swap import leftovers
from seeder.postgres import databases
from seeder.postgres.session import OWN_LIMITS
from seeder.runs import claim
from seeder.runs.cancelling import Cancellation
from seeder.runs.claim import Claims
from seeder.runs.message import Message
from seeder.seedings.fan_out import Seeding, seed
from seeder.seedings.planning import Selection

#: Longer than anything here waits, shorter than anybody who waits without a limit.
SOON_SECONDS = 4.0

#: A person's statement: one row of each table of the contract.
HELD = "report_1"
ROWS = {
    "status": f"select from reporting.seeder_job_status where table_name = '{HELD}' for update",
    "history": f"select from reporting.seeder_run_history where table_name = '{HELD}' for update",
    "custom manifest": "select from reporting.seeder_custom_report_manifest where id = 1 for update",
    "canned manifest": "select from reporting.seeder_canned_report_manifest where id = 1 for update",
    "canned report": "select from reporting.seeder_canned_report where id = 1 for update",
}
#: Those without which the report's own run can't begin.
OF_THE_RECORD = ("status", "history")


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our limit for locks, shortened."""
    shorter = OWN_LIMITS.replace("5s", "300ms")
    monkeypatch.setattr(databases, "AS_OURS", databases.AS_OURS.replace(OWN_LIMITS, shorter))
    for module in (leftovers, matview_lock, claim):
        monkeypatch.setattr(module, "OWN_LIMITS", shorter)


@contextmanager
def soon() -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < SOON_SECONDS


def reports(platform: Platform) -> None:
    platform.custom(1)
    platform.custom(2)
    platform.canned_report(1)
    platform.canned(1, 1)


def shown(platform: Platform) -> dict[str, tuple[str, str]]:
    """Per table, the run that its status row shows, and its status."""
    return {
        name: (run_id, status)
        for name, run_id, status in platform.sql(
            "select table_name, last_run_id, status from reporting.seeder_job_status"
        )
    }


def message(equipment: Equipment, run_id: str) -> Message:
    run = equipment.history.run(run_id)
    assert run is not None
    return Message(run.run_id, 0, run.report_type, run.manifest_id, run.table_name, None)


def refresh(equipment: Equipment, run_id: str) -> None:
    claim = Claims.of(equipment).claim(message(equipment, run_id))
    claim.refresh()
    claim.succeed()


def refresh_all(equipment: Equipment, seeding: Seeding) -> dict[str, Exception]:
    """What came of those that could not begin."""
    failed: dict[str, Exception] = {}
    for run_id in seeding.run_ids:
        try:
            with soon():
                refresh(equipment, run_id)
        except RecordHeld as error:
            failed[run_id] = error
    return failed


@ON_EACH_VERSION
@pytest.mark.parametrize("held", ROWS)
def test_a_row_that_somebody_holds_delays_its_own_report_only(
    platform: Platform, app: Celery, equipment: Equipment, held: str
) -> None:
    reports(platform)
    before = seed(app, equipment, Selection())
    assert refresh_all(equipment, before) == {}
    with person(platform, ROWS[held]):
        with soon():
            told = seed(app, equipment, Selection())
        own = next(run_id for run_id in told.run_ids if run_id.endswith("custom-1"))
        # Nothing of it is lost: all are recorded, and queued.
        assert {equipment.history.run(run_id).status for run_id in told.run_ids} == {"pending"}
        assert set(told.run_ids) <= on_their_way(app, [REFRESH_QUEUE])
        assert (told.queued, told.held) == (3, {HELD: own} if held == "status" else {})
        # The history's row is that of the run before, which this one isn't about.
        assert set(refresh_all(equipment, told)) == ({own} if held == "status" else set())
        assert shown(platform)["report_2"][1] == shown(platform)["canned_1"][1] == "success"
        with soon():
            prune.prune(equipment)
    if held == "status":
        refresh(equipment, own)
    assert {status for _, status in shown(platform).values()} == {"success"}
    assert {run_id for run_id, _ in shown(platform).values()} == set(told.run_ids)


def test_what_was_queued_meanwhile_shows_once_the_row_is_free(
    platform: Platform, app: Celery, equipment: Equipment
) -> None:
    reports(platform)
    refresh_all(equipment, seed(app, equipment, Selection()))
    with person(platform, ROWS["status"]):
        told = seed(app, equipment, Selection())
        again = seed(app, equipment, Selection(table_name=HELD))
        run = new_run(told.held[HELD], HELD)
        assert equipment.history.show([run]) == [run]
    # Asked for once more: the run that waits does that too.
    assert (again.queued, again.already_queued) == (0, {HELD: told.held[HELD]})
    assert shown(platform)[HELD][1] == "success"
    assert equipment.history.show([run]) == []
    assert shown(platform)[HELD] == (told.held[HELD], "pending")


def test_a_row_that_is_held_for_a_moment_shows_its_run_all_the_same(
    platform: Platform, app: Celery, equipment: Equipment, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports(platform)
    refresh_all(equipment, seed(app, equipment, Selection()))
    holder = person(platform, ROWS["status"])
    holder.__enter__()
    monkeypatch.setattr("seeder.history.held.time.sleep", lambda _: holder.__exit__(None, None, None))
    told = seed(app, equipment, Selection())
    assert told.held == {}
    assert {status for _, status in shown(platform).values()} == {"pending"}
    assert {run_id for run_id, _ in shown(platform).values()} == set(told.run_ids)


def test_a_refused_run_whose_row_is_held_is_begun_by_the_sweep_and_ends_then(
    platform: Platform, app: Celery, equipment: Equipment
) -> None:
    reports(platform)
    refresh_all(equipment, seed(app, equipment, Selection()))
    platform.sql("update reporting.seeder_custom_report_manifest set database_id = 77 where id = 1")
    with person(platform, ROWS["status"]):
        told = seed(app, equipment, Selection())
        (refused,) = told.refused
        assert told.held == {HELD: refused}
        assert equipment.history.run(refused).status == "pending"
        with soon():
            assert sweep_and_requeue(app, equipment, 0.0)["ended"] == 0
        assert refused not in on_their_way(app, [REFRESH_QUEUE])
    assert sweep_and_requeue(app, equipment, 0.0)["requeued"] == 1
    assert refused in on_their_way(app, [REFRESH_QUEUE])


def test_a_refused_run_whose_row_is_free_again_in_time_ends_as_an_error(
    platform: Platform, app: Celery, equipment: Equipment, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports(platform)
    refresh_all(equipment, seed(app, equipment, Selection()))
    platform.sql("update reporting.seeder_custom_report_manifest set database_id = 77 where id = 1")
    holder = person(platform, ROWS["status"])
    holder.__enter__()
    monkeypatch.setattr("seeder.history.held.time.sleep", lambda _: holder.__exit__(None, None, None))
    told = seed(app, equipment, Selection())
    (refused,) = told.refused
    assert told.held == {}
    assert shown(platform)[HELD] == (refused, "error")
    assert platform.status(HELD).consecutive_failures == 1
    assert platform.run(refused).errors == told.refused[refused]


@ON_EACH_VERSION
@pytest.mark.parametrize("held", OF_THE_RECORD)
def test_a_run_whose_row_is_held_waits_and_holds_nothing(
    platform: Platform, app: Celery, equipment: Equipment, held: str
) -> None:
    reports(platform)
    told = seed(app, equipment, Selection())
    own = next(run_id for run_id in told.run_ids if run_id.endswith("custom-1"))
    with person(platform, ROWS[held]):
        assert list(refresh_all(equipment, told)) == [own]
        locks = "select count(*) from pg_locks where locktype = 'advisory'"
        assert platform.value(locks) == 0
        assert equipment.history.run(own).status == "pending"
    refresh(equipment, own)
    assert shown(platform)[HELD] == (own, "success")


@ON_EACH_VERSION
@pytest.mark.parametrize("held", OF_THE_RECORD)
def test_a_sweep_settles_the_others(platform: Platform, app: Celery, equipment: Equipment, held: str) -> None:
    reports(platform)
    told = seed(app, equipment, Selection())
    for run_id in told.run_ids:
        equipment.history.start(run_id, message(equipment, run_id).table_name)
    with person(platform, ROWS[held]), soon():
        assert sweep_and_requeue(app, equipment, 0.0) == {"requeued": 2, "ended": 0}
    assert sweep_and_requeue(app, equipment, 0.0)["requeued"] == 1


def test_a_sweep_does_not_wait_for_each_of_many_rows(
    platform: Platform, app: Celery, equipment: Equipment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seeder.maintenance.lost_runs.WAIT_SECONDS", 0.3)
    for number in range(40):
        platform.custom(number)
    told = seed(app, equipment, Selection())
    for run_id in told.run_ids:
        equipment.history.start(run_id, message(equipment, run_id).table_name)
    with (
        person(
            platform, "select from reporting.seeder_job_status where table_name <> 'report_39' for update"
        ),
        soon(),
    ):
        assert sweep_and_requeue(app, equipment, 0.0) == {"requeued": 1, "ended": 0}


@ON_EACH_VERSION
def test_pruning_leaves_a_held_row_to_the_next_time(platform: Platform, equipment: Equipment) -> None:
    platform.sql("""
        insert into reporting.seeder_run_history
            (run_id, manifest_id, table_name, report_name, agency_id, agency_slug, report_type, status,
             start_time)
        select n || '.custom-' || n, n, 'report_' || n, 'x', 1, 'x', 'custom', 'success',
               now() - interval '1 year'
        from generate_series(1, 3) as n
    """)
    with person(platform, ROWS["history"]), soon():
        assert prune.prune(equipment)["deleted"] == 2
    assert prune.prune(equipment)["deleted"] == 1


@pytest.mark.parametrize("end", ["succeed", "retry"])
@pytest.mark.usefixtures("_impatient")
def test_a_run_whose_end_can_not_be_recorded_lets_others_have_its_slot(
    platform: Platform, app: Celery, end: str
) -> None:
    equipment = Equipment(load_settings(max_per_database=1, lock_timeout="1h"), platform.url)
    reports(platform)
    told = seed(app, equipment, Selection())
    own, other = (next(one for one in told.run_ids if one.endswith(f"custom-{n}")) for n in (1, 2))
    claim = Claims.of(equipment).claim(message(equipment, own))
    claim.refresh()
    finish = {"succeed": claim.succeed, "retry": lambda: claim.retry("Try 1 failed")}[end]
    with ThreadPoolExecutor(1) as worker:
        with person(platform, ROWS["status"]), soon():
            done = worker.submit(finish)
            slots = "select count(*) from pg_locks where locktype = 'advisory' and objsubid = 2"
            while platform.value(slots):
                time.sleep(0.02)
            refresh(equipment, other)
            assert not done.done()
        done.result(timeout=30)
    assert equipment.history.run(own).status == {"succeed": "success", "retry": "pending"}[end]
    equipment.databases.dispose()


@contextmanager
def referring(platform: Platform, table: str) -> Iterator[None]:
    """A foreign key of the schema's owners."""
    platform.sql(
        f"alter table reporting.{table} add constraint of_manifest foreign key (manifest_id)"
        " references reporting.seeder_custom_report_manifest (id) not valid"
    )
    try:
        yield
    finally:
        platform.sql(f"alter table reporting.{table} drop constraint of_manifest")


@ON_EACH_VERSION
@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("table", ["seeder_run_history", "seeder_job_status"])
def test_a_run_that_refers_to_a_held_row_is_recorded_by_the_sweep_once_it_is_free(
    platform: Platform, app: Celery, equipment: Equipment, table: str
) -> None:
    platform.custom(1)
    platform.custom(2)
    with referring(platform, table):
        with person(platform, ROWS["custom manifest"]):
            with soon():
                told = seed(app, equipment, Selection())
            assert (told.queued, told.locked) == (1, {"custom-1"})
            assert "the sweep tries again each minute" in next(iter(told.not_recorded.values()))
            assert 'relation "seeder_custom_report_manifest"' in next(iter(told.not_recorded.values()))
            with soon():
                sweep_and_requeue(app, equipment, 0.0)
            assert set(shown(platform)) == {"report_2"}
            assert refresh_all(equipment, told) == {}
        sweep_and_requeue(app, equipment, 0.0)
        run_id, status = shown(platform)[HELD]
        assert status == "pending"
        assert run_id in on_their_way(app, [REFRESH_QUEUE])
        refresh(equipment, run_id)
        # It was asked for, and no more than once.
        sweep_and_requeue(app, equipment, 0.0)
        assert shown(platform)[HELD] == (run_id, "success")


@pytest.mark.usefixtures("_impatient")
def test_many_runs_that_refer_to_held_rows_keep_the_others_for_seconds_only(
    platform: Platform, app: Celery, equipment: Equipment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inserting, "WAIT_SECONDS", 0.5)
    for number in range(1, 65):
        platform.custom(number)
    held = "select from reporting.seeder_custom_report_manifest where id < 50 for update"
    with referring(platform, "seeder_run_history"), person(platform, held), soon():
        told = seed(app, equipment, Selection())
    assert (told.queued, len(told.locked)) == (15, 49)


# --- more than a row --------------------------------------------------------------------------------------

LOCK_QUEUEING = "select pg_advisory_xact_lock(hashtextextended('seeder queueing reporting', 0))"


@ON_EACH_VERSION
@pytest.mark.usefixtures("_impatient")
def test_a_fan_out_goes_on_without_the_lock_that_an_idle_transaction_keeps(
    platform: Platform, app: Celery, equipment: Equipment
) -> None:
    reports(platform)
    platform.custom(3, database_id=77)
    with person(platform, LOCK_QUEUEING), soon():
        told = seed(app, equipment, Selection())
    assert (told.queued, len(told.refused), told.not_recorded) == (3, 1, {})
    assert set(told.run_ids) == on_their_way(app, [REFRESH_QUEUE])


TABLES = {
    f"{mode} on {table}": f"lock table reporting.{table} in {mode} mode"
    for mode, table in (
        ("share", "seeder_job_status"),
        ("share", "seeder_run_history"),
        ("access exclusive", "seeder_run_history"),
    )
}

WISHES: dict[str, Callable[[Celery, Equipment, Run], object]] = {
    "fan-out": lambda app, equipment, _: seed(app, equipment, Selection()),
    "scheduled": lambda app, equipment, _: seed(app, equipment, Selection(), scheduled=True),
    "run": lambda _, equipment, run: refresh(equipment, run.run_id),
    "sweep": lambda app, equipment, _: sweep_and_requeue(app, equipment, 0.0),
    "prune": lambda _, equipment, __: prune.prune(equipment),
    "cancel": lambda _, equipment, run: Cancellation.of(equipment).cancel_named(run.run_id, "somebody"),
}


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("lock", TABLES.values(), ids=TABLES)
@pytest.mark.parametrize("wish", WISHES)
def test_a_table_that_is_locked_is_waited_for_within_a_limit_and_can_be_tried_again(
    platform: Platform, app: Celery, equipment: Equipment, lock: str, wish: str
) -> None:
    reports(platform)
    told = seed(app, equipment, Selection())
    run = equipment.history.run(told.run_ids[0])
    assert run is not None
    # As the tasks know it, which are tried again.
    in_vain = suppress(psycopg2.OperationalError, RecordHeld)
    with person(platform, lock), soon(), in_vain:
        WISHES[wish](app, equipment, run)
    WISHES[wish](app, equipment, run)
