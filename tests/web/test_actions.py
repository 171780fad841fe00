"""What may be asked for beside what test_access.py and test_cancel.py do."""

import pytest
from fastapi.testclient import TestClient
from support.contract import Platform
from test_jobs import run

from seeder.web.filters import agency_refresh_url


def test_what_is_failing_is_queued_and_nothing_else(platform: Platform, holder: TestClient) -> None:
    for number in range(1, 5):
        platform.custom(number, table_name=f"t{number}", agency_slug=f"agency{number}", enabled=number != 4)
        run(platform, number, f"t{number}", errors="42P01: missing" if number > 1 else None)
    answer = holder.post("/api/failing/refresh")
    assert answer.status_code == 202
    started = answer.json()
    assert {run_id.partition(".")[2] for run_id in started["runIds"]} == {"custom-2", "custom-3"}
    again = holder.post("/api/failing/refresh").json()
    assert again["queued"] == 0
    assert {one["tableName"] for one in again["alreadyQueued"]} == {"t2", "t3"}


def test_where_nothing_is_failing_nothing_is_queued(platform: Platform, holder: TestClient) -> None:
    platform.custom(1, table_name="t1")
    run(platform, 1, "t1")
    answer = holder.post("/api/failing/refresh")
    assert (answer.status_code, answer.json()["queued"]) == (202, 0)
    assert platform.value("select count(*) from reporting.seeder_run_history") == 1


def test_another_manifest_of_the_same_table_is_not_meant(platform: Platform, holder: TestClient) -> None:
    platform.custom(1, table_name="shared", query="select 1 as one")
    platform.custom(2, table_name="shared", query="select 2 as two")
    run(platform, 1, "shared")
    platform.custom(3, table_name="t3")
    run(platform, 3, "t3", errors="42P01: missing")
    started = holder.post("/api/failing/refresh").json()
    assert [run_id.partition(".")[2] for run_id in started["runIds"]] == ["custom-3"]


@pytest.mark.parametrize("slug", ["a/b?c#d", "/", "north/refresh", '<script>alert("x")</script>'])
def test_an_agency_is_refreshed_whatever_its_slug_is(
    platform: Platform, holder: TestClient, slug: str
) -> None:
    platform.custom(1, table_name="t1", agency_slug=slug)
    answer = holder.post(agency_refresh_url(slug))
    assert (answer.status_code, answer.json()["queued"]) == (202, 1)


@pytest.mark.parametrize(
    ("asked", "tables"),
    [
        ("", {"b"}),
        ("?upstream=true", {"a", "b"}),
        ("?downstream=true", {"b", "c", "d"}),
        ("?upstream=true&downstream=true", {"a", "b", "c", "d"}),
    ],
)
def test_a_table_is_refreshed_with_what_is_asked_for(
    platform: Platform, holder: TestClient, asked: str, tables: set[str]
) -> None:
    # What is read by way of b comes along, what is only read by c doesn't.
    reports = ("a", "select 1 as x"), ("b", "table a"), ("c", "select b.x from b, e"), ("d", "table c")
    for number, (name, query) in enumerate((*reports, ("e", "select 1 as y")), 1):
        platform.custom(number, table_name=name, query=query)
    platform.custom(6, table_name="other")
    answer = holder.post(f"/api/jobs/b/refresh{asked}")
    assert answer.status_code == 202
    runs = {platform.run(run_id).table_name for run_id in answer.json()["runIds"]}
    assert runs == tables
