"""Forty clicks while the record is locked: a few are under way, the others are told so, the pages go on."""

import json
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
from fastapi.testclient import TestClient
from support.contract import Platform
from support.visits import TOKEN, wait_until

from seeder.web.services import ACTORS, TURN_SECONDS

#: What every fan-out waits for, for at most five seconds.
LOCK_QUEUEING = "select pg_advisory_xact_lock(hashtextextended('seeder queueing reporting', 0))"

WAITING = (
    "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
)

HOLDER = {"Authorization": f"Bearer {TOKEN}"}


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    text: str
    seconds: float


def ask(address: str, method: str, path: str) -> Answer:
    began = time.monotonic()
    connection = HTTPConnection(urlsplit(address).netloc, timeout=30)
    try:
        connection.request(method, path, headers=HOLDER)
        answer = connection.getresponse()
        text = answer.read().decode()
        return Answer(answer.status, dict(answer.getheaders()), text, time.monotonic() - began)
    finally:
        connection.close()


@pytest.mark.parametrize("wish", ["/api/jobs/sales/refresh", "/api/agencies/ua/refresh", "cancel"])
def test_a_crowd_of_wishes_is_told_soon_and_leaves_the_pages_their_threads(
    platform: Platform, address: str, wish: str
) -> None:
    platform.custom(1, table_name="sales")
    locked = LOCK_QUEUEING
    if wish == "cancel":
        started = json.loads(ask(address, "POST", "/api/jobs/sales/refresh").text)
        wish = f"/api/runs/{started['runIds'][0]}/cancel"
        locked = "select from reporting.seeder_job_status for update"
    assert ask(address, "GET", "/").status == 200
    with ThreadPoolExecutor(40) as crowd:
        with platform.databases.session() as session, session.transaction():
            session.row(locked)
            answers = [crowd.submit(ask, address, "POST", wish) for _ in range(40)]
            wait_until("some are under way", lambda: platform.value(WAITING) == ACTORS)
            for path in ("/", "/api/jobs", "/nights"):
                page = ask(address, "GET", path)
                assert page.status == 200
                assert page.seconds < TURN_SECONDS + 1
            wait_until("the others are told", lambda: sum(one.done() for one in answers) == 40 - ACTORS)
        done = [one.result() for one in answers]
    told = [answer for answer in done if answer.status == 503]
    assert len(told) == 40 - ACTORS
    for answer in told:
        assert answer.headers["retry-after"] == "5"
        assert "Nothing was done" in json.loads(answer.text)["error"]["message"]
        assert answer.seconds < TURN_SECONDS + 3
    assert {answer.status for answer in done} - {503} <= {200, 202}


def test_as_many_wishes_as_come_one_after_the_other_are_done(platform: Platform, holder: TestClient) -> None:
    platform.custom(1, table_name="sales")
    for _ in range(3 * ACTORS):
        assert holder.post("/api/jobs/sales/refresh").status_code == 202
