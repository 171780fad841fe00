"""The gate runs what the README names, in order, and stops at the first failure.

It is run here beside a Makefile that only says what was asked of it, and without apt-get on the PATH.
"""

import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STEPS = ["env", "lint", "test", "fuzz", "demo", "demo", "chaos"]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    folder = tmp_path / "a clone"
    (folder / ".ci").mkdir(parents=True)
    shutil.copy(ROOT / ".ci/run", folder / ".ci")
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("bash", "dirname", "make", "sh", "sleep", "timeout"):
        found = shutil.which(name)
        assert found, name
        (programs / name).symlink_to(found)
    return folder


def run(clone: Path, recipe: str) -> subprocess.CompletedProcess[str]:
    (clone / "Makefile").write_text(f"%:\n\t@echo CI=$$CI make $@\n\t@{recipe}\n")
    return subprocess.run(
        [clone / ".ci/run"],
        cwd="/",
        env={"PATH": str(clone.parent / "programs")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def asked(output: str) -> list[str]:
    return [line.removeprefix("CI=true make ") for line in output.splitlines() if line.startswith("CI=")]


@pytest.mark.skipif(not Path("/usr/bin/env").exists(), reason="the gate's first line needs /usr/bin/env")
def test_the_gate_checks_tests_runs_the_demo_twice_and_breaks_things(clone: Path) -> None:
    done = run(clone, ":")
    assert done.returncode == 0, done.stdout
    assert asked(done.stdout) == STEPS
    assert done.stdout.splitlines()[-1].startswith("=== all done in ")


@pytest.mark.parametrize("failing", [*STEPS[:5], "chaos"])
def test_the_gate_stops_at_the_first_failure(clone: Path, failing: str) -> None:
    failed = run(clone, f"test $@ != {failing}")
    assert failed.returncode == 1
    assert asked(failed.stdout) == STEPS[: STEPS.index(failing) + 1]
    last = failed.stdout.splitlines()[-1]
    assert last.startswith("=== FAILED after ")
    assert f"(make {failing})" in last


def test_the_gate_says_which_versions_it_runs_on_before_it_tests(clone: Path) -> None:
    python = clone / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!{shutil.which("bash")}\nexec {shlex.quote(sys.executable)} "$@"\n')
    python.chmod(0o755)
    lines = run(clone, ":").stdout.splitlines()
    before = lines[: lines.index("CI=true make test")]
    assert f"{'Python':22} Python {platform.python_version()}" in before
    assert f"{'celery':22} {version('celery')}" in before
    (wheel,) = [line for line in before if line.startswith("PostgreSQL (wheel)")]
    assert re.search(r"\(PostgreSQL\) 1[89]\.\d+$", wheel)
    (bouncer,) = [line for line in before if line.startswith("PgBouncer")]
    assert bouncer.endswith(" missing"), "it isn't on this PATH"


def test_the_gate_upgrades_the_packages_that_are_there_already(clone: Path) -> None:
    """apt-get leaves the newest as it is; that a package is installed says nothing of its version."""
    asked_for = clone / "apt-get.log"
    programs = clone.parent / "programs"
    for name, script in {
        "apt-get": f'echo "$@" >>"{asked_for}"',
        # Of a normal user. Without exec: `true` is the shell's own.
        "sudo": '[ "$1" = --non-interactive ] && shift; "$@"',
        "npm": ":",
        # This machine's own policy stays as it is.
        "tee": "while read -r; do :; done",
        "chmod": ":",
        "rm": ":",
    }.items():
        (programs / name).write_text(f"#!{programs}/bash\n{script}\n")
        (programs / name).chmod(0o755)
    (programs / "env").symlink_to(shutil.which("env") or "")
    assert run(clone, ":").returncode == 0
    update, install = asked_for.read_text().splitlines()
    assert update.endswith("update")
    assert {"install", "postgresql-15", "redis-server", "pgbouncer"} < set(install.split())
    assert "npm" not in install.split()


def test_the_gate_can_be_started_as_a_program() -> None:
    assert os.access(ROOT / ".ci/run", os.X_OK)


def test_the_gate_and_the_makefile_know_the_commands_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    gate = (ROOT / ".ci/run").read_text()
    for command in ("make demo", "make test"):
        assert command in readme
        assert f"({command})' {command}" in gate
