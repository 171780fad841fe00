"""``seeder up`` in an empty folder, as a newcomer types it, and the demo's reports on what it runs.

The tests are one story in their order: what is running when one begins, the next finds.
"""

import base64
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

import psutil
import psycopg2
import pytest
from psycopg2.extras import NamedTupleCursor
from support.homes import gone, new_home
from support.processes import clean_environment, wait_until

from seeder import embedded
from seeder.config.settings import load_settings
from seeder.demo import EXPECTED_FAILURES

pytestmark = pytest.mark.slow


class Up:
    """The command in its folder and in a process group of its own, as a shell starts it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._log = folder.parent / "up.log"
        with self._log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "seeder", "up", "--demo"],
                cwd=folder,
                env=clean_environment({}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def wait_for_log(self, words: str, times: int = 1) -> None:
        def look() -> bool:
            assert self.process.poll() is None, f"it ended:\n{self.log}"
            return self.log.count(words) >= times

        wait_until(f"it says {words!r} {times} time(s)", look, 60)

    def descendants(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def command_lines(self) -> list[tuple[psutil.Process, list[str]]]:
        """Of those that live: who has just ended has none."""
        found = []
        for one in self.descendants():
            with suppress(psutil.NoSuchProcess):  # its ZombieProcess, too
                found.append((one, one.cmdline()))
        return found

    def program(self, *words: str) -> psutil.Process:
        """The first process of a service, by words of its command line; not its keeper."""
        return next(
            one for one, line in self.command_lines() if line[1:3] == ["-m", "celery"] and {*words} <= {*line}
        )

    def seeder(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Another command in the same folder."""
        return subprocess.run(
            [sys.executable, "-m", "seeder", *arguments],
            cwd=self.folder,
            env=clean_environment({}),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    @property
    def flower(self) -> str:
        """Its address as printed, with name and password."""
        found = re.search(r"^Flower \(workers and tasks\) +(\S+)$", self.log, re.MULTILINE)
        assert found, self.log
        return found[1]

    def ask_flower(self, path: str, method: str = "GET", *, with_password: bool = True) -> Any:
        found = re.fullmatch(r"(http://)(\w+:[\w-]+)@(127\.0\.0\.1:\d+)", self.flower)
        assert found, self.flower
        request = Request(f"{found[1]}{found[3]}{path}", method=method)  # noqa: S310 - matched above
        if with_password:
            request.add_header("Authorization", f"Basic {base64.b64encode(found[2].encode()).decode()}")
        with urlopen(request, timeout=20) as answer:  # noqa: S310
            return json.load(answer)

    @contextmanager
    def database(self) -> Iterator[Any]:
        url = embedded.endpoints(load_settings(home=self.folder / ".seeder")).database_url
        plain = url.replace("+psycopg2", "")
        with closing(psycopg2.connect(plain, cursor_factory=NamedTupleCursor)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                yield cursor

    def end(self) -> None:
        """Whatever a test did: nothing is left."""
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with new_home("a new folder") as path:
        path.mkdir()
        yield path


@pytest.fixture(scope="module")
def up(folder: Path) -> Iterator[Up]:
    """All of it, running, while somebody else has Flower's port."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):  # somebody really has
            other.bind(("127.0.0.1", 5555))
            other.listen()
        running = Up(folder)
        try:
            running.wait_for_log("Ctrl-C stops all.")
            yield running
        finally:
            if running.process.poll() is None:
                pids = [one.pid for one in running.descendants()]
                running.end()
                assert gone(*pids, within=30)


def test_it_says_which_url_shows_what_and_a_busy_port_is_chosen_around(up: Up) -> None:
    assert re.search(
        r"^PostgreSQL on 127\.0\.0\.1:\d+ \(started\), data in .*/postgres$", up.log, re.MULTILINE
    )
    assert re.search(r"^Redis on 127\.0\.0\.1:\d+ \(started\), data in ", up.log, re.MULTILINE)
    assert re.search(r"^Database +postgresql://seeder:\*\*\*@127\.0\.0\.1:\d+/seeder$", up.log, re.MULTILINE)
    assert re.search(r"^Broker +redis://:\*\*\*@127\.0\.0\.1:\d+/0$", up.log, re.MULTILINE)
    assert not up.flower.endswith(":5555")
    assert "Traceback" not in up.log


def test_flower_lets_nobody_in_without_the_password(up: Up) -> None:
    assert up.ask_flower("/api/workers") is not None
    for method, path in (("GET", "/"), ("GET", "/api/tasks"), ("POST", "/api/worker/shutdown/any")):
        with pytest.raises(HTTPError) as refused:
            up.ask_flower(path, method, with_password=False)
        assert refused.value.code == 401
        refused.value.close()
    lines = [" ".join(line) for _, line in up.command_lines()]
    assert any("flower" in line for line in lines)
    assert not any(up.flower.split(":")[2].partition("@")[0] in line for line in lines)


def test_each_run_of_the_demo_is_one_row_that_tells_the_truth_and_a_task_in_flower(up: Up) -> None:
    assert "Loaded; 143 manifests." in up.log
    with up.database() as cursor:

        def first_seeding() -> bool:
            cursor.execute(
                "select count(*) filter (where finish_time is null) from reporting.seeder_run_history"
            )
            return bool(cursor.fetchone()[0] == 0)

        wait_until("the demo was refreshed", first_seeding, seconds=120)
        cursor.execute("delete from reporting.seeder_job_status")
        cursor.execute("delete from reporting.seeder_run_history")
        assert cursor.rowcount == 142
        # The view was made before there was a table of agencies.
        cursor.execute("select distinct agency_name from reporting.seeder_dashboard where agency_slug = 'ua'")
        assert cursor.fetchall() == [("United Air Lines Inc.",)]
    wait_until("Flower hears both workers", lambda: len(up.ask_flower("/workers?json=1")["data"]) == 2)

    asked = up.seeder("refresh", "--wait", "--json")
    assert asked.returncode == 1, "two of the reports fail on purpose"
    runs = {run["run_id"]: run["status"] for run in json.loads(asked.stdout)["runs"]}
    failures = [run_id for run_id, status in runs.items() if status == "error"]
    assert sorted(run_id.partition(".")[2] for run_id in failures) == sorted(
        f"{one.report_type}-{one.manifest_id}" for one in EXPECTED_FAILURES
    )
    with up.database() as cursor:
        cursor.execute("select * from reporting.seeder_run_history")
        history = cursor.fetchall()
        assert len(history) == len(runs)
        assert {row.run_id: row.status for row in history} == runs
        cursor.execute("select * from reporting.seeder_job_status")
        statuses = {row.table_name: row for row in cursor.fetchall()}
        assert len(statuses) == len(history)
        for row in history:
            status = statuses[row.table_name]
            assert (status.last_run_id, status.last_errors) == (row.run_id, row.errors)
            for column in {*status._fields} & {*row._fields}:
                assert getattr(status, column) == getattr(row, column), column
            if row.status == "success":
                cursor.execute(
                    f'select (select count(*) from reporting."{row.table_name}"),'
                    " pg_total_relation_size(%s::regclass)",
                    [f"reporting.{row.table_name}"],
                )
                assert (row.records_processed, row.bytes_processed) == cursor.fetchone()

    def in_flower() -> dict[str, str]:
        tasks = up.ask_flower("/api/tasks?taskname=seeder.refresh_manifest&limit=1000")
        return {
            uuid: {"SUCCESS": "success", "FAILURE": "error"}.get(task["state"])
            for uuid, task in tasks.items()
            if uuid in runs
        }

    wait_until("Flower lists each run under its run_id, as it ended", lambda: in_flower() == runs)


def test_a_jobs_page_leads_to_its_run_in_flower_and_tells_no_password(up: Up) -> None:
    pages = re.search(r"^Pages .* (http://127\.0\.0\.1:\d+)/login#", up.log, re.MULTILINE)
    assert pages, up.log
    with up.database() as cursor:
        cursor.execute("select table_name, last_run_id from reporting.seeder_job_status limit 1")
        job = cursor.fetchone()
    path = f"/jobs/{quote(job.table_name, safe='')}"
    request = Request(pages[1] + path, headers={"Accept": "text/html"})  # noqa: S310 - matched above
    with urlopen(request, timeout=20) as answer:  # noqa: S310 - matched above
        html = answer.read().decode()
    password, _, address = up.flower.removeprefix("http://").partition("@")
    assert f'href="http://{address}/task/{job.last_run_id}"' in html
    assert password.partition(":")[2] not in html


def test_runs_are_revoked_and_terminated_from_flower(up: Up) -> None:
    """All four places are taken by runs that wait for a lock; a fifth waits in the queue."""
    with up.database() as cursor, up.database() as holder:
        cursor.execute("create table public.held (id integer)")
        holder.execute("begin; lock table public.held")
        for number in range(5):
            cursor.execute(
                "insert into reporting.seeder_custom_report_manifest"
                " (id, table_name, report_name, agency_id, agency_slug, query, enabled)"
                " values (%s, %s, 'Revoked', 1, 'revoked', 'select id from public.held', true)",
                [9000 + number, f"revoked_{number}"],
            )

        def runs() -> dict[str, Any]:
            cursor.execute("select * from reporting.seeder_run_history where agency_slug = 'revoked'")
            return {row.run_id: row for row in cursor.fetchall()}

        def at_work() -> list[str]:
            return [run_id for run_id, row in runs().items() if row.status == "running"]

        def in_flower(*run_ids: str) -> bool:
            tasks = up.ask_flower("/api/tasks?taskname=seeder.refresh_manifest&limit=1000")
            return all(tasks.get(run_id, {}).get("state") == "STARTED" for run_id in run_ids)

        assert up.seeder("refresh", "--agency", "revoked").returncode == 0
        wait_until("all places are taken", lambda: len(at_work()) == 4)
        running, others = at_work()[0], at_work()[1:]
        (queued,) = set(runs()) - {running, *others}
        wait_until("Flower knows them", lambda: in_flower(running, *others))
        up.ask_flower(f"/api/task/revoke/{queued}?terminate=false", "POST")
        up.ask_flower(f"/api/task/revoke/{running}?terminate=true", "POST")
        wait_until(
            "both have ended", lambda: {runs()[one].status for one in (queued, running)} == {"error"}, 10
        )
        assert runs()[running].errors == "Cancelled by a revoke through Celery in the middle of the run."
        assert runs()[queued].errors == "Cancelled by a revoke through Celery before it started."
        holder.execute("rollback")
        wait_until("the others succeed", lambda: {runs()[one].status for one in others} == {"success"})
        cursor.execute("delete from reporting.seeder_custom_report_manifest where agency_slug = 'revoked'")


def test_other_commands_find_what_runs(up: Up) -> None:
    status = up.seeder("status", "--agency", "ua", "--json")
    assert status.returncode == 0
    assert {job["status"] for job in json.loads(status.stdout)["jobs"]} == {"success"}
    refreshed = up.seeder("refresh", "--agency", "ua", "--wait")
    assert (refreshed.returncode, refreshed.stderr) == (0, "")
    said = re.search(r"^9 succeeded in (\d+\.\d) s \(expected: .+\)\.$", refreshed.stdout, re.MULTILINE)
    assert said, refreshed.stdout
    assert float(said[1]) > 0, "it counts from when they were queued"
    assert "No worker answers" not in refreshed.stdout


def test_a_killed_worker_is_back_by_itself(up: Up) -> None:
    worker = up.program("worker", "refresh@%h")
    worker.kill()
    up.wait_for_log("[seeder] ended by SIGKILL; starting it again in 1 s")
    refreshed = up.seeder("refresh", "--table", "flights_ua_fleet_age", "--wait")
    assert refreshed.returncode == 0, refreshed.stdout
    assert up.program("worker", "refresh@%h").pid != worker.pid


def test_ctrl_c_stops_all_of_it(up: Up) -> None:
    pids = [process.pid for process in up.descendants()]
    # Workers, beat, Flower, PostgreSQL and Redis, each with its keeper.
    assert len(pids) >= 12
    os.killpg(up.process.pid, signal.SIGINT)
    assert up.process.wait(60) == 0, up.log
    assert gone(*pids, within=0)
    assert "Traceback" not in up.log
    left = up.seeder("status")
    assert left.returncode == 2
    assert left.stderr.count("\n") == 1
    assert "seeder up" in left.stderr


def test_no_process_outlives_its_sigkill(up: Up, folder: Path) -> None:
    assert up.process.poll() is not None
    again = Up(folder)
    try:
        again.wait_for_log("Ctrl-C stops all.")
        assert again.seeder("status", "--agency", "ua").returncode == 0
        assert "Loading" not in again.log
        pids = [process.pid for process in again.descendants()]
    finally:
        again.end()
    assert gone(*pids, within=30)
