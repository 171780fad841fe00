"""The list of jobs: what a row says, filters, order, pages, tags."""

import itertools
import re

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from support.contract import Platform, as_it_is, new_run

from seeder.history import Figures, Refusal
from seeder.monitoring.listing import Listing
from seeder.web.cursors import cursor, place
from seeder.wording import shortened

FIGURES = Figures(records=12, total_bytes=8192, memory_mb=3, cpu_percentage=50)
NIGHT = "20261124T0200Z"

#: The contract's field mapping, and what was agreed on beside it.
CONTRACT = {
    "id", "reportName", "tableName", "reportType", "status", "durationSeconds", "startTime",
    "consecutiveFailures", "agencyId", "agencyName", "agencySlug",
}  # fmt: skip
BESIDE = {
    "lastErrors", "lastRunId", "finishTime", "recordsProcessed", "bytesProcessed", "nextRun", "isFailing",
    "isLongRunning", "isStale", "neverRun", "enabled",
}  # fmt: skip

#: What may stand in a report's name, slug or error and must come out as it went in.
NASTY = [
    "<script>alert(1)</script>",
    """it's "quoted" & 'so on'""",
    "\u202eright to left\u202c \u200f",
    "x" * 10_000,
    "back\\slash\ttab\nline %s {} $1 :name",
    "🛫 ünïcödé",
]


def run(platform: Platform, number: int, table: str, night: str = NIGHT, errors: str | None = None) -> str:
    """A run from its recording to its end."""
    run_id = f"{night}.custom-{number}"
    platform.history.queue([new_run(run_id, table, manifest_id=number)])
    platform.history.start(run_id, table)
    if errors is None:
        platform.history.succeed(as_it_is(platform.history, run_id), FIGURES)
    else:
        platform.history.fail(as_it_is(platform.history, run_id), errors)
    return run_id


def rows(client: TestClient, query: str = "") -> list[dict]:
    answer = client.get(f"/api/jobs{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


def names(client: TestClient, query: str = "") -> list[str]:
    return [row["tableName"] for row in rows(client, query)]


def test_a_row_has_the_contracts_names_and_the_flags(platform: Platform, client: TestClient) -> None:
    platform.sql(
        "create table public.agency (id integer primary key, name text);"
        "insert into public.agency values (7, 'North')"
    )
    platform.custom(1, table_name="sales")
    run_id = run(platform, 1, "sales")
    (row,) = rows(client)
    assert set(row) >= CONTRACT | BESIDE
    assert (row["id"], row["reportType"], row["status"], row["lastRunId"]) == (1, "custom", "success", run_id)
    assert (row["durationSeconds"], row["recordsProcessed"], row["bytesProcessed"]) == (1, 12, 8192)
    assert (row["agencyId"], row["agencySlug"], row["lastErrors"]) == (7, "ua", None)
    for name in ("startTime", "finishTime", "nextRun", "lastSuccess"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00", row[name]), name
    flags = {name: row[name] for name in ("isFailing", "isLongRunning", "isStale", "neverRun", "enabled")}
    assert flags == {
        "isFailing": False, "isLongRunning": False, "isStale": False, "neverRun": False, "enabled": True,
    }  # fmt: skip


def test_every_manifest_has_a_row_switched_off_and_never_run_ones_too(
    platform: Platform, client: TestClient
) -> None:
    platform.custom(1, table_name="new")
    platform.custom(2, table_name="off", enabled=False)
    platform.canned_report(5, table_name="{agency_slug}_x")
    platform.canned(1, 5)
    found = {row["tableName"]: row for row in rows(client)}
    assert set(found) == {"new", "off", "ua_x"}
    assert (found["new"]["neverRun"], found["new"]["status"]) == (True, None)
    assert (found["off"]["enabled"], found["off"]["nextRun"]) == (False, None)
    assert found["ua_x"]["reportType"] == "canned"


def test_what_fails_and_what_is_new_is_told_on_top(platform: Platform, client: TestClient) -> None:
    for number, table in enumerate(["a_fine", "b_fails", "c_runs", "d_waits", "e_new", "f_off"], 1):
        platform.custom(number, table_name=table, enabled=table != "f_off")
    run(platform, 1, "a_fine")
    run(platform, 2, "b_fails", errors="22012: division by zero")
    platform.history.queue([new_run(f"{NIGHT}.custom-3", "c_runs", manifest_id=3)])
    platform.history.start(f"{NIGHT}.custom-3", "c_runs")
    platform.history.queue([new_run(f"{NIGHT}.custom-4", "d_waits", manifest_id=4)])
    assert names(client) == ["b_fails", "c_runs", "d_waits", "e_new", "a_fine", "f_off"]
    assert names(client, "?order=desc")[0] == "f_off"
    assert names(client, "?flag=isFailing") == ["b_fails"]
    assert names(client, "?flag=neverRun&flag=enabled") == ["e_new"]
    assert set(names(client, "?status=running&status=pending")) == {"c_runs", "d_waits"}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?agency=ua", {"ua_1", "ua_2"}),
        ("?agency=UA", set()),
        ("?type=canned", {"dl_c"}),
        ("?q=EURO%20", {"ua_2"}),
        ("?q=dl_", {"dl_c"}),
        ("?q=", {"ua_1", "ua_2", "dl_c"}),
        ("?since=2000-01-01T00:00:00Z", {"ua_1"}),
        ("?until=2000-01-01T00:00:00%2B02:00", set()),
        ("?until=2100-01-01T00:00:00+02:00", {"ua_1"}),
    ],
)
def test_filters_take_what_they_say(
    platform: Platform, client: TestClient, query: str, expected: set
) -> None:
    platform.custom(1, table_name="ua_1")
    platform.custom(2, table_name="ua_2", report_name="Sales in Euro (€)")
    platform.canned_report(5, table_name="{agency_slug}_c")
    platform.canned(1, 5, agency_slug="dl")
    run(platform, 1, "ua_1")
    assert set(names(client, query)) == expected


def test_pages_follow_each_other_without_gap_or_double(platform: Platform, client: TestClient) -> None:
    for number in range(1, 24):
        platform.custom(number, table_name=f"t{number % 5}_{number}", agency_slug=f"a{number % 3}")
    for sort, order in itertools.product(("tableName", "agencySlug", "startTime"), ("asc", "desc")):
        seen, query = [], f"?limit=5&sort={sort}&order={order}"
        answer = client.get(f"/api/jobs{query}").json()
        while True:
            seen += [row["tableName"] for row in answer["items"]]
            assert answer["total"] == 23
            if answer["next"] is None:
                break
            answer = client.get(f"/api/jobs{query}&cursor={answer['next']}").json()
        assert len(seen) == len(set(seen)) == 23
        if sort == "tableName":
            assert seen == sorted(seen, reverse=order == "desc")


def test_a_cursor_of_another_list_is_refused(platform: Platform, client: TestClient) -> None:
    for number in range(3):
        platform.custom(number, table_name=f"t{number}")
    end = client.get("/api/jobs?limit=1").json()["next"]
    for query in (f"sort=tableName&cursor={end}", "cursor=x", "cursor=WzFd", f"cursor={end}&order=desc"):
        answer = client.get(f"/api/jobs?{query}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict"), query
    wrong_kinds = cursor("jobs attention asc", ["x", None])
    assert client.get(f"/api/jobs?cursor={wrong_kinds}").status_code == 409


@given(st.lists(st.integers(0, 9)), st.integers(1, 4), st.booleans())
def test_pages_of_any_list_put_together_are_the_list(
    numbers: list[int], limit: int, descending: bool
) -> None:
    keys = sorted((number, place) for place, number in enumerate(numbers))
    listing = Listing(keys, keys, descending)  # type: ignore[arg-type] - a job may be anything here
    seen, end = [], None
    while True:
        page, end = listing.page(end, limit)
        seen += page
        if end is None:
            break
        assert len(page) == limit
    assert seen == (keys[::-1] if descending else keys)


@given(st.text(), st.lists(st.integers() | st.text() | st.floats(allow_nan=False)))
def test_a_cursor_holds_its_place(of: str, where: list) -> None:
    assert place(of, cursor(of, where)) == where


def test_what_has_not_changed_is_not_sent_again(platform: Platform, client: TestClient) -> None:
    platform.custom(1, table_name="sales")
    for path in ("/api/jobs", "/api/jobs/sales", "/api/summary", "/api/jobs/sales/history", "/api/history"):
        first = client.get(path)
        tag = first.headers["etag"]
        assert tag.startswith('W/"')
        again = client.get(path, headers={"If-None-Match": f'"other", {tag}'})
        assert (again.status_code, again.content) == (304, b""), path
        assert again.headers["etag"] == tag
        assert client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200
    known = {path: client.get(path).headers["etag"] for path in ("/api/jobs", "/api/summary", "/api/history")}
    run(platform, 1, "sales")
    client.portal.call(client.app.state.services.live.look)  # type: ignore[union-attr]
    for path, tag in known.items():
        assert client.get(path, headers={"If-None-Match": tag}).status_code == 200, path


def test_a_table_is_found_by_its_name_whatever_is_in_it(platform: Platform, client: TestClient) -> None:
    tables = ["reporting.sales", "a$b", "with space", "a/b", "50%", "ümlaut", "q?x#y", "history", "a+b"]
    for number, table in enumerate(tables, 1):
        platform.custom(number, table_name=table)
    from urllib.parse import quote

    for table in tables:
        answer = client.get(f"/api/jobs/{quote(table, safe='')}")
        assert answer.status_code == 200, table
        assert answer.json()["job"]["tableName"] == table
        assert client.get(f"/api/jobs/{quote(table, safe='')}/history").json() == {"items": [], "next": None}


def test_those_who_share_a_table_are_told_apart(platform: Platform, client: TestClient) -> None:
    platform.custom(2, table_name="sales")
    platform.custom(1, table_name="sales")
    platform.custom(3, table_name="sales", query="select 2 as two")
    run(platform, 1, "sales")
    other = new_run(f"{NIGHT}.custom-3", "sales", manifest_id=3)
    platform.history.refuse([Refusal(other, "belongs to custom-1", shown=False)])
    found = client.get("/api/jobs/sales").json()
    assert (found["job"]["id"], found["job"]["status"]) == (1, "success")
    assert [(one["id"], one["status"]) for one in found["others"]] == [(2, "success"), (3, "error")]


@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
def test_whatever_stands_in_a_name_or_an_error_comes_out_as_it_went_in(
    platform: Platform, client: TestClient, text: str
) -> None:
    short = text[:500]
    platform.custom(1, table_name="sales", report_name=text, agency_slug=short)
    run_id = f"{NIGHT}.custom-1"
    platform.history.queue([new_run(run_id, "sales", report_name=text, agency_slug=short)])
    platform.history.fail(as_it_is(platform.history, run_id), text)
    (row,) = rows(client)
    assert (row["reportName"], row["agencySlug"], row["lastErrors"]) == (text, short, shortened(text))
    assert client.get("/api/jobs", params={"agency": short, "q": short}).json()["total"] == 1
    assert client.get("/api/jobs/sales/history").json()["items"][0]["errors"] == shortened(text)
    (found,) = client.get("/api/history", params={"agency": short, "q": short}).json()["items"]
    assert (found["reportName"], found["errors"]) == (text, shortened(text))


def test_numbers_are_numbers(platform: Platform, client: TestClient) -> None:
    platform.custom(1, table_name="sales")
    run_id = f"{NIGHT}.custom-1"
    platform.history.queue([new_run(run_id, "sales")])
    platform.history.succeed(as_it_is(platform.history, run_id), Figures(records=2**40, total_bytes=2**50))
    (row,) = rows(client)
    assert (row["recordsProcessed"], row["bytesProcessed"]) == (2**40, 2**50)
