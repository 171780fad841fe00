"""A database that is there and doesn't answer: a migration's lock on seeder's tables does that."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from support.contract import Platform
from support.visits import wait_until
from test_events import following, next_event

LOCKED = "lock table reporting.seeder_run_history, reporting.seeder_job_status in access exclusive mode"


@contextmanager
def silence(platform: Platform) -> Iterator[None]:
    """Nobody else can read the record."""
    with platform.databases.session() as session, session.transaction():
        session.run(LOCKED)
        yield


@pytest.fixture(autouse=True)
def _short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seeder.web.live.live.SNAPSHOT_SECONDS", 0.5)
    monkeypatch.setattr("seeder.web.services.ANSWER_SECONDS", 0.5)


def test_viewers_are_told_that_nothing_is_known_and_when_it_is_again(
    platform: Platform, app: FastAPI, address: str
) -> None:
    with following(address) as answer:
        next_event(answer, "hello")
        wait_until("the first look", lambda: app.state.services.live._monitor.snapshot)
        with silence(platform):
            assert "can't be read" in json.loads(next_event(answer, "unread")["data"])["reason"]
        next_event(answer, "reload")


@pytest.mark.parametrize("path", ["/api/jobs", "/api/summary", "/api/history", "/", "/nights"])
def test_nobody_waits_for_an_answer_that_does_not_come(
    platform: Platform, app: FastAPI, client: TestClient, path: str
) -> None:
    # The first look of an app may take longer than an answer may, where the machine is busy.
    wait_until("it is answered", lambda: client.get(path).status_code == 200)
    with silence(platform):
        answer = wait_until(
            "a request isn't answered from memory",
            lambda: (got := client.get(path)).status_code == 503 and got,
        )
        told = answer.json()["error"]
        assert told["code"] == "unavailable"
        assert "hasn't answered" in told["message"]
    wait_until("it is answered again", lambda: client.get(path).status_code == 200)


def test_a_wish_that_is_not_answered_in_time_may_still_be_done(
    platform: Platform, holder: TestClient
) -> None:
    platform.custom(1, table_name="sales", query="select 1 as one")
    assert holder.get("/api/jobs").json()["total"] == 1
    with silence(platform):
        answer = holder.post("/api/jobs/sales/refresh")
        assert answer.status_code == 503
        assert "may still be done" in answer.json()["error"]["message"]
    (run,) = wait_until("it is done", lambda: platform.history.runs_of_table("sales"))
    with silence(platform):
        assert holder.post(f"/api/runs/{run.run_id}/cancel").status_code == 503
    wait_until("it is done too", lambda: platform.history.run(run.run_id).status == "error")
