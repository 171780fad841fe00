"""What the API and the pages show of runs at work, queued, cancelled, and shorter than a second."""

import re

import pytest
from fastapi.testclient import TestClient
from support.contract import Platform, as_it_is, new_run
from support.visits import wait_until

from seeder.history import Figures, Refusal

A, B = "20261124T0200Z.custom-1", "20261124T091501Z-a1b2.custom-1"


TABLES = ("sales", "t2", "t3")


@pytest.fixture(autouse=True)
def sales(platform: Platform) -> None:
    platform.custom(1, table_name="sales")


def job(client: TestClient, number: int = 1) -> dict:
    return next(one for one in client.get("/api/jobs").json()["items"] if one["id"] == number)


def at_work_and_cancelled_behind_it(platform: Platform, client: TestClient) -> None:
    platform.history.queue([new_run(A)])
    platform.history.start(A, "sales")
    assert job(client)["status"] == "running"
    platform.history.queue([new_run(B)])


def test_a_run_at_work_is_shown_and_can_be_ended_while_another_waits_and_is_cancelled(
    platform: Platform, client: TestClient, holder: TestClient
) -> None:
    at_work_and_cancelled_behind_it(platform, client)
    page = holder.get("/jobs/sales").text
    # Both are listed, each with its button; the run shown has one at the top, too.
    assert sorted(re.findall(r'data-post="/api/runs/([^/"]*)/cancel"', page)) == sorted([A, A, B])
    assert "/cancel" not in client.get("/jobs/sales").text
    assert holder.post(f"/api/runs/{B}/cancel").json()["cancelled"] is True
    wait_until("the pages know of it", lambda: job(client)["consecutiveFailures"] == 1)
    found = job(client)
    assert (found["lastRunId"], found["status"], found["isCancelled"]) == (A, "running", False)
    assert not found["isFailing"]
    counts = client.get("/api/summary").json()["status"]
    assert (counts["running"], counts["error"], counts["cancelled"]) == (1, 0, 0)
    assert f'data-post="/api/runs/{A}/cancel"' in holder.get("/").text
    platform.history.succeed(as_it_is(platform.history, A), Figures(1, 8192))
    wait_until("its end is shown", lambda: job(client)["status"] == "success")
    assert job(client)["lastErrors"] is None


def test_a_cancelled_run_is_told_as_cancelled_and_is_no_failing_report(
    platform: Platform, client: TestClient, holder: TestClient
) -> None:
    platform.history.queue([new_run(A)])
    holder.post(f"/api/runs/{A}/cancel")
    found = job(client)
    assert (found["status"], found["consecutiveFailures"]) == ("error", 1)
    assert (found["isCancelled"], found["isFailing"], found["isStale"]) == (True, False, False)
    assert client.get("/api/history").json()["items"][0]["isCancelled"] is True
    assert client.get("/api/jobs", params={"flag": "isFailing"}).json()["total"] == 0
    for path in ("/", "/jobs/sales", "/agencies/ua"):
        page = client.get(path).text
        assert re.search(r'<span class="badge never">.*?cancelled</span>', page, re.DOTALL), path
        assert 'class="badge error"' not in page, path
        assert "failed with" not in page, path
    queued = holder.post("/api/failing/refresh", json={}).json()
    assert queued["queued"] == 0


def test_what_was_cancelled_or_not_run_is_counted_and_found_apart_from_what_failed(
    platform: Platform, client: TestClient
) -> None:
    for number in (2, 3, 4):
        platform.custom(number, table_name=f"t{number}")
    night = "20261124T0200Z"
    runs = [
        new_run(f"{night}.custom-{n}", table, manifest_id=n) for n, table in enumerate((*TABLES, "t4"), 1)
    ]
    platform.history.queue(runs)
    for run in runs[:3]:
        platform.history.start(run.run_id, run.table_name)
    cancelled, failed, good = (as_it_is(platform.history, run.run_id) for run in runs[:3])
    platform.history.cancel(cancelled, "anna in the middle of the run.")
    platform.history.fail(failed, "22012: division by zero")
    platform.history.succeed(good, Figures(1, 8192))

    platform.history.upstreams.not_run({runs[3].run_id: "Not run: t2 (agency ua) ended in an error."})

    told = client.get("/api/summary").json()
    once = {"pending": 0, "running": 0, "success": 1, "error": 1, "cancelled": 1, "notRun": 1}
    assert told["status"] == {**once, "neverRun": 0}
    assert told["last"].items() >= {**once, "runs": 4}.items()

    def found(path: str, status: str, key: str) -> list[str]:
        return [one[key] for one in client.get(path, params={"status": status}).json()["items"]]

    for path in ("/api/jobs", "/api/history"):
        assert found(path, "error", "tableName") == ["t2"]
        assert found(path, "cancelled", "tableName") == ["sales"]
        assert found(path, "not_run", "tableName") == ["t4"]
        assert found(path, "not_run", "isNotRun") == [True]
    assert found("/api/jobs/sales/history", "error", "runId") == []
    assert found("/api/jobs/sales/history", "cancelled", "isCancelled") == [True]

    page = client.get("/").text
    assert "1 failed</strong>, 1 cancelled, 1 not run</p>" in page
    tiles = dict(re.findall(r'href="/\?status=(\w+)"[^>]*>\s*<span class="count">(\d+)</span>', page))
    assert tiles == {
        "success": "1", "error": "1", "cancelled": "1", "not_run": "1", "running": "0", "pending": "0",
    }  # fmt: skip
    nights = client.get("/nights").text
    assert "1 succeeded, 1 cancelled, 1 not run</span>" in nights
    assert nights.count('<strong class="failed">1</strong>') == 1
    night_page = client.get(f"/nights/{night}").text
    failed_runs = night_page.split('id="night-failed"')[1].split("</section>")[0]
    assert ("t2" in failed_runs, "sales" in failed_runs) == (True, False)
    assert '<g class="cancelled">' in night_page
    for standing in ("cancelled", "not run"):
        assert re.search(rf"{standing}</span></dt><dd class=.count.>1</dd>", night_page)


def test_nothing_is_said_of_cancelled_runs_where_there_are_none(
    platform: Platform, client: TestClient
) -> None:
    platform.history.queue([new_run(A)])
    platform.history.start(A, "sales")
    platform.history.fail(as_it_is(platform.history, A), "22012: division by zero")
    for path in ("/nights", "/nights/20261124T0200Z"):
        assert "cancelled" not in client.get(path).text, path
    assert not re.search(r'href="/\?status=cancelled"', client.get("/").text)


def test_a_report_that_failed_before_it_was_cancelled_is_still_failing(
    platform: Platform, client: TestClient
) -> None:
    platform.history.queue([new_run(A)])
    platform.history.fail(as_it_is(platform.history, A), "22012: division by zero")
    platform.history.queue([new_run(B)])
    platform.history.cancel(as_it_is(platform.history, B), "anna before it started.")
    found = job(client)
    assert (found["isCancelled"], found["isFailing"]) == (True, True)
    assert found["lastErrors"].splitlines() == [
        "Cancelled by anna before it started.",
        "The last failure before that: 22012: division by zero",
    ]
    assert "cancelled</span>" in client.get("/").text
    assert "failing</span>" in client.get("/").text


def test_what_is_refused_because_its_table_is_anothers_shows_nothing_of_its_success(
    platform: Platform, client: TestClient
) -> None:
    platform.custom(2, table_name="sales", query="select 2 as two")
    platform.history.queue([new_run(A)])
    platform.history.start(A, "sales")
    platform.history.succeed(as_it_is(platform.history, A), Figures(7, 8192))
    refused = new_run("20261124T0200Z.custom-2", manifest_id=2)
    platform.history.refuse([Refusal(refused, "Its table is custom-1's.", shown=False)])
    owner, other = job(client, 1), job(client, 2)
    assert owner["lastSuccess"]
    assert owner["usualSeconds"] == 1
    assert (other["status"], other["lastSuccess"], other["usualSeconds"]) == ("error", None, None)
    assert (other["recordsProcessed"], other["isFailing"], other["isStale"]) == (None, True, True)
    row = re.search(r'<tr role="row" id="job-custom-2".*?</tr>', client.get("/").text, re.DOTALL)
    assert row
    assert "usually" not in row[0]
    assert "8192 bytes" not in row[0]


def test_a_run_shorter_than_a_second_is_told_as_such(platform: Platform, client: TestClient) -> None:
    platform.history.queue([new_run(A)])
    platform.history.start(A, "sales")
    platform.history.succeed(as_it_is(platform.history, A), Figures(7, 8192))
    for path in ("/", "/jobs/sales"):
        page = client.get(path).text
        assert "under 1 s" in page, path
        # The axis of a chart ends at a whole second.
        told = re.sub(r'<div class="axis .*?</div>', "", page).replace("under 1 s", "")
        assert not re.search(r"\b[01] s\b", told), path
    # The contract's own numbers are whole.
    assert job(client)["durationSeconds"] == 1


def test_a_long_error_is_one_line_of_a_list_and_whole_on_the_jobs_page(
    platform: Platform, client: TestClient
) -> None:
    words = "22P02: " + "y" * 5000 + "\nAt line 1, column 8 of the manifest's query"
    platform.history.queue([new_run(A)])
    platform.history.fail(as_it_is(platform.history, A), words)
    assert ("y" * 192 + "…" in client.get("/").text, "y" * 193 in client.get("/").text) == (True, False)
    assert "y" * 5000 in client.get("/jobs/sales").text
    assert job(client)["lastErrors"] == words
    assert "y" * 193 not in client.get("/nights/20261124T0200Z").text
