"""What each transition writes, and what none of them may ever do."""

import contextlib
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import psycopg2
import pytest
from support.contract import Platform, as_it_is, new_run, platform_on
from support.emptied import fresh_database

from seeder.errors import SchemaIncomplete
from seeder.history import Figures, Recorded, Refusal, Seen
from seeder.postgres.session import Session

FIGURES = Figures(records=12, total_bytes=8192, memory_mb=30, cpu_percentage=80)

#: Everything that can be reported of a run.
MOVES: dict[str, Callable[[Platform, Seen], Any]] = {
    "queue": lambda platform, seen: platform.history.queue([new_run(seen.run_id)]),
    "refuse": lambda platform, seen: platform.history.refuse([Refusal(new_run(seen.run_id), "no")]),
    "start": lambda platform, seen: platform.history.start(seen.run_id, "sales"),
    "retry": lambda platform, seen: platform.history.retry(seen, "lost the connection"),
    "succeed": lambda platform, seen: platform.history.succeed(seen, FIGURES),
    "fail": lambda platform, seen: platform.history.fail(seen, "division by zero"),
}


def after(platform: Platform, *moves: str, run_id: str = "n1.custom-1") -> tuple[Any, Any]:
    """The history row and the status row once these moves were reported."""
    for move in moves:
        MOVES[move](platform, as_it_is(platform.history, run_id))
    return platform.run(run_id), platform.status("sales")


def statuses(platform: Platform, seeding_id: str) -> dict[str, str]:
    """The seeding's runs, each with its status."""
    found = platform.sql("select run_id, status from reporting.seeder_run_history")
    return {run_id: status for run_id, status in found if run_id.startswith(f"{seeding_id}.")}


def test_queued_is_pending_with_all_that_the_contract_asks_for(platform: Platform) -> None:
    run, status = after(platform, "queue")
    assert (run.status, run.manifest_id, run.report_name, run.agency_id) == ("pending", 1, "Sales", 7)
    assert (run.agency_slug, run.report_type, run.table_name) == ("ua", "custom", "sales")
    assert (run.finish_time, run.duration_seconds, run.errors) == (None, None, None)
    assert (status.status, status.last_run_id, status.start_time) == ("pending", run.run_id, run.start_time)
    assert (status.manifest_id, status.report_type, status.agency_slug) == (1, "custom", "ua")


def test_started_is_running_since_then(platform: Platform) -> None:
    queued, _ = after(platform, "queue")
    run, status = after(platform, "start")
    assert (run.status, run.finish_time) == ("running", None)
    assert run.start_time > queued.start_time
    assert (status.status, status.start_time) == ("running", run.start_time)


def test_success_has_its_figures_and_a_whole_second_at_least(platform: Platform) -> None:
    run, status = after(platform, "queue", "start", "succeed")
    assert (run.status, run.records_processed, run.bytes_processed) == ("success", 12, 8192)
    assert (run.memory_usage_mb, run.cpu_percentage, run.duration_seconds) == (30, 80, 1)
    assert run.finish_time > run.start_time
    assert (status.status, status.duration_seconds, status.consecutive_failures) == ("success", 1, 0)


def test_figures_that_are_unknown_are_null_not_zero(platform: Platform) -> None:
    after(platform, "queue", "start")
    platform.history.succeed(
        as_it_is(platform.history, "n1.custom-1"), Figures(records=None, total_bytes=None)
    )
    run = platform.run("n1.custom-1")
    assert (run.records_processed, run.bytes_processed) == (None, None)
    assert (run.memory_usage_mb, run.cpu_percentage) == (None, None)


def test_an_error_has_its_reason_in_both_tables(platform: Platform) -> None:
    run, status = after(platform, "queue", "start", "fail")
    assert (run.status, run.errors, run.consecutive_failures) == ("error", "division by zero", 1)
    assert run.finish_time > run.start_time
    assert (status.status, status.last_errors, status.consecutive_failures) == (
        "error",
        "division by zero",
        1,
    )


def test_a_run_can_fail_before_it_starts(platform: Platform) -> None:
    run, status = after(platform, "queue", "fail")
    assert (run.status, status.status, status.consecutive_failures) == ("error", "error", 1)


def test_a_retry_is_pending_again_and_keeps_what_failed(platform: Platform) -> None:
    run, status = after(platform, "queue", "start", "retry")
    assert (run.status, run.errors, run.finish_time) == ("pending", "lost the connection", None)
    assert (status.status, status.last_errors, status.consecutive_failures) == (
        "pending",
        "lost the connection",
        0,
    )
    run, status = after(platform, "start")
    assert (run.errors, status.last_errors) == ("lost the connection", "lost the connection")


def test_success_clears_the_last_errors(platform: Platform) -> None:
    run, status = after(platform, "queue", "start", "retry", "start", "succeed")
    assert (run.errors, status.last_errors) == (None, None)


def test_a_note_of_a_success_is_no_error(platform: Platform) -> None:
    after(platform, "queue", "start", "retry", "start")
    platform.history.succeed(as_it_is(platform.history, "n1.custom-1"), FIGURES, note="Refreshed plain.")
    run = platform.run("n1.custom-1")
    assert (run.note, run.errors, platform.status("sales").last_errors) == ("Refreshed plain.", None, None)


def test_the_next_run_shows_the_last_error_until_one_succeeds(platform: Platform) -> None:
    after(platform, "queue", "start", "fail")
    for moves, shown in (
        (["queue"], "division by zero"),
        (["start"], "division by zero"),
        (["succeed"], None),
    ):
        _, status = after(platform, *moves, run_id="n2.custom-1")
        assert (status.last_run_id, status.last_errors) == ("n2.custom-1", shown)


def test_a_run_that_never_began_took_no_time_however_long_it_waited(platform: Platform) -> None:
    after(platform, "queue")
    platform.sql("""
        update reporting.seeder_run_history
        set start_time = start_time - interval '17 s', created_at = created_at - interval '17 s'
    """)
    run, status = after(platform, "fail")
    assert (run.duration_seconds, status.duration_seconds) == (0, 0)


def test_a_run_that_ends_while_it_waits_for_its_next_try_took_as_long_as_the_last(platform: Platform) -> None:
    after(platform, "queue", "start", "retry")
    platform.sql("""
        update reporting.seeder_run_history
        set created_at = created_at - interval '60 s', start_time = updated_at - interval '42 s',
            updated_at = updated_at - interval '30 s'
    """)
    run, _ = after(platform, "fail")
    assert run.duration_seconds == 12


@pytest.mark.parametrize(
    "moves", [("queue",), ("queue", "start"), ("queue", "start", "fail"), ("queue", "fail"), ("refuse",)]
)
def test_a_run_that_has_not_succeeded_says_nothing_of_rows_and_bytes(
    platform: Platform, moves: tuple[str, ...]
) -> None:
    run, _ = after(platform, *moves)
    assert (run.records_processed, run.bytes_processed) == (None, None)


def test_the_duration_shown_is_the_last_runs_until_this_one_has_ended(platform: Platform) -> None:
    after(platform, "queue", "start", "succeed")
    platform.sql("update reporting.seeder_job_status set duration_seconds = 77")
    for move in ("queue", "start", "retry", "start"):
        assert after(platform, move, run_id="n2.custom-1")[1].duration_seconds == 77
    assert after(platform, "succeed", run_id="n2.custom-1")[1].duration_seconds == 1


@pytest.mark.parametrize("again", MOVES)
@pytest.mark.parametrize("end", ["succeed", "fail", "refuse"])
def test_a_terminal_row_never_changes_again(platform: Platform, end: str, again: str) -> None:
    after(platform, *([] if end == "refuse" else ["queue", "start"]))
    seen = as_it_is(platform.history, "n1.custom-1")
    before = after(platform, end)
    MOVES[again](platform, seen)
    assert after(platform) == before


@pytest.mark.parametrize(
    ("moves", "again"),
    [
        (["queue"], "queue"),
        (["queue"], "refuse"),
        (["queue", "start"], "queue"),
        (["queue", "start"], "refuse"),
        (["queue", "start", "retry"], "queue"),
    ],
)
def test_a_run_recorded_twice_stays_what_it_is(platform: Platform, moves: list[str], again: str) -> None:
    before = after(platform, *moves)
    assert after(platform, again) == before
    assert platform.value("select count(*) from reporting.seeder_run_history") == 1


@pytest.mark.parametrize("move", ["start", "retry", "succeed", "fail"])
def test_what_was_never_recorded_can_not_move(platform: Platform, move: str) -> None:
    assert after(platform, move) == (None, None)


def test_start_tells_the_run_as_it_is_now(platform: Platform) -> None:
    start = platform.history.start
    assert start("n1.custom-1", "sales") is None
    after(platform, "queue")
    first, second = start("n1.custom-1", "sales"), start("n1.custom-1", "sales")
    assert first is not None
    assert second == as_it_is(platform.history, "n1.custom-1")
    assert (first.status, second.status) == ("running", "running")
    assert first.start_time < second.start_time
    after(platform, "fail")
    assert start("n1.custom-1", "sales") == replace(second, status="error")


def test_failures_add_up_over_runs_and_end_with_a_success(platform: Platform) -> None:
    counts = []
    failed = ("queue", "start", "fail")
    again = ("queue", "start", "retry", "start", "fail")
    succeeded = ("queue", "start", "succeed")
    for night, moves in enumerate([failed, failed, again, ["refuse"], succeeded, failed]):
        run, status = after(platform, *moves, run_id=f"n{night}.custom-1")
        assert run.consecutive_failures == status.consecutive_failures
        counts.append(run.consecutive_failures)
    assert counts == [1, 2, 3, 4, 0, 1]


def at_once(count: int, work: Callable[[], None]) -> None:
    """The work in as many threads, begun together; the first exception is raised."""
    barrier = threading.Barrier(count)
    failed: list[BaseException] = []

    def begin() -> None:
        try:
            barrier.wait(timeout=30)
            work()
        except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
            failed.append(error)

    threads = [threading.Thread(target=begin) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()
    if failed:
        raise failed[0]


def test_a_failure_reported_by_many_at_once_counts_once(platform: Platform) -> None:
    after(platform, "queue", "start")
    seen = as_it_is(platform.history, "n1.custom-1")
    at_once(8, lambda: platform.history.fail(seen, "division by zero"))
    assert after(platform)[0].consecutive_failures == 1
    assert after(platform)[1].consecutive_failures == 1


def test_two_runs_of_a_table_that_end_at_the_same_time_are_both_counted(platform: Platform) -> None:
    for attempt in range(10):
        ids = [f"n{attempt}.custom-1", f"n{attempt}x.custom-1"]
        for run_id in ids:
            after(platform, "queue", "start", run_id=run_id)
        waiting = list(ids)
        at_once(2, lambda: platform.history.fail(as_it_is(platform.history, waiting.pop()), "no"))  # noqa: B023 - ends within the loop
        assert platform.status("sales").last_run_id in ids
        assert platform.status("sales").consecutive_failures == 2 * (attempt + 1)


def test_a_run_that_a_newer_one_has_overtaken_counts_but_does_not_show(platform: Platform) -> None:
    after(platform, "queue", "start", run_id="old.custom-1")
    after(platform, "queue", "start", "succeed", run_id="new.custom-1")
    run, status = after(platform, "fail", run_id="old.custom-1")
    assert (run.status, run.consecutive_failures) == ("error", 1)
    assert (status.status, status.last_run_id, status.last_errors) == ("success", "new.custom-1", None)
    assert status.consecutive_failures == 1


def test_queueing_again_after_a_crash_half_way_adds_only_what_is_missing(platform: Platform) -> None:
    runs = [new_run(f"n1.custom-{n}", f"table_{n}", manifest_id=n) for n in range(4)]
    assert platform.history.queue(runs[:2]).refused == []
    platform.history.start("n1.custom-0", "table_0")
    assert platform.history.queue(runs) == Recorded([], {})
    assert statuses(platform, "n1") == {
        "n1.custom-0": "running",
        "n1.custom-1": "pending",
        "n1.custom-2": "pending",
        "n1.custom-3": "pending",
    }


def test_nothing_to_queue_or_to_refuse_is_nothing(platform: Platform) -> None:
    assert (platform.history.queue([]), platform.history.refuse([])) == (Recorded([], {}), [])


def test_many_manifests_of_one_refused_table_are_all_recorded(platform: Platform) -> None:
    refusals = [Refusal(new_run(f"n1.custom-{n}", manifest_id=n), "no", shown=n == 1) for n in (1, 2, 3)]
    assert platform.history.refuse(refusals) == []
    assert statuses(platform, "n1").keys() == {one.run.run_id for one in refusals}
    assert platform.status("sales").last_run_id == "n1.custom-1"


def test_a_refusal_of_a_shared_table_leaves_the_owners_status_alone(platform: Platform) -> None:
    _, before = after(platform, "queue", "start", "succeed")
    for night in (1, 2, 3):
        other = new_run(f"n{night}.canned-9", report_type="canned", manifest_id=9)
        platform.history.refuse([Refusal(other, "It belongs to custom-1.", shown=False)])
        # The failures are its own, whatever the owner's are.
        assert platform.run(f"n{night}.canned-9").consecutive_failures == night
    assert platform.status("sales") == before


OBJECTIONS = {
    "a foreign key on agency_id": (
        """create table public.agency (id int primary key); insert into public.agency values (7);
           alter table reporting.seeder_run_history
               add constraint objection foreign key (agency_id) references public.agency""",
        {"agency_id": 404},
    ),
    "a check": (
        "alter table reporting.seeder_run_history add constraint objection check (agency_slug <> 'zz')",
        {"agency_slug": "zz"},
    ),
    "a column that is shorter": (
        "alter table reporting.seeder_run_history alter column report_name type varchar(20)",
        {"report_name": "The name of a report that nobody wants to read"},
    ),
}


@pytest.mark.parametrize(("ddl", "bad"), OBJECTIONS.values(), ids=OBJECTIONS)
def test_a_constraint_of_the_owners_refuses_only_its_rows(
    postgres_url: str, ddl: str, bad: dict[str, Any]
) -> None:
    with fresh_database(postgres_url) as url, platform_on(url) as platform:
        platform.sql(ddl)
        runs = [
            new_run(f"n1.custom-{n}", f"t{n}", manifest_id=n, **(bad if n in (3, 11) else {}))
            for n in range(17)
        ]
        refused = platform.history.queue(runs).refused
        assert [one.run.run_id for one in refused] == ["n1.custom-3", "n1.custom-11"]
        assert all("\n" not in one.reason and one.reason and not one.passing for one in refused)
        assert len(statuses(platform, "n1")) == 15
        assert platform.status("t3") is None
        refused = platform.history.refuse([Refusal(run, "no") for run in runs[3:5]])
        assert [one.run.run_id for one in refused] == ["n1.custom-3"]


def test_fan_outs_in_opposite_order_do_not_deadlock(platform: Platform) -> None:
    names = [f"table_{n:03}" for n in range(60)]
    numbers = iter(range(100))

    def fan_out() -> None:
        number = next(numbers)
        for turn in range(4):
            runs = [
                # Of a manifest of its own, since of one manifest only one run would be queued.
                new_run(f"n{number}.{turn}.custom-{n}", name, manifest_id=10 * number + turn)
                for n, name in enumerate(names)
            ]
            backwards = (number + turn) % 2
            assert platform.history.queue(runs[::-1] if backwards else runs) == Recorded([], {})

    at_once(4, fan_out)
    assert platform.value("select count(*) from reporting.seeder_run_history") == 4 * 4 * 60


def test_the_same_fan_out_by_several_at_once_makes_each_run_once(platform: Platform) -> None:
    for night in range(5):
        runs = [
            new_run(f"n{night}.custom-{n}", f"night_{night}_table_{n % 30}", manifest_id=n) for n in range(30)
        ]
        others = [
            Refusal(new_run(f"n{night}.canned-{n}", f"night_{night}_table_{n % 3}"), "no", shown=False)
            for n in range(40)
        ]

        def fan_out() -> None:
            platform.history.queue(runs)  # noqa: B023 - ends within the loop
            platform.history.refuse(others)  # noqa: B023 - ends within the loop

        at_once(4, fan_out)
        assert len(statuses(platform, f"n{night}")) == 70


class CountingSession(Session):
    """Each verb of a session is one round trip."""

    sent = 0

    def row(self, sql: str, **values: Any) -> Any:
        CountingSession.sent += 1
        return super().row(sql, **values)

    def rows(self, sql: str, **values: Any) -> list[Any]:
        CountingSession.sent += 1
        return super().rows(sql, **values)

    def run(self, sql: str, **values: Any) -> int:
        CountingSession.sent += 1
        return super().run(sql, **values)


@pytest.mark.parametrize("move", MOVES)
def test_each_transition_is_one_round_trip(
    platform: Platform, move: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    after(platform, *{"queue": [], "refuse": [], "start": ["queue"]}.get(move, ["queue", "start"]))
    seen = as_it_is(platform.history, "n1.custom-1")
    monkeypatch.setattr("seeder.postgres.databases.Session", CountingSession)
    monkeypatch.setattr(CountingSession, "sent", 0)
    MOVES[move](platform, seen)
    # A fan-out takes its locks one by one: who waits for one must not hold the others' rows.
    assert CountingSession.sent == (3 if move in ("queue", "refuse") else 1)


@pytest.mark.parametrize("move", MOVES)
def test_a_transition_is_in_both_tables_or_in_neither(platform: Platform, move: str) -> None:
    before = after(platform, *{"queue": [], "refuse": [], "start": ["queue"]}.get(move, ["queue", "start"]))
    platform.sql("""
        alter table reporting.seeder_job_status add constraint objection
        check (table_name <> 'sales') not valid
    """)
    try:
        with contextlib.suppress(psycopg2.IntegrityError):
            MOVES[move](platform, as_it_is(platform.history, "n1.custom-1"))
        assert after(platform) == before
    finally:
        platform.sql("alter table reporting.seeder_job_status drop constraint objection")


def test_missing_tables_are_told_as_such(postgres_url: str, database_url: str) -> None:
    platform = Platform(database_url)
    for move in MOVES.values():
        with pytest.raises(
            SchemaIncomplete, match=r'lacks (relation "reporting\.seeder_|schema "reporting")'
        ):
            move(platform, Seen("n1.custom-1", "sales", "running", datetime.now(UTC)))
    platform.databases.dispose()
