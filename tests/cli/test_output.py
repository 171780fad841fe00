"""What a terminal, a pipe and a shell make of the command: encodings, readers that go, help, completion."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.contract import Platform
from support.forked import run_module
from typer.main import get_command

import seeder
from seeder.cli.commands import application

SCRIPT = Path(sys.executable).with_name("seeder")
LONG = "größter Umsatz – 売上高"


def run(*arguments: str, line: str | None = None, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """The command in a process of its own; or a line of bash, in which it is "$seeder"."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SEEDER_")}
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line] if line else [SCRIPT, *arguments],
        env={**clean, "seeder": str(SCRIPT), **environment},
        capture_output=True,
        timeout=60,
        check=False,
    )


def completed(folder: Path, **asked: str) -> str:
    """What a shell is told that asks about a line."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SEEDER_")}
    return run_module(["seeder"], cwd=folder, env={**clean, **asked}).stdout


@pytest.fixture
def there(platform: Platform) -> dict[str, str]:
    """A platform with names that not every encoding has, as settings."""
    platform.custom(1, table_name="sales", report_name=LONG)
    return {"SEEDER_DATABASE_URL": platform.url}


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    ],
    ids=["ascii", "latin-1", "C"],
)
def test_what_the_output_cannot_hold_is_replaced(there: dict[str, str], environment: dict[str, str]) -> None:
    done = run("status", "--all", **there, **environment)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"sales" in done.stdout
    assert b"Umsatz" in done.stdout


def test_what_is_said_in_json_is_never_replaced(there: dict[str, str]) -> None:
    done = run("status", "--json", **there, PYTHONIOENCODING="ascii")
    assert json.loads(done.stdout)["jobs"][0]["report_name"] == LONG


def test_a_name_that_is_no_text_is_wrong_use() -> None:
    done = run(line="\"$seeder\" history $'\\xff\\xfe'", SEEDER_DATABASE_URL="postgresql://127.0.0.1:1/x")
    assert done.returncode == 2
    assert b"isn't text in this terminal's encoding" in done.stderr
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("words", ["status --all", "status --json", "--help"])
def test_a_reader_that_goes_leaves_no_traceback(
    platform: Platform, there: dict[str, str], words: str
) -> None:
    # More than a pipe holds, so that the command notices while it writes.
    platform.sql("""
        insert into reporting.seeder_custom_report_manifest
            (id, table_name, report_name, agency_id, agency_slug, query, enabled)
        select n, 'report_' || n, 'Report', 7, 'ua', 'select 1', true from generate_series(2, 1000) n
    """)
    done = run(line=f'"$seeder" {words} | head -1', **there)
    assert (done.stderr, done.stdout.count(b"\n")) == (b"", 1)
    assert done.returncode in (0, 141)
    # And one that never read: what was to be written is less than a pipe holds, too.
    done = run(line=f'"$seeder" {words} | (exec 0<&-)', **there)
    assert (done.returncode, done.stderr) == (141, b"")


def test_an_output_that_cannot_be_written_is_told_in_one_line(there: dict[str, str]) -> None:
    for words in ("status", "schema show"):
        done = run(line=f'"$seeder" {words} > /dev/full', **there)
        assert (done.returncode, done.stderr.count(b"\n")) == (2, 1), done.stderr
        assert b"can't be written: No space left on device" in done.stderr
        done = run(line=f'"$seeder" {words} >&-', **there)
        assert (done.returncode, done.stderr) == (0, b""), words


def every_command(group, words=()):
    yield words
    for name, command in getattr(group, "commands", {}).items():
        yield from every_command(command, (*words, name))


def test_every_command_takes_a_short_question_for_help(capsys) -> None:
    group = get_command(application)
    found = list(every_command(group))
    assert len(found) > 15
    for words in found:
        shown = []
        for option in ("-h", "--help"):
            assert group.main([*words, option], prog_name="seeder", standalone_mode=False) == 0
            shown.append(capsys.readouterr().out)
        assert shown[0] == shown[1], words
        assert "Usage: seeder" in shown[0]


LOADED = """
import sys
import seeder.cli
sys.argv = ["seeder", *sys.argv[1:]]
try:
    seeder.cli.main()
finally:
    print("loaded:", *{name.partition(".")[0] for name in sys.modules}, file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("words", "unneeded"),
    [(["--help"], {"celery", "sqlalchemy", "pydantic", "pglast"}), (["status"], {"celery"})],
    ids=["help", "status"],
)
def test_a_command_waits_for_nothing_that_it_does_not_need(
    there: dict[str, str], words: list[str], unneeded: set[str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *words],
        env={**os.environ, **there},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    loaded = set(done.stderr.rpartition("loaded:")[2].split())
    assert "typer" in loaded
    assert not loaded & unneeded


def test_the_version_is_told() -> None:
    done = run("--version")
    assert (done.returncode, done.stdout.decode()) == (0, f"seeder {seeder.__version__}\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_given_its_script(shell: str) -> None:
    done = run(_SEEDER_COMPLETE=f"source_{shell}")
    assert (done.returncode, done.stderr) == (0, b"")
    assert f"_SEEDER_COMPLETE=complete_{shell}" in done.stdout.decode()
    if shell == "bash":
        assert run(line=f"bash -n <<'END'\n{done.stdout.decode()}\nEND").returncode == 0


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("seeder sta", {"status"}),
        ("seeder schema ", {"show", "apply", "check"}),
        ("seeder refresh --fa", {"--failing"}),
        ("seeder status --type c", {"custom", "canned"}),
    ],
)
def test_a_shell_asks_how_a_line_may_go_on(tmp_path: Path, typed: str, wanted: set[str]) -> None:
    words = typed.split(" ")
    asked = {"COMP_WORDS": typed, "COMP_CWORD": str(len(words) - 1), "_SEEDER_COMPLETE": "complete_bash"}
    assert set(completed(tmp_path, **asked).split()) == wanted
    asked = {"_TYPER_COMPLETE_ARGS": typed, "_SEEDER_COMPLETE": "complete_zsh"}
    assert wanted <= set(completed(tmp_path, **asked).replace('"', " ").split())
    asked |= {"_SEEDER_COMPLETE": "complete_fish", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    assert {line.split("\t")[0] for line in completed(tmp_path, **asked).splitlines()} == wanted
