"""One shape for every error, and no way to see a traceback or a password."""

from collections.abc import Callable

import pytest
from celery import Celery
from fastapi import FastAPI
from fastapi.testclient import TestClient
from support.contract import Platform
from support.visits import HERE, TOKEN

from seeder.app import celery_settings
from seeder.config.settings import load_settings
from seeder.equipment import Equipment
from seeder.web.application import create_app
from seeder.web.security.access import Access
from seeder.web.wire.problems import Problem

NOWHERE = "postgresql://someone:geheim@127.0.0.1:1/reporting"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("get", "/nowhere", 404, "notFound"),
        ("get", "/api/nowhere", 404, "notFound"),
        ("get", "/api/jobs/nothing", 404, "notFound"),
        ("get", "/api/jobs/nothing/history", 404, "notFound"),
        ("get", "/static/nothing.js", 404, "notFound"),
        ("post", "/api/jobs/nothing/refresh", 404, "notFound"),
        ("post", "/api/agencies/nobody/refresh", 404, "notFound"),
        ("post", "/api/runs/nothing/cancel", 404, "notFound"),
        ("post", "/api/runs/a%00b/cancel", 404, "notFound"),
        ("delete", "/api/jobs", 405, "methodNotAllowed"),
        ("post", "/api/summary", 405, "methodNotAllowed"),
        ("get", "/api/jobs?limit=0", 422, "invalid"),
        ("get", "/api/jobs?limit=1001", 422, "invalid"),
        ("get", "/api/jobs?limit=x", 422, "invalid"),
        ("get", "/api/jobs?status=fine", 422, "invalid"),
        ("get", "/api/jobs?flag=odd", 422, "invalid"),
        ("get", "/api/jobs?sort=colour", 422, "invalid"),
        ("get", "/api/jobs?staus=error", 422, "invalid"),
        ("get", "/api/jobs?q=%00", 422, "invalid"),
        ("get", "/api/jobs?since=2026-11-24", 422, "invalid"),
        ("get", "/api/jobs?since=2026-11-24T02:00:00", 422, "invalid"),
        ("get", "/api/jobs?since=0", 422, "invalid"),
        ("get", "/api/jobs?cursor=x", 409, "conflict"),
    ],
)
def test_every_error_has_the_same_shape(
    holder: TestClient, method: str, path: str, status: int, code: str
) -> None:
    answer = holder.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    told = Problem.model_validate_json(answer.content).error
    assert told.code == code
    assert len(told.message) > 20
    assert bool(told.details) is (status == 422)
    if status == 405:
        assert answer.headers["allow"]


@pytest.mark.parametrize(
    "body", ['{"reportType": "tinned"}', '{"reportType": false}', '{"x": 1}', "[]", "{", "1"]
)
def test_a_body_that_is_not_as_it_should_be_is_refused(
    platform: Platform, holder: TestClient, body: str
) -> None:
    platform.custom(1)
    answer = holder.post(
        "/api/agencies/ua/refresh", content=body, headers={"Content-Type": "application/json"}
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid")
    assert not platform.sql("select from reporting.seeder_run_history")


def test_a_fault_of_ours_is_told_without_its_details(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch, heard: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("seeder.web.api.jobs.job_page", lambda *_: 1 / 0)
    with TestClient(app, base_url=HERE) as client:
        answer = client.get("/api/jobs")
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal")
        assert "division" not in answer.text
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert "ZeroDivisionError" in heard.text


def test_a_person_sees_a_page_with_the_same_words(client: TestClient) -> None:
    page = client.get("/<script>x", headers={"Accept": "text/html,*/*"})
    assert page.headers["content-type"].startswith("text/html")
    assert "There is nothing at /&lt;script&gt;x" in page.text


@pytest.fixture
def without_servers() -> TestClient:
    settings = load_settings(database_url=NOWHERE, broker_url="redis://:geheim@127.0.0.1:1/0")
    celery = Celery("tests")
    celery.conf.update(celery_settings(settings, "redis://:geheim@127.0.0.1:1/0"))
    app = create_app(Equipment(settings, NOWHERE), celery, Access(loopback=True, token=TOKEN))
    return TestClient(app, base_url=HERE)


def test_a_database_out_of_reach_is_told_and_the_process_lives(without_servers: TestClient) -> None:
    assert without_servers.get("/healthz").json() == {"status": "ok"}
    for path in ("/api/jobs", "/api/summary", "/api/history", "/api/jobs/x/history"):
        answer = without_servers.get(path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable"), path
        assert "geheim" not in answer.text
    ready = without_servers.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["ready"] is False
    assert ready.json()["schema"] == "unknown"
    assert "out of reach" in ready.json()["database"]
    assert "out of reach" in ready.json()["broker"]
    assert "127.0.0.1" not in ready.text


def test_a_schema_that_lacks_something_is_named(
    platform: Platform, client: TestClient, make_app: Callable[..., FastAPI]
) -> None:
    assert client.get("/readyz").json() == {"ready": True, "database": "ok", "broker": "ok", "schema": "ok"}
    platform.sql("alter view reporting.seeder_dashboard rename to seeder_elsewhere")
    try:
        lacking = TestClient(make_app(), base_url=HERE)
        assert lacking.get("/readyz").json()["schema"] == "lacks reporting.seeder_dashboard"
        answer = lacking.get("/api/jobs")
        assert answer.status_code == 503
        assert "seeder schema check" in answer.json()["error"]["message"]
    finally:
        platform.sql("alter view reporting.seeder_elsewhere rename to seeder_dashboard")
