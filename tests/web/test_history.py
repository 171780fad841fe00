"""How runs went, page by page; and that no page ever passes over the whole history."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from support.contract import Platform, as_it_is, new_run, platform_on
from support.emptied import fresh_database
from test_jobs import NIGHT, run

from benchmarks.record import fill
from seeder.history import pages, queries, watching
from seeder.history.pages import DatedRun, Place, RunFilter, RunPages
from seeder.history.watching import RecordWatch
from seeder.run_ids import tick_seeding_id

HISTORY_NAMES = [
    "runId", "status", "startTime", "finishTime", "durationSeconds", "recordsProcessed", "bytesProcessed",
    "memoryUsageMb", "cpuPercentage", "errors", "note", "attempts", "isCancelled", "isNotRun",
]  # fmt: skip


def test_a_jobs_history_has_exactly_the_contracts_names_and_ours(
    platform: Platform, client: TestClient
) -> None:
    platform.custom(1, table_name="sales")
    run(platform, 1, "sales")
    run(platform, 1, "sales", "20261125T0200Z", errors="22012: division by zero")
    failed, good = client.get("/api/jobs/sales/history").json()["items"]
    assert list(failed) == list(good) == HISTORY_NAMES
    assert (failed["runId"], failed["status"], failed["errors"]) == (
        "20261125T0200Z.custom-1",
        "error",
        "22012: division by zero",
    )
    assert [good[name] for name in HISTORY_NAMES[4:]] == [1, 12, 8192, 3, 50, None, None, None, False, False]
    assert client.get("/api/jobs/sales/history?status=success").json()["items"] == [good]


def test_a_history_is_paged_by_the_order_of_recording(platform: Platform, client: TestClient) -> None:
    platform.custom(1, table_name="sales")
    nights = [run(platform, 1, "sales", f"202611{day:02}T0200Z") for day in range(1, 12)]
    seen, path = [], "/api/jobs/sales/history?limit=4"
    answer = client.get(path).json()
    while answer["next"]:
        seen += answer["items"]
        answer = client.get(f"{path}&cursor={answer['next']}").json()
    seen += answer["items"]
    assert [one["runId"] for one in seen] == nights[::-1]


def test_all_runs_are_filtered_and_paged_by_their_beginning(platform: Platform, client: TestClient) -> None:
    platform.custom(1, table_name="sales")
    platform.history.queue([new_run(f"{NIGHT}.custom-{n}", f"t{n}", manifest_id=n) for n in range(1, 8)])
    platform.history.fail(as_it_is(platform.history, f"{NIGHT}.custom-3"), "42P01: missing")
    seen, answer = [], client.get("/api/history?limit=3").json()
    while answer["next"]:
        seen += answer["items"]
        answer = client.get(f"/api/history?limit=3&cursor={answer['next']}").json()
    seen += answer["items"]
    assert [one["id"] for one in seen] == [7, 6, 5, 4, 3, 2, 1]
    (failed,) = client.get("/api/history?status=error").json()["items"]
    assert (failed["tableName"], failed["reportName"], failed["agencySlug"]) == ("t3", "Sales", "ua")
    assert [one["id"] for one in client.get("/api/history?table=t4").json()["items"]] == [4]
    assert client.get("/api/history?type=canned").json() == {"items": [], "next": None}
    assert client.get("/api/history?agency=zz").json()["items"] == []
    assert client.get("/api/history?q=SALES&limit=1").json()["next"]
    until = (datetime.fromisoformat(failed["startTime"]) - timedelta(hours=1)).isoformat()
    assert client.get("/api/history", params={"until": until}).json()["items"] == []


@pytest.mark.parametrize(
    "place",
    [
        [1, 2],
        ["x", 2],
        ["2026-01-01T00:00:00", 2],
        ["2026-01-01T00:00:00+00:00", "2"],
        [],
        ["2026-01-01T00:00:00+00:00", 2**64],
    ],
)
def test_a_cursor_that_was_changed_is_refused(client: TestClient, place: list) -> None:
    from seeder.web.cursors import cursor

    assert client.get(f"/api/history?cursor={cursor('history', place)}").status_code == 409


# --- over a long history -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def filled(postgres_url: str) -> Iterator[Platform]:
    """200 jobs with 300 nights each: large enough that a pass over all of it is the worse plan."""
    with fresh_database(postgres_url) as url, platform_on(url) as platform:
        fill(url, jobs=200, nights=300)
        yield platform


def plan(platform: Platform, sql: str, **values: object) -> str:
    with platform.databases.session() as session:
        row = session.row(f"explain (format json) {sql}", **values)
    return json.dumps(row[0])


def scans_history(text: str) -> list[str]:
    """What passes over the whole history in a plan."""
    return re.findall(
        r'"Node Type": "(?:Parallel )?Seq Scan"[^{}]*"Relation Name": "seeder_run_history"', text
    )


NO_FILTER = {"agency": None, "table_name": None, "report_type": None, "standings": None, "text": None,
             "since": None, "until": None}  # fmt: skip
LONG_AGO = datetime.now(UTC) - timedelta(days=100)
ASKED = {
    "a job's history": (pages.OF_TABLE, {"table_name": "custom_7"}),
    "its second page": (pages.OF_TABLE, {"table_name": "custom_7", "before_id": 30_000}),
    "its errors": (pages.OF_TABLE, {"table_name": "custom_7", "standings": ["error"]}),
    "all runs": (pages.OF_ALL, {}),
    "a later page of all runs": (pages.OF_ALL, {"before_id": 30_000, "before_time": LONG_AGO}),
    "an agency's runs": (pages.OF_ALL, {"agency": "agency-7"}),
    "a day's runs": (pages.OF_ALL, {"since": datetime.now(UTC) - timedelta(days=1)}),
    "a seeding": (pages.SEEDING, {"seeding_id": "x"}),
}  # fmt: skip


@pytest.mark.parametrize("what", ASKED)
def test_no_page_passes_over_the_history(filled: Platform, what: str) -> None:
    statement, values = ASKED[what]
    given = {
        **NO_FILTER,
        "before_id": None,
        "before_time": None,
        "limit": 51,
        "examined": pages.EXAMINED,
        **values,
    }
    found = plan(filled, RunPages(filled.databases, "reporting").sql(statement), **given)
    assert '"Index Name": "seeder_run_history' in found
    assert not scans_history(found), found


def test_whether_a_tick_was_run_is_told_without_a_pass_over_the_history(filled: Platform) -> None:
    found = plan(
        filled, filled.history.sql(queries.RECORDED), seeding_ids=["20261123T0200Z", "20261124T0200Z"]
    )
    assert '"Index Name": "seeder_run_history' in found
    assert not scans_history(found), found
    tables = [f"custom_{number}" for number in range(200)]
    found = plan(filled, filled.history.sql(queries.WAITED_AT), tick=datetime.now(UTC), tables=tables, days=7)
    assert not scans_history(found), found


def test_no_look_passes_over_the_history(filled: Platform) -> None:
    watch = RecordWatch(filled.databases, "reporting")
    now = datetime.now(UTC)
    for statement, values in {
        watching.STATE: {},
        watching.NOW: {},
        watching.STATUS_OF_TABLES: {"tables": ["custom_1", "custom_2"]},
        watching.JOBS_OF_TABLES: {"tables": ["custom_1"]},
        watching.EVERY_JOB: {},
        watching.OTHERS_SINCE: {"newest_id": 59_900},
        watching.SUCCESSES_OF_TABLES: {"tables": ["custom_1"], "since": now - timedelta(days=10)},
        watching.SUCCESSES: {"since": now - timedelta(days=10)},
        watching.CHANGED: {"since": now},
    }.items():
        found = plan(filled, watch.sql(statement), **values)
        assert not scans_history(found), (statement, found)


def test_a_scan_would_be_found(filled: Platform) -> None:
    assert scans_history(plan(filled, "select count(errors) from reporting.seeder_run_history"))


def test_a_page_of_a_rare_kind_is_short_and_has_a_next_one(
    filled: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "EXAMINED", 700)
    reader = RunPages(filled.databases, "reporting")
    wanted = RunFilter(standings=("error",))
    expected = filled.value("select count(*) from reporting.seeder_run_history where status = 'error'")
    found: list[DatedRun] = []
    end: Place | None = None
    turns = 0
    while True:
        page, end = reader.of_all(wanted, end, 50)
        found += page
        turns += 1
        if end is None:
            break
    assert turns > 50
    assert len(found) == len({run.id for run in found}) == expected
    assert [run.start_time for run in found] == sorted((run.start_time for run in found), reverse=True)


def test_a_seeding_is_counted_by_its_runs_alone(filled: Platform) -> None:
    tick = filled.value("select max(created_at) from reporting.seeder_run_history")
    counts = RunPages(filled.databases, "reporting").seeding(tick_seeding_id(tick))
    assert (counts.runs, counts.pending, counts.running) == (200, 0, 0)
    assert counts.success + counts.error == 200
    assert counts.recorded_at == tick
