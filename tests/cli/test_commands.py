"""The commands over a real database, in this process."""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg2
import pytest
from redis import Redis
from sqlalchemy.engine import make_url
from support.contract import Platform, as_it_is, new_run
from support.homes import serving
from support.stillness import Reports
from support.workbench import Bench

from seeder import app as seeder_app
from seeder import cli
from seeder.broker import dead_letters
from seeder.cli import refresh as cli_refresh
from seeder.cli.refresh import summarise, watch
from seeder.config.settings import current_settings
from seeder.config.urls import masked_broker
from seeder.equipment import equipment
from seeder.history import Figures, Run

QUERY = "select 1 as one"


@pytest.fixture
def command(platform: Platform, broker_url: str, monkeypatch: pytest.MonkeyPatch, capsys) -> Iterator:
    """Calls ``seeder …`` and returns exit code, stdout and stderr."""
    monkeypatch.setenv("SEEDER_DATABASE_URL", platform.url)
    monkeypatch.setenv("SEEDER_BROKER_URL", broker_url)

    def forget() -> None:
        equipment.cache_clear()
        current_settings.cache_clear()
        # The app keeps the configuration and the connections of the test before; a forked child must forget
        # its parent's connections, so Celery has a way to.
        seeder_app.app.conf.broker_url = broker_url
        seeder_app.app._after_fork()

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["seeder", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    forget()
    yield call
    equipment().databases.dispose()
    forget()


@pytest.fixture
def sales(platform: Platform) -> None:
    platform.custom(1, table_name="sales", query=QUERY)


def test_a_refresh_records_and_queues_and_says_so(command, sales) -> None:
    code, out, _ = command("refresh", "--agency", "ua")
    assert code == 0
    assert "1 run queued" in out


def test_a_lock_on_the_record_is_told_in_one_line_with_who_holds_it(
    command, sales, platform, monkeypatch
) -> None:
    monkeypatch.setattr("seeder.monitoring.holders.LONG_SECONDS", 0)
    with platform.databases.session() as session, session.transaction():
        session.run("lock table reporting.seeder_run_history in access exclusive mode")
        code, _, said = command("refresh")
        pid = session.backend_pid
    assert code == 2
    assert "Another session holds a lock that this needs" in said
    assert f"pid {pid} (seeder, user" in said
    assert len(said.splitlines()) == 1


def test_a_second_request_is_told_of_the_run_that_waits(command, sales) -> None:
    first = json.loads(command("refresh", "--json")[1])
    assert (first["queued"], first["already_queued"]) == (1, {})
    code, out, said = command("refresh", "--json")
    second = json.loads(out)
    run_id = f"{first['seeding_id']}.custom-1"
    assert (code, second["queued"], second["already_queued"]) == (0, 0, {"sales": run_id})
    assert "1 run waited in the queue already, and will do." in said


def test_a_refused_manifest_makes_the_exit_code_1(command, platform: Platform, sales) -> None:
    platform.custom(2, table_name='a"b', query=QUERY)
    code, out, _ = command("refresh", "--json")
    assert code == 1
    said = json.loads(out)
    assert said["queued"] == 1
    assert "holds a quote" in next(iter(said["refused"].values()))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("refresh", "--agency", "nobody"), "belongs to agency 'nobody'"),
        (("refresh", "--table", "nothing"), "has the table 'nothing'"),
        (("refresh", "--type", "tinned"), "no report type 'tinned'"),
        (("status", "--agency", "nobody"), "belongs to agency 'nobody'"),
        (("status", "--table", "nothing"), "has the table 'nothing'"),
        (("history", "nothing"), "has the table 'nothing'"),
        (("cancel", "nothing"), "no run and no table 'nothing'"),
    ],
)
def test_what_is_unknown_is_named(command, sales, arguments, words) -> None:
    code, out, err = command(*arguments)
    assert (code, out) == (2, "")
    assert words in err


def test_check_tells_a_bad_directive_and_a_role_that_isnt_allowed(command, platform: Platform) -> None:
    platform.custom(1, query="-- seeder: mode=fast\nselect 1 as one")
    platform.custom(2, query="-- Sales\n-- seeder: role=postgres\nselect 1 as one")
    platform.custom(3, query="-- seeder: unique=(one) expect=(rows > 0)\nselect 1 as one")
    code, out, _ = command("check", "--json")
    problems = {one["where"]: one["problem"] for one in json.loads(out)["problems"]}
    assert code == 1
    assert {where.split()[0] for where in problems if "custom" in where} == {"custom-1", "custom-2"}
    assert "there is no mode fast" in problems["custom-1 report_1"]
    assert "(line 1, column 17)" in problems["custom-1 report_1"]
    assert "the role postgres, which is not in SEEDER_ALLOWED_ROLES" in problems["custom-2 report_2"]


def test_status_shows_every_manifest_and_fails_when_one_has(command, platform: Platform, sales) -> None:
    code, out, _ = command("status")
    assert (code, out) == (0, "1 never run. `seeder status --all` lists every report.\n")
    command("refresh")
    (run,) = platform.history.unfinished(days=1, quiet_seconds=-1)
    platform.history.fail(as_it_is(platform.history, run.run_id), "42P01: no such [red]table[/]\nHint: none")
    code, out, _ = command("status")
    assert code == 1
    assert "42P01: no such [red]table[/]" in out
    told = json.loads(command("status", "--json")[1])
    assert (told["jobs"][0]["consecutive_failures"], told["late"]) == (1, None)


def test_status_shows_what_needs_attention_first_and_counts_the_rest(command, platform: Platform) -> None:
    for number in range(1, 6):
        platform.custom(number, agency_slug="ua" if number < 5 else "b6")
    platform.custom(6, enabled=False)
    runs = {
        name: new_run(f"n1.custom-{name[-1]}", name, manifest_id=int(name[-1]))
        for name in ("report_1", "report_2", "report_3", "report_6")
    }
    platform.history.queue(list(runs.values()))
    platform.history.succeed(as_it_is(platform.history, runs["report_1"].run_id), Figures(1, 1))
    platform.history.fail(as_it_is(platform.history, runs["report_2"].run_id), "42P01: missing")
    platform.history.fail(
        as_it_is(platform.history, runs["report_6"].run_id), "42P01: of what is switched off"
    )
    platform.history.start(runs["report_3"].run_id, "report_3")

    def tables(out: str) -> list[str]:
        return re.findall(r"\breport_\d", out)

    code, out, _ = command("status")
    assert (code, tables(out)) == (1, ["report_2", "report_3"])
    assert "1 success" in out
    assert "2 never run" in out
    assert "1 disabled. `seeder status --all` lists every report." in out
    # The status with no attention to it is listed by whoever asks: for all, an agency or a table.
    everything = command("status", "--all")[1]
    assert tables(everything) == ["report_2", "report_3", "report_5", "report_4", "report_1", "report_6"]
    assert "--all" not in everything
    assert tables(command("status", "--agency", "b6")[1]) == ["report_5"]
    assert tables(command("status", "--table", "report_1")[1]) == ["report_1"]
    assert len(json.loads(command("status", "--json")[1])["jobs"]) == 6


def test_what_is_failing_is_refreshed_and_nothing_else(command, platform: Platform, sales) -> None:
    platform.custom(2, table_name="broken", query=QUERY)
    platform.custom(3, table_name="off", query=QUERY, enabled=False)
    platform.custom(4, table_name="elsewhere", query=QUERY, agency_slug="b6")
    code, out, _ = command("refresh", "--failing")
    assert code == 0
    assert "0 runs queued" in out
    assert "No report is failing." in out
    for number, name in ((2, "broken"), (3, "off"), (4, "elsewhere")):
        run = new_run(f"n1.custom-{number}", name, manifest_id=number)
        platform.history.queue([run])
        platform.history.fail(as_it_is(platform.history, run.run_id), "42P01: missing")
    told = json.loads(command("refresh", "--failing", "--agency", "ua", "--json")[1])
    assert told["queued"] == 1
    assert [one.table_name for one in platform.history.unfinished(days=1, quiet_seconds=-1)] == ["broken"]
    # Of a type none of which fails: nothing, and an agency that there isn't is still told.
    assert command("refresh", "--failing", "--type", "canned")[0] == 0
    code, out, err = command("refresh", "--failing", "--agency", "nobody")
    assert (code, out) == (2, "")
    assert "belongs to agency 'nobody'" in err
    assert command("refresh", "--failing", "--wait", "--type", "canned")[0] == 0


def test_what_it_reads_and_what_reads_it_is_refreshed_where_that_is_asked_for(
    command, platform: Platform, sales
) -> None:
    for number, (name, query) in enumerate([("weeks", "table sales"), ("years", "table weeks")], 2):
        platform.custom(number, table_name=name, query=query)
    platform.custom(4, table_name="apart", query=QUERY)
    for asked, tables, waits in (
        (["--upstream"], {"sales", "weeks"}, ", 1 of them to wait for what they read"),
        (["--downstream"], {"weeks", "years"}, ", 1 of them to wait for what they read"),
        (["--upstream", "--downstream"], {"sales", "weeks", "years"}, ", 2 of them to wait for"),
        ([], {"weeks"}, "1 run queued."),
    ):
        platform.sql("truncate reporting.seeder_run_history, reporting.seeder_job_status")
        code, out, _ = command("refresh", "--table", "weeks", *asked)
        assert code == 0
        assert waits in re.sub(r"\s+", " ", out)
        assert {one.table_name for one in platform.history.unfinished(days=1, quiet_seconds=-1)} == tables
    # What fails brings its readers along, which that repairs.
    platform.sql("truncate reporting.seeder_run_history, reporting.seeder_job_status")
    platform.history.queue([new_run("n1.custom-1", "sales")])
    platform.history.fail(as_it_is(platform.history, "n1.custom-1"), "42P01: missing")
    assert json.loads(command("refresh", "--failing", "--downstream", "--json")[1])["queued"] == 3


def test_several_tables_are_refreshed_in_one_seeding(command, platform: Platform, sales) -> None:
    for number in (2, 3):
        platform.custom(number, table_name=f"other_{number}", query=QUERY)
    platform.custom(4, table_name="off", query=QUERY, enabled=False)
    told = json.loads(
        command("refresh", "--table", "sales", "--table", "other_3", "--table", "sales", "--json")[1]
    )
    assert told["queued"] == 2
    assert {one.table_name for one in platform.history.unfinished(days=1, quiet_seconds=-1)} == {
        "sales", "other_3"
    }  # fmt: skip
    before = platform.value("select count(*) from reporting.seeder_run_history")
    for name, words in (("nothing", "has the table 'nothing'"), ("off", "'off' is switched off")):
        code, out, err = command("refresh", "--table", "sales", "--table", name)
        assert (code, out) == (2, "")
        assert words in err
    # Whoever mistypes one of them gets none of them.
    assert platform.value("select count(*) from reporting.seeder_run_history") == before


def test_waiting_ends_with_the_time_that_was_given(command, platform: Platform, sales, monkeypatch) -> None:
    monkeypatch.setattr(cli_refresh, "warn_without_worker", lambda _: None)
    platform.custom(2, table_name="other", query=QUERY)
    code, out, _ = command("refresh", "--wait", "--timeout", "300ms")
    assert code == 1
    assert "0 succeeded, 2 unfinished in 0." in out
    assert "Time is up (under 1 s), 2 runs unfinished." in out
    assert len(platform.history.unfinished(days=1, quiet_seconds=-1)) == 2
    code, out, said = command("refresh", "--wait", "--timeout", "0", "--json")
    told = json.loads(out)
    assert (code, told["runs"], len(told["unfinished"])) == (1, [], 2)
    assert set(told["unfinished"]) == set(told["already_queued"].values())
    assert "Time is up" in said


def test_whoever_waits_long_enough_is_told_the_outcome(
    command, platform: Platform, sales, monkeypatch
) -> None:
    def work(_: object) -> None:
        (run,) = platform.history.unfinished(days=1, quiet_seconds=-1)
        platform.history.succeed(as_it_is(platform.history, run.run_id), Figures(1, 1))

    monkeypatch.setattr(cli_refresh, "warn_without_worker", work)
    code, out, _ = command("refresh", "--wait", "--timeout", "1min", "--json")
    assert (code, json.loads(out)["unfinished"], len(json.loads(out)["runs"])) == (0, [], 1)


@pytest.mark.parametrize(
    ("catch_up", "code", "words"), [("2d", 0, "Late: nothing has run"), ("0", 1, "Missed: nothing ran")]
)
def test_status_tells_of_a_tick_that_nothing_ran(
    command, platform: Platform, sales, monkeypatch, catch_up: str, code: int, words: str
) -> None:
    monkeypatch.setenv("SEEDER_CATCH_UP", catch_up)
    current_settings.cache_clear()
    equipment.cache_clear()
    run = new_run("20261101T0200Z.custom-1", table_name="sales")
    platform.history.queue([run])
    platform.history.succeed(as_it_is(platform.history, run.run_id), Figures(1, 1))
    platform.sql(
        "update reporting.seeder_run_history"
        " set created_at = now() - interval '5 days', start_time = now() - interval '5 days'"
    )
    assert (words in command("status")[1], command("status")[0]) == (True, code)
    ended, out, said = command("status", "--json")
    told = json.loads(out)
    assert (ended, said, len(told["jobs"]), told["late"]["missed"]) == (code, "", 1, code == 1)
    assert set(told["late"]) == {"tick", "seeding_id", "missed"}


def test_history_shows_the_whole_error(command, platform: Platform, sales) -> None:
    assert "never been refreshed" in command("history", "sales")[1]
    command("refresh")
    (run,) = platform.history.unfinished(days=1, quiet_seconds=-1)
    platform.history.fail(as_it_is(platform.history, run.run_id), "42P01: missing\nHint: make it")
    code, out, _ = command("history", "sales")
    assert code == 0
    assert "Hint: make it" in out
    assert json.loads(command("history", "sales", "--json")[1])[0]["run_id"] == run.run_id


def test_a_queued_run_is_cancelled_once_and_in_somebodys_name(command, platform: Platform, sales) -> None:
    command("refresh")
    (run,) = platform.history.unfinished_of_table("sales")
    code, out, _ = command("cancel", "sales", "--by", "anna")
    assert (code, out) == (0, f"{run.run_id} (sales): cancelled; it was pending.\n")
    assert platform.run(run.run_id).errors == "Cancelled by anna before it started."
    assert command("cancel", run.run_id) == (
        1, f"{run.run_id} (sales): over already: cancelled; nothing was changed.\n", "",
    )  # fmt: skip
    assert command("cancel", "sales") == (1, "No run of sales is queued or at work.\n", "")
    said = json.loads(command("cancel", run.run_id, "--json")[1])
    assert said == [
        {
            "run_id": run.run_id,
            "table_name": "sales",
            "cancelled": False,
            "was": "error",
            "ended": True,
            "unreachable": [],
        }
    ]


def test_who_cancels_is_by_default_the_account(command, platform: Platform, sales, monkeypatch) -> None:
    monkeypatch.setenv("LOGNAME", "bert")
    command("refresh")
    (run,) = platform.history.unfinished_of_table("sales")
    assert command("cancel", run.run_id)[0] == 0
    assert platform.run(run.run_id).errors == "Cancelled by bert before it started."


def test_check_finds_what_would_fail(command, platform: Platform, sales) -> None:
    code, out, err = command("check")
    assert (code, err) == (0, "")
    assert out.startswith("warning: Manifests (1) run with the rights of ")
    assert out.endswith("\n1 manifest checked, 0 problems found.\n")
    platform.custom(2, table_name="writes", query="delete from sale")
    platform.custom(3, table_name="sales", query="select 2 as two")
    code, out, _ = command("check", "--json")
    assert code == 1
    assert {one["where"] for one in json.loads(out)["problems"]} == {"custom-2 writes", "custom-3 sales"}
    assert "it is not a SELECT but DELETE" in command("check")[1]


def test_check_looks_at_the_manifests_although_the_schema_is_not_as_it_should_be(
    command, platform: Platform, sales
) -> None:
    platform.custom(2, table_name="broken", query="delete from report")
    platform.sql("alter view reporting.seeder_dashboard rename column agency_slug to slug")
    try:
        code, out, _ = command("check")
    finally:
        platform.sql("alter view reporting.seeder_dashboard rename column slug to agency_slug")
    assert code == 1
    assert "schema: reporting.seeder_dashboard: the view is not the one that" in out
    assert "it is not a SELECT but DELETE" in out
    assert "`seeder schema check` shows the SQL that mends the schema." in out
    assert "2 manifests checked, 2 problems found." in out


def test_check_says_what_is_missing_once_where_it_keeps_the_manifests_from_being_read(
    command, platform: Platform, sales
) -> None:
    platform.sql("alter table reporting.seeder_canned_report rename to elsewhere")
    try:
        code, out, err = command("check", "--json")
    finally:
        platform.sql("alter table reporting.elsewhere rename to seeder_canned_report")
    found = json.loads(out)
    assert (code, found["manifests"], err) == (1, 0, "")
    assert [one["problem"] for one in found["problems"]][:1] == [
        "reporting.seeder_canned_report: the table is missing"
    ]


def test_check_warns_without_failing_and_can_be_narrowed_down(command, platform: Platform, sales) -> None:
    platform.sql("""
        create function public.hidden() returns bigint stable language plpgsql
        as 'begin return (select count(*) from seeder_nowhere); end'
    """)
    platform.custom(2, table_name="hidden", query="select public.hidden()")
    platform.custom(3, table_name="broken", query="select [red]", agency_slug="b6")
    code, out, _ = command("check", "--agency", "ua")
    assert code == 0
    assert "warning: The function public.hidden() may fail during a refresh" in out
    code, out, _ = command("check", "--table", "broken", "--json")
    assert code == 1
    said = json.loads(out)
    assert said["manifests"] == 1
    assert not [one for one in said["warnings"] if "public.hidden" in one]
    assert command("check", "--agency", "nobody")[0] == 2


def test_check_tells_how_many_messages_were_set_aside(
    command, platform: Platform, broker_url: str, monkeypatch
) -> None:
    monkeypatch.setattr(dead_letters, "KEPT", 10)
    with Redis.from_url(broker_url) as client:
        for number in range(dead_letters.KEPT + 2):
            dead_letters.set_aside(client, b"\xff" * 10_000, "seeder.refresh", f"number {number}")
        kept = [json.loads(entry) for entry in client.lrange(dead_letters.KEY, 0, -1)]
        assert client.get(f"{dead_letters.KEY}.count") == b"12"
    assert [kept[0]["why"], kept[-1]["why"], len(kept)] == ["number 11", "number 2", dead_letters.KEPT]
    assert (kept[0]["bytes"], len(kept[0]["message"])) == (10_000, dead_letters.KEPT_BYTES)
    code, out, _ = command("check")
    assert code == 0
    assert "Workers have set 10 messages aside" in " ".join(out.split())


def test_a_full_redis_is_told_by_check_and_refresh(command, sales, home: Path) -> None:
    with serving(home, with_postgres=False) as servers, Redis.from_url(servers.broker_url) as client:
        seeder_app.app.conf.broker_url = servers.broker_url
        client.config_set("maxmemory", "1")
        code, out, err = command("check")
        assert (code, out) == (2, "")
        assert err.startswith(f"seeder: Redis at {masked_broker(servers.broker_url)} is full")
        assert "Raise its maxmemory" in err
        code, out, err = command("refresh")
        assert code == 2
        assert "is recorded, but its runs (1) can't be queued" in err
        assert "used memory > 'maxmemory'" in err
        assert len(err.splitlines()) == 1


def test_a_database_out_of_reach_is_found_by_check(command, platform: Platform, sales, monkeypatch) -> None:
    monkeypatch.setenv("SEEDER_DATABASES", '{"4": "postgresql://someone:geheim@127.0.0.1:1/there"}')
    code, out, err = command("check")
    assert code == 1
    assert "database 4" in out
    assert "geheim" not in out + err


def test_a_plan_is_a_table_with_the_long_texts_below(command, platform: Platform, sales) -> None:
    platform.custom(2, table_name="broken", query="select price\nfrom nowhere [red]", agency_slug="b6")
    platform.custom(3, table_name="changed", query="select 1 as one")
    platform.sql("create materialized view reporting.changed as select 2 as two")
    code, out, _ = command("plan")
    assert code == 1
    lines = out.splitlines()
    assert lines[0].split() == ["agency", "table", "action", "cost", "est.", "rows", "last", "took", "why"]
    assert lines[1].split()[1:3] == ["sales", "create"]
    assert "--- materialized view" in out
    assert "create" in lines[-1]
    assert "error" in lines[-1]
    code, out, _ = command("plan", "--table", "sales", "--json")
    assert code == 0
    (said,) = json.loads(out)
    assert (said["action"], said["estimated_rows"], said["agency_slug"]) == ("create", 1, "ua")
    assert command("plan", "--table", "nothing")[0] == 2


def test_a_plan_says_when_it_would_end_and_what_decides_that(command, platform: Platform) -> None:
    platform.custom(1, table_name="first", query="select 1 as one")
    platform.custom(2, table_name="second", query="select * from first")
    platform.custom(3, table_name="new", query="select 3 as three")
    night = "20261124T0200Z"
    for number, (table, seconds) in enumerate({"first": 90, "second": 30}.items(), 1):
        run_id = f"{night}.custom-{number}"
        platform.history.queue([new_run(run_id, table, manifest_id=number)])
        platform.history.start(run_id, table)
        platform.history.succeed(as_it_is(platform.history, run_id), Figures(1, 8192))
        platform.sql(f"""
            update reporting.seeder_run_history
            set start_time = finish_time - interval '{seconds} s', duration_seconds = {seconds}
            where run_id = '{run_id}'
        """)
    code, out, _ = command("plan")
    assert code == 0
    *_, end, path, longest, guessed = out.splitlines()
    assert end.startswith("If it began now it would take about 2 min 00 s, until ")
    assert "with 2 runs side by side as lately" in end
    assert path == "What decides that, one after the other: first, second."
    assert longest.startswith("Longest: first 1 min 30 s, ")
    assert "second 30 s" in longest
    assert guessed == "1 report without a run lately: guessed from the planner's cost."
    said = {one["table_name"]: one for one in json.loads(command("plan", "--json")[1])}
    assert (said["second"]["begins_seconds"], said["second"]["ends_seconds"]) == (90.0, 120.0)
    assert (said["first"]["is_critical"], said["new"]["is_critical"]) == (True, False)


def test_the_schema_is_shown_applied_and_checked(command, platform: Platform) -> None:
    assert "create table if not exists" in command("schema", "show")[1].lower()
    assert command("schema", "apply")[0] == 0
    assert command("schema", "check")[0] == 0
    with platform.databases.session() as session:
        session.run_text("drop index reporting.seeder_run_history_run_id_idx")
    code, out, _ = command("schema", "check")
    assert code == 1
    assert "seeder_run_history" in out
    assert json.loads(command("schema", "check", "--json")[1])
    assert command("schema", "apply")[0] == 0
    assert command("schema", "check")[0] == 0


def test_an_audit_says_what_it_found_and_what_becomes_of_it(
    command, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports = Reports(Bench(platform))
    for number, (name, query) in enumerate(
        {"sales": "select * from public.sale", "clock": "select now() as at"}.items(), start=1
    ):
        platform.custom(number, table_name=name, query=query)
        reports.report(query, name, number)
    monkeypatch.setenv("SEEDER_SKIP_UNCHANGED", "true")
    monkeypatch.setattr("seeder.maintenance.audit.SETTLED_SECONDS", 0.0)
    assert command("audit") == (
        0, "equal sales (agency ua): holds what its query gives\n1 report compared: 1 equal.\n", "",
    )  # fmt: skip
    assert command("audit", "--agency", "other")[0] == 2
    code, said, _ = command("audit", "--table", "clock")
    assert (code, "behind clock (agency ua): 1 row missing, 1 row that" in said) == (0, True)
    assert "it would be refreshed: " in said

    with psycopg2.connect(make_url(platform.url).set(drivername="postgresql").render_as_string(False)) as one:
        one.cursor().execute("set track_counts = off; delete from sale where id < 3")
    one.close()
    code, said, _ = command("audit", "--json")
    found = json.loads(said)
    assert code == 1
    assert [(one["table_name"], one["verdict"], one["extra"]) for one in found["audited"]] == [
        ("sales", "wrong", 2)
    ]
    (run,) = platform.history.runs_of_table("sales")
    assert (run.status, run.run_id.partition(".")[0]) == ("pending", found["seeding_id"])
    code, said, _ = command("audit")
    assert code == 0
    assert said.startswith("sales isn't skipped: an audit found it wrong on ")
    assert "None is called unchanged now" in said
    said = command("status")[1]
    assert "sales (agency ua) isn't skipped: an audit found it wrong on " in said.replace("\n", " ")
    assert "seeder audit --trust sales" in said.replace("\n", " ")
    (wrong,) = json.loads(command("status", "--json")[1])["not_skipped"]
    assert (wrong["manifest"], wrong["table_name"], wrong["found"]["extra"]) == ("custom-1", "sales", 2)
    assert json.loads(command("status", "--table", "clock", "--json")[1])["not_skipped"] == []
    (planned,) = [one for one in json.loads(command("plan", "--json")[1]) if "sales" in str(one)]
    assert "an audit found it wrong on " in str(planned)
    assert command("audit", "--trust", "sales")[1].startswith("sales is skipped again")
    assert json.loads(command("status", "--json")[1])["not_skipped"] == []
    assert command("audit", "--trust", "sales")[1].startswith("No audit has found sales wrong")
    assert command("audit", "--trust", "sales", "--sample", "3")[0] == 2
    assert command("audit", "--table", "none")[0] == 2


def test_a_database_that_is_away_keeps_nobody_from_the_status(
    command, sales, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEDER_DATABASES", '{"5": "postgresql://seeder@127.0.0.1:1/away"}')
    code, out, _ = command("status")
    assert (code, "1 never run." in out) == (0, True)


def test_sweep_and_prune_say_what_they_did(command) -> None:
    assert command("sweep")[1] == "0 runs queued again, 0 given up.\n"
    assert json.loads(command("sweep", "--json")[1]) == {"requeued": 0, "ended": 0}
    assert command("prune")[1] == "0 runs older than 90 days deleted.\n"
    assert json.loads(command("prune", "--json")[1]) == {"deleted": 0, "copies": []}


def test_waiting_ends_with_the_runs_and_tells_each_failure(
    command, platform: Platform, sales, capsys
) -> None:
    platform.custom(2, table_name="broken", query=QUERY)
    from seeder.cli.printing import console
    from seeder.seedings.fan_out import seed
    from seeder.seedings.planning import Selection

    seeding = seed(seeder_app.app, equipment(), Selection())
    good, bad = sorted(seeding.run_ids)
    platform.history.succeed(as_it_is(platform.history, good), Figures(1, 8192))
    platform.history.fail(as_it_is(platform.history, bad), "22012: division by zero\nmore")
    again = replace(seeding, run_ids=(good,), already_queued={"broken": bad})
    for one in (seeding, again):
        ended = watch(console(), platform.history, one)
        out = capsys.readouterr().out
        assert {run.run_id for run in ended} == {good, bad}
    assert "error broken (agency ua): 22012: division by zero\n" in out
    assert "1 succeeded, 1 failed" in out


def test_who_waits_is_told_how_long_it_should_take_and_how_good_that_was(
    command, platform: Platform, sales, capsys
) -> None:
    from seeder.cli.printing import console
    from seeder.seedings.expected_end import ExpectedEnd
    from seeder.seedings.fan_out import seed
    from seeder.seedings.planning import Selection

    def took(seconds: int) -> str:
        seeding = seed(seeder_app.app, equipment(), Selection())
        expected = ExpectedEnd(seeding.planned, platform.history, lambda _: 0)
        (run_id,) = seeding.run_ids
        platform.history.start(run_id, "sales")
        platform.sql(
            "update reporting.seeder_run_history set start_time = clock_timestamp() - interval '30 s'"
            f" where run_id = '{run_id}'"
        )
        left = expected.seconds_left([run_id])
        platform.history.succeed(as_it_is(platform.history, run_id), Figures(1, 8192))
        platform.sql(
            f"update reporting.seeder_run_history set start_time = finish_time - interval '{seconds} s',"
            f" duration_seconds = {seconds} where run_id = '{run_id}'"
        )
        watch(console(), platform.history, seeding, expected=expected)
        return f"{left} {capsys.readouterr().out}"

    first = took(90)
    assert first.startswith("None 1 succeeded in ")
    assert "expected" not in first
    second = took(50)
    # 90 s less the 30 s that it was at work.
    assert 59 < float(second.partition(" ")[0]) <= 60
    assert "Expected to take about 1 min 30 s, if each run takes as long as usual.\n" in second
    assert re.search(r"1 succeeded in [\d.]+ s \(expected: 1 min 30 s\)\.", second)


def test_a_summary_of_nothing_but_successes_has_no_hint(capsys) -> None:
    from seeder.cli.printing import console

    summarise(console(), [_run()], 0, 1.0)
    assert "1 succeeded in 1.0 s." in capsys.readouterr().out


def test_the_summary_counts_what_was_refused_before_it_could_run(capsys) -> None:
    from seeder.cli.printing import console

    summarise(console(), [_run()], 2, 1.0)
    assert "1 succeeded, 2 refused in 1.0 s." in capsys.readouterr().out


def test_cancelled_runs_are_summarised_apart_from_those_that_failed(capsys) -> None:
    from seeder.cli.printing import console

    cancelled = replace(_run(), status="error", errors="Cancelled by anna before it started.")
    failed = replace(_run(), status="error", errors="22012: division by zero")
    summarise(console(), [_run(), cancelled, failed, cancelled], 0, 1.0)
    assert "1 succeeded, 1 failed, 2 cancelled in 1.0 s." in capsys.readouterr().out


def test_whoever_stops_waiting_is_told_that_the_runs_go_on(command, sales, monkeypatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli_refresh, "warn_without_worker", lambda _: None)
    monkeypatch.setattr(cli_refresh.time, "sleep", stop)
    code, out, _ = command("refresh", "--wait")
    assert code == 130
    assert "No longer waiting. The runs go on" in out


def test_check_warns_of_a_setting_that_is_none(command, sales, monkeypatch) -> None:
    monkeypatch.setenv("SEEDER_REFRSH_MODE", "swap")
    code, out, _ = command("check")
    assert code == 0
    assert "warning: SEEDER_REFRSH_MODE is no setting of seeder's; SEEDER_REFRESH_MODE is.\n" in out


def _run() -> Run:
    from datetime import UTC, datetime

    now = datetime.now(UTC)
    return Run("r", "sales", "Sales", "custom", 1, "ua", "success", now, now, 1, 1, 1, None, None, 0,
               None, None, 1)  # fmt: skip
