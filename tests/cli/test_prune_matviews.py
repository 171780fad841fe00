"""`seeder prune --matviews` lists what nothing refreshes any more and drops it if told; `check` warns."""

import json

import pytest
from support.contract import Platform
from support.frozen_reports import frozen_and_others, recorded
from test_commands import command

__all__ = ["command"]


@pytest.fixture
def frozen(platform: Platform) -> None:
    frozen_and_others(platform)
    recorded(platform, "left", "custom-5")


def matviews(platform: Platform) -> list[str]:
    return [row[0] for row in platform.sql("select relname from pg_class where relkind = 'm' order by 1")]


def test_a_list_changes_nothing_and_says_what_would_be_done(command, platform: Platform, frozen) -> None:
    code, out, err = command("prune", "--matviews")
    assert (code, err) == (0, "")
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert "dropped" in lines["reporting.sales"]
    assert "Its manifest custom-2 is gone." in lines["reporting.sales"]
    assert "view public.on_top is built on it" in lines["reporting.visits"]
    assert "deleted" in lines["left"]
    assert "custom-4 is switched off" in lines["reporting.resting"]
    assert "3 frozen reports, 1 report switched off." in out
    assert "Nothing was changed." in out
    assert matviews(platform) == ["resting", "sales", "visits"]
    assert platform.value("select count(*) from reporting.seeder_job_status") == 3


def test_with_yes_it_drops_what_may_go_and_says_so(command, platform: Platform, frozen) -> None:
    code, out, _ = command("prune", "--matviews", "--yes")
    assert code == 0
    assert out.index("3 frozen reports") < out.index("Dropped reporting.sales.")
    assert "Deleted the row of status of left." in out
    assert matviews(platform) == ["resting", "visits"]
    assert platform.sql("select table_name from reporting.seeder_job_status") == [("visits",)]
    assert "Dropped by" in command("history", "sales")[1]
    assert "1 frozen report, " in command("prune", "--matviews", "--yes")[1]


def test_what_could_not_be_dropped_after_all_is_told_with_exit_code_1(
    command, platform: Platform, frozen
) -> None:
    with platform.databases.session() as reader, reader.transaction():
        reader.run_text("select from reporting.sales")
        code, out, _ = command("prune", "--matviews", "--yes")
    assert code == 1
    assert "reporting.sales stays: somebody reads it" in out
    assert matviews(platform) == ["resting", "sales", "visits"]


def test_it_is_data_too(command, frozen) -> None:
    told = json.loads(command("prune", "--matviews", "--json")[1])
    by_table = {one["table_name"]: one for one in told["frozen"]}
    assert set(told) == {"frozen", "off", "unreachable"}
    assert (by_table["sales"]["kept"], by_table["visits"]["kept"]) == (None, "builtOn")
    assert [one["table_name"] for one in told["off"]] == ["reporting.resting"]
    told = json.loads(command("prune", "--matviews", "--yes", "--json")[1])
    assert [(one["table_name"], one["dropped"]) for one in told["done"]] == [("sales", True), ("left", True)]


def test_a_database_that_is_down_hides_nothing_of_others(
    command, frozen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEDER_DATABASES", '{"9": "postgresql://seeder:geheim@127.0.0.1:1/x"}')
    code, out, _ = command("prune", "--matviews")
    assert code == 1
    assert "Database 9 (SEEDER_DATABASES) can't be reached" in out
    assert "Its manifest custom-2 is gone." in out
    assert "may be on a database that can't be reached" in out
    assert "geheim" not in out


def test_yes_alone_is_wrong_use(command, frozen, platform: Platform) -> None:
    code, _, err = command("prune", "--yes")
    assert (code, "--matviews" in err) == (2, True)


def test_check_warns_of_each_and_says_what_to_do(command, frozen) -> None:
    code, out, _ = command("check")
    assert code == 0
    assert "reporting.sales: Its manifest custom-2 is gone. Nothing refreshes it since" in out
    assert "`seeder prune --matviews` lists it, with --yes drops it." in out
    assert "and would not drop it: view public.on_top is built on it." in out
    assert "left: no manifest names it any more (custom-5 did)" in out
    assert "resting" not in out
    assert "reporting.sales" not in command("check", "--table", "alive")[1]
