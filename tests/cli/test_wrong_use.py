"""Wrong use and configuration: one line on stderr that says what to do, exit code 2, never a traceback."""

import os
from pathlib import Path

import pytest
from support.forked import run_module

NOTHING_THERE = "postgresql://someone:geheim@127.0.0.1:1/reporting"


def seeder(folder: Path, *arguments: str, program=("seeder",), **settings: str):
    """The command in a process of its own, as a user has it, with only these settings."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SEEDER_")}
    return run_module([*program, *arguments], cwd=folder, env={**clean, **settings})


@pytest.mark.parametrize(
    ("arguments", "settings", "words"),
    [
        (["status"], {}, ["SEEDER_DATABASE_URL is not set", "`seeder up`"]),
        (["refresh"], {"SEEDER_MAX_RETRIES": "many"}, ["SEEDER_MAX_RETRIES", "valid integer"]),
        (["status"], {"SEEDER_SCHEDULE": "at noon"}, ["SEEDER_SCHEDULE", "0 2 * * *"]),
        (["status"], {"SEEDER_DATABASES": "{"}, ["SEEDER_DATABASES", "JSON"]),
        (
            ["status"],
            {"SEEDER_EXPECT": "rows > 0, rows_change < 5"},
            ["SEEDER_EXPECT", "% is expected, not the end (column 26)"],
        ),
        (
            ["status"],
            {"SEEDER_DATABASE_URL": "mysql://me:geheim@host/x"},
            ["SEEDER_DATABASE_URL", "postgresql://"],
        ),
        (
            ["status"],
            {"SEEDER_DATABASE_URL": NOTHING_THERE, "SEEDER_BROKER_URL": "redis://127.0.0.1:1"},
            ["someone:***@127.0.0.1:1", "SEEDER_DATABASE_URL"],
        ),
        (
            ["refresh"],
            {"SEEDER_BROKER_URL": "redis://:geheim@host/zero"},
            ["SEEDER_BROKER_URL", "a database of Redis has a number"],
        ),
        # What only looks into the record needs no broker.
        (["status"], {"SEEDER_DATABASE_URL": NOTHING_THERE}, ["someone:***@127.0.0.1:1"]),
        (["schema", "apply"], {"SEEDER_DATABASE_URL": NOTHING_THERE}, ["someone:***@127.0.0.1:1"]),
        (
            ["demo"],
            {"SEEDER_DATABASE_URL": NOTHING_THERE},
            ["SEEDER_DATABASE_URL is set", "seeder demo load"],
        ),
        (["refresh", "--table", "a", "--agency", "b"], {}, ["--table", "--agency"]),
        (["refresh", "--table", "a", "--failing"], {}, ["--table", "--failing"]),
        (["refresh", "--table", "a", "--table", ""], {}, ["--table", "it is empty"]),
        (["refresh", "--timeout", "5s"], {}, ["--timeout", "--wait is missing"]),
        (["refresh", "--wait", "--timeout", "soon"], {}, ["--timeout", "such as 15min"]),
        (["refresh", "--wait", "--timeout=-1s"], {}, ["--timeout", "such as 15min"]),
        (["status", "--colour"], {}, ["--colour", "Try `seeder status --help`."]),
        (["cancel"], {}, ["TABLE|RUN_ID", "Try `seeder cancel --help`."]),
        (["nightly"], {}, ["nightly", "Try `seeder --help`."]),
        (
            ["history", "sales", "--limit", "many"],
            {},
            ["--limit", "valid integer", "Try `seeder history --help`."],
        ),
        (["history", "sales", "--limit", "0"], {}, ["--limit", "greater than or equal to 1"]),
        (["schema", "show", "--as"], {}, ["--as", "--help`."]),
        (["refresh", "--table", ""], {}, ["--table", "it is empty"]),
        (["refresh", "--agency", " "], {}, ["--agency", "it is empty"]),
        (["cancel", ""], {}, ["TABLE|RUN_ID", "it is empty"]),
        (["history", ""], {}, ["it is empty"]),
    ],
)
def test_it_is_told_in_one_line(tmp_path: Path, arguments, settings, words) -> None:
    done = seeder(tmp_path, *arguments, **settings)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("seeder: ")
    assert done.stderr.count("\n") == 1
    assert "geheim" not in done.stderr
    for word in words:
        assert word in done.stderr


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "SEEDER_BROKER_URL is not set"),
        ({"SEEDER_BROKER_URL": "sentinel://:geheim@host/0"}, "sentinel:// is not supported"),
    ],
)
def test_celerys_own_command_tells_it_in_one_line_too(
    tmp_path: Path, settings: dict[str, str], words: str
) -> None:
    done = seeder(tmp_path, "worker", program=("celery", "-A", "seeder"), **settings)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert "geheim" not in done.stderr


def test_a_pool_that_is_not_there_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "celeryconfig.py").write_text("worker_pool = 'nosuch'\n")
    urls = {"SEEDER_DATABASE_URL": NOTHING_THERE, "SEEDER_BROKER_URL": "redis://127.0.0.1:1/0"}
    done = seeder(tmp_path, "worker", program=("celery", "-A", "seeder"), **urls)
    assert done.returncode == 2
    assert "worker_pool to 'nosuch', which can't be loaded (No module named 'nosuch')" in done.stderr
    assert done.stderr.count("\n") == 1


def test_without_a_command_there_is_help(tmp_path: Path) -> None:
    done = seeder(tmp_path)
    assert done.returncode == 2
    assert "Commands" in done.stdout + done.stderr
    assert seeder(tmp_path, "--help").returncode == 0
