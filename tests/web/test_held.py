"""Who holds what the record needs is said where somebody looks for it: pid, application, user, since when."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg2
import pytest
from fastapi.testclient import TestClient
from sqlalchemy.engine import make_url
from support.contract import ON_EACH_VERSION, Platform, new_run
from support.visits import wait_until

from seeder.monitoring import holders as holding
from seeder.monitoring.holders import holders

PAGE = {"Accept": "text/html"}

ROW = "select from reporting.seeder_job_status where table_name = 'sales' for update"

HELD = {
    ROW: "the row of sales in seeder_job_status",
    "update reporting.seeder_job_status set report_name = 'x'":
        "2 rows, the first that of costs in seeder_job_status",
    "select from reporting.seeder_run_history where table_name = 'sales' for update":
        "the row of sales in seeder_run_history",
    "lock table reporting.seeder_job_status in share mode": "ShareLock on seeder_job_status",
    "lock table reporting.seeder_run_history in access exclusive mode":
        "AccessExclusiveLock on seeder_run_history",
    "select pg_advisory_xact_lock(hashtextextended('seeder queueing reporting', 0))":
        "the lock that lets one fan-out at a time record its runs",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding, "LONG_SECONDS", 0)
    monkeypatch.setattr("seeder.web.holding.KEPT_SECONDS", 0.0)


@contextmanager
def person(platform: Platform, statement: str) -> Iterator[int]:
    """The pid of somebody in psql who has begun a transaction and gone to lunch."""
    url = make_url(platform.url).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = psycopg2.connect(url, application_name="ann's psql")
    try:
        connection.cursor().execute(statement)
        yield connection.info.backend_pid
    finally:
        # Its end is waited for; that of a connection isn't.
        connection.rollback()
        connection.close()


@pytest.fixture
def reports(platform: Platform, holder: TestClient) -> None:
    for number, name in enumerate(("sales", "costs"), 1):
        platform.custom(number, table_name=name)
        assert holder.post(f"/api/jobs/{name}/refresh").status_code == 202


@ON_EACH_VERSION
@pytest.mark.usefixtures("reports")
@pytest.mark.parametrize("statement", HELD)
def test_a_session_is_found_with_what_it_holds(platform: Platform, statement: str) -> None:
    with person(platform, statement) as pid:
        (found,) = holders(platform.databases, "reporting")
    assert (found.person.pid, found.person.application_name) == (pid, "ann's psql")
    assert found.person.since is not None
    assert found.what == HELD[statement]
    assert found.words.startswith(
        f"pid {pid} (ann's psql, user {found.person.username}) holds {found.what} since "
    )
    wait_until("nobody holds anything", lambda: holders(platform.databases, "reporting") == ())


@ON_EACH_VERSION
@pytest.mark.usefixtures("reports")
def test_one_of_ours_that_waits_for_it_is_not_named(platform: Platform) -> None:
    waits = "select true from pg_stat_activity where application_name = 'seeder' and wait_event_type = 'Lock'"
    with ThreadPoolExecutor(1) as threads:
        with person(platform, "lock table reporting.seeder_run_history in access exclusive mode") as pid:
            fan_out = threads.submit(platform.history.queue, [new_run("n1.custom-9", "nights")])
            # It has taken the lock of fan-outs by now.
            wait_until("it waits", lambda: platform.sql(waits))
            assert [one.person.pid for one in holders(platform.databases, "reporting")] == [pid]
        assert fan_out.result().refused == []


@pytest.mark.usefixtures("reports")
def test_who_only_reads_or_holds_something_for_a_moment_is_nobody(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    with person(platform, "select from reporting.seeder_job_status, reporting.seeder_run_history"):
        assert holders(platform.databases, "reporting") == ()
    monkeypatch.setattr(holding, "LONG_SECONDS", 60)
    with person(platform, ROW):
        assert holders(platform.databases, "reporting") == ()


@pytest.mark.usefixtures("reports")
def test_the_monitoring_page_and_the_jobs_own_say_who_it_is(platform: Platform, client: TestClient) -> None:
    with person(platform, ROW) as pid:
        for path in ("/", "/?rows=custom-1", "/jobs/sales", "/jobs/sales?piece=now"):
            shown = client.get(path, headers=PAGE).text
            assert "ann&#39;s psql" in shown, path
            assert f"pid {pid}" in shown
            assert "the row of sales in seeder_job_status" in shown
        assert "psql" not in client.get("/jobs/costs", headers=PAGE).text
    wait_until("nobody is told of", lambda: "psql" not in client.get("/", headers=PAGE).text)


@pytest.mark.usefixtures("reports")
@pytest.mark.parametrize("path", ["/api/history", "/nights"])
def test_a_request_that_the_lock_ends_says_whose_it_is(
    platform: Platform, client: TestClient, path: str
) -> None:
    with person(platform, "lock table reporting.seeder_run_history in access exclusive mode") as pid:
        answer = client.get(path)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    message = answer.json()["error"]["message"]
    assert f"pid {pid} (ann's psql" in message
    assert "AccessExclusiveLock on seeder_run_history since" in message


@pytest.mark.usefixtures("reports")
def test_a_cancel_that_a_held_row_ends_changes_nothing_and_says_why(
    platform: Platform, holder: TestClient
) -> None:
    (run,) = platform.history.runs_of_table("sales")
    with person(platform, ROW) as pid:
        answer = holder.post(f"/api/runs/{run.run_id}/cancel")
    assert answer.status_code == 503
    assert "so nothing was done. Try again" in answer.json()["error"]["message"]
    assert f"pid {pid}" in answer.json()["error"]["message"]
    assert platform.history.run(run.run_id) == run
