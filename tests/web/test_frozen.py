"""Frozen reports on the Monitoring page, in their list, and in the API."""

import re
from html import unescape

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from support.contract import Platform
from support.frozen_reports import frozen_and_others
from support.visits import HERE, TOKEN, wait_until

from seeder.config.settings import Settings, load_settings
from seeder.web.frozen import GLANCE_SECONDS


@pytest.fixture
def settings(platform: Platform, redis_url: str) -> Settings:
    """With a database that is down."""
    nowhere = {7: "postgresql://seeder:geheim@127.0.0.1:1/x"}
    return load_settings(database_url=platform.url, broker_url=redis_url, databases=nowhere)


@pytest.fixture
def frozen(platform: Platform) -> None:
    frozen_and_others(platform, view='public."<b>on top"')


def words(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


def test_monitoring_counts_them_and_leads_to_the_list(frozen: None, client: TestClient) -> None:
    html = client.get("/").text
    assert '<a href="/frozen">2 frozen reports</a>' in html
    assert "2 frozen reports" in client.get("/?rows=-").text, "the piece of an open page has it too"


def test_nothing_is_said_where_there_are_none(platform: Platform, client: TestClient) -> None:
    platform.custom(1, table_name="alive")
    assert "frozen" not in words(client.get("/").text)


def test_the_list_says_which_where_whose_and_why(frozen: None, client: TestClient) -> None:
    answer = client.get("/frozen")
    said = words(answer.text)
    assert answer.status_code == 200
    assert "reporting.sales reporting Sales custom-2 , agency ua" in said
    assert "Its manifest custom-2 is gone. drops it" in said
    assert 'stays: view public."<b>on top" is built on it' in said
    assert "Switched off" in said
    assert "Its manifest custom-4 is switched off." in said
    assert "Database 7 can't be reached" in said
    assert "geheim" not in answer.text


def test_it_is_an_answer_of_the_api(frozen: None, client: TestClient) -> None:
    told = client.get("/api/frozen").json()
    rows = {one["tableName"]: one for one in told["items"]}
    assert (told["count"], sorted(rows)) == (2, ["sales", "visits"])
    sales = rows["sales"]
    assert (sales["matview"], sales["manifest"], sales["why"]) == ("reporting.sales", "custom-2", "gone")
    assert (sales["kept"], sales["reportName"]) == (None, "Sales")
    assert sales["lastRefreshed"] is not None
    assert rows["visits"]["kept"] == "builtOn"
    assert (told["offCount"], [one["why"] for one in told["off"]]) == (1, ["off"])
    assert [one["databaseId"] for one in told["unreachable"]] == [7]


def test_a_page_waits_for_no_look_but_the_first(
    frozen: None, platform: Platform, app: FastAPI, client: TestClient
) -> None:
    assert "2 frozen reports" in client.get("/").text
    platform.sql("drop materialized view reporting.sales; delete from reporting.seeder_job_status")
    watch = app.state.services.frozen
    assert "2 frozen reports" in client.get("/").text, "it isn't looked for at each visit"
    watch._looked_at -= GLANCE_SECONDS
    wait_until("the next look is shown", lambda: "1 frozen report<" in client.get("/").text)


def test_a_look_that_fails_hides_nothing_else(
    frozen: None, platform: Platform, client: TestClient, make_app, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg2

    def fails(*_: object) -> None:
        raise psycopg2.OperationalError("no")

    monkeypatch.setattr("seeder.maintenance.frozen.finding.find", fails)
    with TestClient(make_app(), base_url=HERE, headers={"Authorization": f"Bearer {TOKEN}"}) as other:
        assert "frozen" not in words(other.get("/").text)
        assert other.get("/api/frozen").status_code == 503
