"""What is wrong is found: each violation is planted once, in a place where else everything is right."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import psycopg2
import pytest
from redis import Redis

from chaos import auditing
from chaos.__main__ import main, told
from chaos.auditing import Violation
from chaos.faults import Kind
from chaos.place import Place, connect, place
from chaos.reports import Report
from chaos.timeline import timeline
from chaos.trial import Verdict

REPORTS = [Report(1), Report(2, fails=True)]
SEEDING = "20261125T0000Z"
RIGHT, FAILED = f"{SEEDING}.custom-1", f"{SEEDING}.custom-2"

RECORD = """
insert into reporting.seeder_run_history
    (run_id, manifest_id, table_name, report_name, agency_id, agency_slug, report_type, status,
     consecutive_failures, errors)
values (%s, 1, %s, 'A report', 1, 'agency', 'custom', %s, %s, %s)
"""
SHOW = """
insert into reporting.seeder_job_status
    (table_name, manifest_id, report_name, report_type, agency_id, agency_slug, status, consecutive_failures,
     last_run_id)
values (%s, 1, 'A report', 'custom', 1, 'agency', %s, %s, %s)
"""


@pytest.fixture(scope="module")
def whole_place() -> Iterator[Place]:
    with place() as made:
        made.put_in(REPORTS)
        yield made


@pytest.fixture
def here(whole_place: Place) -> Iterator[Place]:
    """Two reports, each with one run; nothing is wrong. There are no workers."""
    whole_place.sql(f"create materialized view reporting.report_1 as {REPORTS[0].query(0)}")
    record(whole_place, RIGHT, "success", 0)
    record(whole_place, FAILED, "error", 1)
    yield whole_place
    whole_place.workers.clear()
    whole_place.sql("drop materialized view if exists reporting.report_1, reporting.report_2")
    whole_place.sql("truncate reporting.seeder_run_history, reporting.seeder_job_status, public.events")
    whole_place.sql("delete from public.facts where id > 60")


def record(here: Place, run_id: str, status: str, failures: int) -> None:
    table_name = f"report_{run_id.rpartition('-')[2]}"
    errors = "division by zero" if status == "error" else None
    here.sql(RECORD, run_id, table_name, status, failures, errors)
    here.sql("delete from reporting.seeder_job_status where table_name = %s", table_name)
    here.sql(SHOW, table_name, status, failures, run_id)


def session_of(here: Place, run_id: str) -> Any:
    return closing(connect(here.postgres.url, f"seeder {run_id} 1"))


def violations(here: Place) -> list[Violation]:
    """Of all promises but that of the workers, of which there are none, and that of overlaps, of which the
    server's log tells for good."""
    return [
        *auditing.every_run_ended_once(here),
        *auditing.failures_are_counted(here),
        *auditing.no_run_met_a_bug(here),
        *auditing.calm_seedings_succeeded(here, REPORTS, [SEEDING]),
        *auditing.matviews_are_right(here, REPORTS),
        *auditing.nothing_is_left(here),
    ]


def test_where_all_is_right_nothing_is_found(here: Place) -> None:
    assert violations(here) == []
    assert list(auditing.no_connection_outlives_its_program(here)) == []


def test_a_running_and_a_pending_row_are_found(here: Place) -> None:
    record(here, "later.custom-1", "running", 0)
    record(here, "later.custom-2", "pending", 1)
    assert [(one.what, one.run_id) for one in violations(here)] == [
        ("later.custom-1 is running", "later.custom-1"),
        ("later.custom-2 is pending", "later.custom-2"),
    ]


def test_a_run_that_moved_after_its_end_is_found(here: Place) -> None:
    move = "update reporting.seeder_run_history set status = %s where run_id = %s"
    here.sql(move, "running", RIGHT)
    here.sql(move, "success", RIGHT)
    (found,) = violations(here)
    assert (found.what, found.run_id) == (f"{RIGHT} was success, then running", RIGHT)


@pytest.mark.parametrize(
    ("number", "statement"),
    [
        (1, "select public.witness(1, 0, 0, 'P0001')"),
        (1, "refresh materialized view reporting.report_1"),
        (3, f'create materialized view reporting."seeder:copy:03" as {Report(3).query(0)}'),
    ],
    ids=["the query", "a refresh", "another matview of the same query"],
)
def test_an_overlap_is_found_and_whose_it_was(here: Place, number: int, statement: str) -> None:
    before = list(auditing.no_refreshes_overlapped(here))
    with session_of(here, RIGHT) as first, session_of(here, "later.custom-1") as second:
        first.autocommit = False
        first.cursor().execute(statement)
        with pytest.raises(psycopg2.errors.RaiseException, match=f"refreshed twice at once: report {number}"):
            second.cursor().execute(statement)
        first.rollback()
        # One after the other is no overlap.
        second.cursor().execute(statement)
        here.sql('drop materialized view if exists reporting."seeder:copy:03"')
    (found,) = [one for one in auditing.no_refreshes_overlapped(here) if one not in before]
    assert found.run_id == "later.custom-1"


@pytest.mark.parametrize("counted", [0, 1, 3])
def test_a_wrong_count_in_the_history_is_found(here: Place, counted: int) -> None:
    record(here, "later.custom-2", "error", counted)
    here.sql("update reporting.seeder_job_status set consecutive_failures = 2 where table_name = 'report_2'")
    (found,) = violations(here)
    assert (found.what, found.run_id) == (
        f"later.custom-2 ended with {counted} instead of 2",
        "later.custom-2",
    )


def test_a_wrong_count_in_the_status_is_found(here: Place) -> None:
    here.sql("update reporting.seeder_job_status set consecutive_failures = 1 where table_name = 'report_1'")
    (found,) = violations(here)
    assert (found.what, found.run_id) == ("report_1 shows 1 instead of 0", RIGHT)


def test_a_success_that_was_not_counted_is_found(here: Place) -> None:
    record(here, "later.custom-2", "success", 1)
    (found, shown) = violations(here)
    assert found.what == "later.custom-2 ended with 1 instead of 0"
    assert shown.what == "report_2 shows 1 instead of 0"


def test_a_stale_content_is_found(here: Place) -> None:
    here.sql("insert into public.facts values (61, 1), (62, 1)")
    (found,) = violations(here)
    assert (found.what, found.run_id) == ("report_1 lacks 2 rows and has 0 others", RIGHT)
    here.sql("refresh materialized view reporting.report_1")
    here.sql("delete from public.facts where id = 62")
    (found,) = violations(here)
    assert found.what == "report_1 lacks 0 rows and has 1 others"


def test_a_matview_of_another_query_is_found(here: Place) -> None:
    here.sql("drop materialized view reporting.report_1")
    here.sql(f"create materialized view reporting.report_1 as {REPORTS[0].query(1)}")
    (found,) = violations(here)
    assert found.what == "report_1 lacks 60 rows and has 60 others"
    here.sql("drop materialized view reporting.report_1")
    here.sql("create materialized view reporting.report_1 as select 1 as id")
    (found,) = violations(here)
    assert found.what.startswith("report_1 can't be compared: each EXCEPT query must have the same number")


def test_a_matview_that_is_missing_or_should_be_is_found(here: Place) -> None:
    here.sql("alter materialized view reporting.report_1 rename to report_2")
    assert {one.what for one in violations(here)} == {
        "report_1 doesn't exist",
        "report_2 exists though it always failed",
    }


def test_a_calm_run_that_failed_is_found(here: Place) -> None:
    later = "20261125T0100Z-calm"
    record(here, f"{later}.custom-1", "error", 1)
    record(here, f"{later}.custom-2", "error", 2)
    found = auditing.calm_seedings_succeeded(here, REPORTS, [SEEDING, later])
    assert [one.what for one in found] == [f"{later}.custom-1 of report_1 is error: division by zero"]


def test_what_seeder_takes_for_a_bug_of_its_own_is_found_in_a_try_too(here: Place) -> None:
    words = "KeyError: 'x'. This is a bug in seeder; the worker's log has the details."
    move = "update reporting.seeder_run_history set status = %s, errors = %s where run_id = 'later.custom-1'"
    record(here, "later.custom-1", "running", 0)
    here.sql(move, "pending", f"Try 1 failed; it is tried again.\n{words}")
    here.sql(move, "success", None)
    (found,) = violations(here)
    assert found.run_id == "later.custom-1"
    assert found.what.endswith(words)


def lock(session: Any) -> None:
    session.cursor().execute("select pg_advisory_lock(42)")
    session.cursor().execute("set application_name to seeder")


def transaction(session: Any) -> None:
    session.autocommit = False
    session.cursor().execute("select 1")


def temporary_table(session: Any) -> None:
    session.cursor().execute("create temporary table left_over (id integer)")
    session.cursor().execute("set application_name to seeder")


@pytest.mark.parametrize(
    ("leave", "words"),
    [
        (lock, ["an advisory lock (0, 42) of seeder"]),
        (transaction, [f"a session of seeder {RIGHT} 1"]),
        (temporary_table, ["pg_temp_"]),
    ],
    ids=["lock", "transaction", "temporary table"],
)
def test_what_a_session_leaves_is_found_and_the_session_too(
    here: Place, leave: Callable[[Any], None], words: list[str]
) -> None:
    # Without workers one session is the harness' own.
    with session_of(here, RIGHT) as session:
        leave(session)
        found = violations(here)
        assert len(found) == len(words)
        for one, beginning in zip(found, words, strict=True):
            assert one.what.startswith(beginning)
        assert len(list(auditing.no_connection_outlives_its_program(here))) == 1


def test_too_many_connections_are_found(here: Place) -> None:
    with closing(connect(here.postgres.url, "seeder")), closing(connect(here.postgres.url, "seeder")):
        (found,) = violations(here)
        assert found.what == "2 connections, though 1 are enough"


def test_a_copy_that_was_not_exchanged_is_found(here: Place) -> None:
    here.sql('create materialized view reporting."seeder:copy:00" as select 1 as one')
    (found,) = violations(here)
    assert found.what == "reporting.seeder:copy:00 in the catalogue"
    here.sql('drop materialized view reporting."seeder:copy:00"')


@pytest.mark.parametrize("key", ["seeder.refresh", "unacked", "seeder.deferred.messages"])
def test_what_is_left_in_redis_is_found(here: Place, key: str) -> None:
    with Redis.from_url(here.redis.url) as client:
        client.hset(key, "run", "message")
        client.sadd("_kombu.binding.seeder.refresh", "a queue")
        client.set("a mark", 1, ex=600)
        (found,) = violations(here)
        assert found.what == f"hash {key} in Redis"
        client.flushall()


def test_a_worker_that_consumes_no_more_is_found(here: Place) -> None:
    here.workers += [
        SimpleNamespace(name="busy", said=lambda: f"Task seeder.refresh_manifest[{RIGHT}] received"),
        SimpleNamespace(name="idle", said=lambda: "Task seeder.refresh_manifest[another.custom-1] received"),
    ]
    (found,) = auditing.all_workers_consume(here, [SEEDING])
    assert found.what.startswith(f"idle took no run of {SEEDING}; its log ends with:\n    Task ")


def test_a_violation_is_told_with_its_seed_and_the_timeline_of_its_run(here: Place) -> None:
    record(here, "later.custom-2", "error", 7)
    (found, shown) = violations(here)
    log = here.folder / "threads.log"
    log.write_text(
        f"[{datetime.now(UTC):%Y-%m-%d %H:%M:%S},123: INFO/MainProcess] Task [{found.run_id}] received\n"
    )
    here.workers.append(SimpleNamespace(name="threads", log=log))
    lines = timeline(here, found.run_id or "", [(datetime.now(UTC), Kind.REDIS, "away for 1 s")])
    assert [line for line in lines if f"{FAILED} → error (1 failures" in line]
    assert [line for line in lines if "later.custom-2 → error (7 failures" in line and "division" in line]
    assert [line for line in lines if line.endswith(f"FAULT {Kind.REDIS}: away for 1 s")]
    assert [line for line in lines if line.endswith(f"Task [{found.run_id}] received")]

    verdict = Verdict({Kind.REDIS: 1}, violations=[found, shown], timelines={"later.custom-2": lines})
    words = told(verdict, seed=4711, minutes=1)
    assert (
        "VIOLATION of “consecutive_failures is what the history says”: later.custom-2 ended with 7" in words
    )
    assert "The timeline of later.custom-2:\n" in words
    assert words.endswith("2 violations. The same faults again: make chaos SEED=4711 MINUTES=1")


def test_a_seed_that_is_no_number_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--seed", "seven"])
    assert ended.value.code == 2
    assert "invalid int value: 'seven'" in capsys.readouterr().err
