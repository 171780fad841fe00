"""A seeding from its request to the record, through a real worker with each of the two pools."""

import re
from ast import literal_eval
from typing import Any

import pytest
from support.forked import run_module
from support.processes import Worker, celery, clean_environment, wait_until
from support.world import World

from seeder.errors import UnknownAgency, UnknownReportType, UnknownTable
from seeder.seedings.planning import Selection

pytestmark = pytest.mark.slow

AGENCIES = ((1, "ua"), (2, "b-6"), (3, "dl"))


@pytest.fixture(scope="module", params=["threads", "prefork"])
def pool(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", autouse=True)
def manifests(world: World) -> None:
    """Three canned reports of three agencies each, custom reports of several sizes, one disabled."""
    world.canned(
        "punctuality_{agency_slug}",
        "select g as flight, :agency_slug as carrier from generate_series(1, 100 * :agency_id) g",
        AGENCIES,
    )
    world.canned("analytics.fleet_{agency_id}", "select :manifest_id as manifest", AGENCIES)
    world.sql("create schema analytics")
    world.custom("wide", "select g, repeat('x', 5000) as payload from generate_series(1, 300) g")
    world.custom("nothing", "select 1 as one where false", agency="dl", agency_id=3)
    world.custom("switched_off", enabled=False)


def call(world: World, task: str) -> str:
    """``celery -A seeder call``; returns the task's id."""
    said = run_module(celery("call", task), cwd=world.folder, env=clean_environment(world.environment))
    assert said.returncode == 0, said.stderr
    return said.stdout.strip()


def send(world: World, task: str, *arguments: str) -> str:
    """The same message without a process of its own; returns the task's id."""
    return str(world.app.send_task(task, args=arguments).id)


def returned(worker: Worker, task_id: str) -> dict[str, Any]:
    """What a fan-out returned: nothing stores results, so the worker's log is where people read it."""
    pattern = re.compile(re.escape(task_id) + r"\] succeeded in [\d.]+s: (.*)")
    found = wait_until(f"{task_id} returns", lambda: pattern.search(worker.logs()))
    value: dict[str, Any] = literal_eval(found[1])
    return value


def test_refresh_all_over_the_broker_creates_and_then_refreshes_every_matview(
    world: World, worker: Worker
) -> None:
    oids = []
    for how, outcome in ((call, "created"), (send, "refreshed")):
        answer = returned(worker, how(world, "seeder.refresh_all"))
        runs = [run for run in world.history() if run.run_id.startswith(answer["seeding_id"] + ".")]
        assert answer == {
            "seeding_id": answer["seeding_id"],
            "queued": 8,
            "waiting": 0,
            "refused": {},
            "unchanged": 0,
            "not_run": {},
            "not_recorded": {},
            "already_queued": {},
            "held": {},
        }
        assert len(runs) == 8
        for run in world.wait_for_end(run.run_id for run in runs).values():
            assert run.status == "success", run.errors
            world.check_record(run)
            # The task id is the run_id, in the log as everywhere.
            worker.wait_for_log(f"Task seeder.refresh_manifest[{run.run_id}] received")
            assert f"'outcome': '{outcome}', 'records': {run.records_processed}" in worker.logs()
        oids.append(
            world.sql(
                "select matviewname, (schemaname||'.'||matviewname)::regclass::oid"
                " from pg_matviews order by 1"
            )
        )
    assert oids[0] == oids[1]
    assert len(oids[0]) == 8
    assert not world.history(table_name="switched_off")


def test_a_seeding_started_in_process_is_the_same(world: World, worker: Worker) -> None:
    seeding = world.seed()
    assert seeding.queued == len(seeding.run_ids) == 8
    for run in world.wait_for_end(seeding.run_ids).values():
        assert run.run_id == f"{seeding.seeding_id}.{run.report_type}-{run.manifest_id}"
        world.check_record(run)


def test_refresh_agency_runs_only_that_agencys_reports(world: World, worker: Worker) -> None:
    answer = returned(worker, send(world, "seeder.refresh_agency", "dl"))
    runs = [run for run in world.history() if run.run_id.startswith(answer["seeding_id"] + ".")]
    assert sorted(run.table_name for run in runs) == ["analytics.fleet_3", "nothing", "punctuality_dl"]
    answer = returned(worker, send(world, "seeder.refresh_agency", "dl", "custom"))
    assert answer["queued"] == 1
    world.wait_for_end(run.run_id for run in world.history())


@pytest.mark.parametrize("name", ["punctuality_b_6", "punctuality_{agency_slug}"])
def test_refresh_table_takes_the_name_with_or_without_placeholders(
    world: World, worker: Worker, name: str
) -> None:
    answer = returned(worker, send(world, "seeder.refresh_table", name))
    assert answer["queued"] == (1 if name == "punctuality_b_6" else 3)
    world.wait_for_end(run.run_id for run in world.history())


@pytest.mark.parametrize(
    ("task", "arguments", "words"),
    [
        ("seeder.refresh_agency", ("nobody",), "No enabled manifest belongs to agency 'nobody'"),
        ("seeder.refresh_agency", ("ua", "tinned"), "There is no report type 'tinned'"),
        ("seeder.refresh_all", ("tinned",), "There is no report type 'tinned'"),
        (
            "seeder.refresh_table",
            ("switched_off",),
            "The manifest of the table 'switched_off' is switched off",
        ),
    ],
)
def test_what_is_unknown_fails_the_task_with_one_clear_line(
    world: World, worker: Worker, task: str, arguments: tuple[str, ...], words: str
) -> None:
    before = len(world.history())
    task_id = send(world, task, *arguments)
    worker.wait_for_log(f"{task}[{task_id}] raised expected")
    (line,) = [line for line in worker.logs().splitlines() if f"[{task_id}] raised expected" in line]
    assert words in line
    assert "Traceback" not in worker.logs()
    assert len(world.history()) == before


def test_what_is_unknown_is_raised_to_a_caller_in_process(world: World) -> None:
    with pytest.raises(UnknownAgency, match="agency 'nobody'"):
        world.seed(agency_slug="nobody")
    with pytest.raises(UnknownTable, match="'nowhere'"):
        world.seed(table_name="nowhere")
    with pytest.raises(UnknownReportType, match="'tinned'"):
        world.seed(report_type="tinned")
    with pytest.raises(UnknownReportType):
        Selection(report_type="")


def test_a_shared_canned_report_with_other_sql_for_each_agency_belongs_to_one(
    world: World, worker: Worker
) -> None:
    ids = world.canned("one_for_all", "select :agency_id as id", AGENCIES, report="Shared")
    seeding = world.seed(table_name="one_for_all")
    assert seeding.queued == 1
    assert set(seeding.refused) == {f"{seeding.seeding_id}.canned-{number}" for number in ids[1:]}
    (run,) = world.wait_for_end(seeding.run_ids).values()
    assert run.status == "success"
    for run_id, words in seeding.refused.items():
        refused = world.run(run_id)
        assert (refused.status, refused.errors) == ("error", words)
        assert f"belongs to canned-{ids[0]} (Shared, agency ua)" in words
    assert world.status("one_for_all").last_run_id == run.run_id
    world.sql("delete from reporting.seeder_canned_report where report_name = 'Shared'")
