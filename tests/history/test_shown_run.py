"""Which of a table's runs its status row shows, and how cancelled ones are told from those that failed."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.contract import Platform, as_it_is, new_run

from seeder.errors import UpstreamFailed
from seeder.history import Figures, Refusal, standing
from seeder.history.standing import STANDING, as_cancelled, has_failed, is_about_cancel, standing_of
from seeder.models import RunStatus

A, B = "a.custom-1", "b.custom-1"


def shown(platform: Platform) -> tuple[str, str]:
    row = platform.status("sales")
    return row.last_run_id, row.status


def at_work_and_queued(platform: Platform) -> None:
    platform.history.queue([new_run(A)])
    platform.history.start(A, "sales")
    platform.history.queue([new_run(B)])


def test_who_is_at_work_is_shown_whatever_becomes_of_who_waits(platform: Platform) -> None:
    at_work_and_queued(platform)
    assert shown(platform) == (A, "running")
    platform.history.cancel(as_it_is(platform.history, B), "anna before it started.")
    assert shown(platform) == (A, "running")
    platform.history.succeed(as_it_is(platform.history, A), Figures(1, 8192))
    assert shown(platform) == (A, "success")
    assert platform.status("sales").last_errors is None


@pytest.mark.parametrize("end", ["success", "error", "cancelled"])
def test_who_waits_is_shown_once_who_was_at_work_has_ended(platform: Platform, end: str) -> None:
    at_work_and_queued(platform)
    platform.sql("update reporting.seeder_run_history set start_time = start_time - interval '40 s'")
    if end == "success":
        platform.history.succeed(as_it_is(platform.history, A), Figures(1, 8192))
    elif end == "error":
        platform.history.fail(as_it_is(platform.history, A), "division by zero")
    else:
        platform.history.cancel(as_it_is(platform.history, A), "anna in the middle of the run.")
    row = platform.status("sales")
    assert shown(platform) == (B, "pending")
    assert row.start_time == platform.run(B).start_time
    assert row.consecutive_failures == (end != "success")
    assert row.last_errors == platform.run(A).errors
    if end == "success":
        assert row.duration_seconds == 41


def test_a_try_that_failed_shows_who_is_at_work_and_not_who_waits(platform: Platform) -> None:
    at_work_and_queued(platform)
    platform.history.retry(as_it_is(platform.history, A), "lost the connection")
    assert shown(platform) == (A, "pending")
    platform.history.start(B, "sales")
    assert shown(platform) == (B, "running")
    platform.history.retry(as_it_is(platform.history, A), "lost the connection again")
    assert shown(platform) == (B, "running")
    platform.history.succeed(as_it_is(platform.history, B), Figures(1, 8192))
    assert shown(platform) == (A, "pending")


def test_a_manifest_that_is_refused_does_not_hide_its_run_at_work(platform: Platform) -> None:
    platform.history.queue([new_run(A)])
    platform.history.start(A, "sales")
    platform.history.refuse([Refusal(new_run(B), "The query is empty.")])
    assert shown(platform) == (A, "running")
    assert platform.status("sales").last_errors == "The query is empty."


def test_another_manifests_run_at_work_on_the_table_is_shown_as_its_own(platform: Platform) -> None:
    platform.history.queue([new_run(A)])
    platform.history.start(A, "sales")
    platform.history.queue([new_run("b.custom-2", manifest_id=2, report_name="Other")])
    assert (platform.status("sales").manifest_id, shown(platform)) == (1, (A, "running"))
    platform.history.fail(as_it_is(platform.history, A), "no")
    row = platform.status("sales")
    assert (row.manifest_id, row.report_name, row.last_run_id) == (2, "Other", "b.custom-2")


def test_a_run_that_nobody_will_take_any_more_is_not_waited_for(platform: Platform) -> None:
    platform.history.queue([new_run(A)])
    platform.sql("update reporting.seeder_run_history set start_time = now() - interval '8 days'")
    platform.history.queue([new_run(B)])
    platform.history.start(B, "sales")
    platform.history.succeed(as_it_is(platform.history, B), Figures(1, 8192))
    assert shown(platform) == (B, "success")


@pytest.mark.parametrize(
    ("moves", "failed", "words"),
    [
        (["cancel"], False, "Cancelled by anna."),
        (["cancel", "cancel"], False, "Cancelled by anna."),
        (["fail", "succeed", "cancel"], False, "Cancelled by anna."),
        (["fail"], True, "no"),
        (["fail", "cancel"], True, "Cancelled by anna.\nThe last failure before that: no"),
        (["fail", "cancel", "cancel"], True, "Cancelled by anna.\nThe last failure before that: no"),
        (["cancel", "fail"], True, "no"),
        (["fail", "cancel", "succeed"], False, None),
    ],
)
def test_a_cancelled_run_counts_and_is_no_failure(
    platform: Platform, moves: list[str], failed: bool, words: str | None
) -> None:
    history = platform.history
    make: dict[str, Any] = {
        "cancel": lambda run_id: history.cancel(as_it_is(history, run_id), "anna."),
        "fail": lambda run_id: history.fail(as_it_is(history, run_id), "no"),
        "succeed": lambda run_id: history.succeed(as_it_is(history, run_id), Figures(1, 8192)),
    }
    for number, move in enumerate(moves):
        history.queue([new_run(f"n{number}.custom-1")])
        history.start(f"n{number}.custom-1", "sales")
        make[move](f"n{number}.custom-1")
    row = platform.status("sales")
    counted = len(moves) - (moves.index("succeed") + 1 if "succeed" in moves else 0)
    assert row.consecutive_failures == counted
    assert (row.last_errors, has_failed(row.consecutive_failures, row.last_errors)) == (words, failed)
    assert is_about_cancel(row.last_errors) == (moves[-1] == "cancel")


def test_no_other_error_can_be_taken_for_a_cancelled_run(platform: Platform) -> None:
    """Some errors begin with a table's name, which may be anything."""
    words = "Cancelled by me exists already and is a table, not a materialized view."
    platform.history.queue([new_run(A)])
    platform.history.fail(as_it_is(platform.history, A), words)
    platform.history.refuse([Refusal(new_run(B), words)])
    for run_id in (A, B):
        assert platform.run(run_id).errors == f"Error: {words}"
    assert has_failed(2, platform.status("sales").last_errors)


def test_a_run_that_waits_or_is_swept_can_not_be_taken_for_a_cancelled_one_either(platform: Platform) -> None:
    words = "Cancelled by me is being refreshed by run n9.custom-2; this run waits for its turn."
    history = platform.history
    history.queue([new_run(A)])
    history.fail(as_it_is(history, A), "no")
    history.queue([new_run(B)])
    for move in (
        lambda seen: history.retry(seen, words),
        lambda seen: history.requeue(seen, words, 0.0),
    ):
        history.start(B, "sales")
        move(as_it_is(history, B))
        assert platform.run(B).errors == f"Error: {words}"
        assert has_failed(1, platform.status("sales").last_errors)


# --- told apart by a typed value -------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)

WORDS = st.one_of(
    st.none(),
    TEXT,
    TEXT.map(as_cancelled),
    st.sampled_from(
        [
            "Cancelled by",
            "cancelled by anna",
            " Cancelled by anna",
            "Error: Cancelled by anna",
            "Not run: reads t.",
            "Not run",
            "Error: Not run: x",
        ]
    ),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(status=st.sampled_from(list(RunStatus)), errors=WORDS)
def test_postgresql_and_python_tell_the_same_standing(
    platform: Platform, status: str, errors: str | None
) -> None:
    sql = f"select {STANDING} as standing from (values (%(status)s, %(errors)s::text)) as h (status, errors)"
    with platform.databases.session() as session:
        row = session.row(sql, status=status, errors=errors)
    assert row.standing == standing_of(status, errors)


def test_nothing_else_knows_how_the_errors_of_a_cancelled_run_begin() -> None:
    home = Path(standing.__file__)
    package = home.parent.parent
    mark = as_cancelled("").strip()
    assert mark in home.read_text()
    places = [path for end in ("py", "html", "js", "sql") for path in package.rglob(f"*.{end}")]
    assert [path for path in places if mark in path.read_text() and path != home] == []


def test_one_that_was_not_run_begins_as_the_message_of_its_error_does() -> None:
    words = str(UpstreamFailed(table_name="t", agency_slug="a", reason="division by zero"))
    assert standing_of(RunStatus.ERROR, words) is standing.Standing.NOT_RUN
