"""The commands in the Makefile, run in a clone whose path holds what breaks careless quoting."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from seeder import embedded

ROOT = Path(__file__).parents[2]

#: A project that installs in a second and without any network: its build backend is a file of its own.
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
BACKEND = """
import zipfile
from pathlib import Path

FILES = {
    "seeder_cli.py": "def main():\\n    print('the demo ran')",
    "seeder-1.dist-info/METADATA": "Metadata-Version: 2.1\\nName: seeder\\nVersion: 1",
    "seeder-1.dist-info/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any",
    "seeder-1.dist-info/entry_points.txt": "[console_scripts]\\nseeder = seeder_cli:main",
    "seeder-1.dist-info/RECORD": "seeder-1.dist-info/RECORD,,",
}

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    with zipfile.ZipFile(Path(wheel_directory) / "seeder-1-py3-none-any.whl", "w") as wheel:
        for name, text in FILES.items():
            wheel.writestr(name, text + "\\n")
    return "seeder-1-py3-none-any.whl"
"""


def make(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    # Not what an outer make or coverage hands down: this one is to run as if typed.
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MAKE", "COVERAGE_", "SEEDER_", "PIP_"))
    }
    return subprocess.run(
        ["make", *words], cwd=folder, env=inherited | environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    folder = tmp_path / "a clone, with 'odd' (characters) & so"
    folder.mkdir()
    shutil.copy(ROOT / "Makefile", folder)
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "backend.py").write_text(BACKEND)
    (folder / "requirements.lock").touch()
    (folder / "requirements-dev.lock").touch()
    return folder


def test_every_command_has_a_line_in_the_help() -> None:
    commands = re.findall(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    listed = re.findall(r"^  ([a-z-]+) +\S", make(ROOT).stdout, re.MULTILINE)
    assert listed == commands
    wanted = "demo up test test-fast fuzz bench lint format lock clean clean-data"
    assert set(wanted.split()) <= set(listed)


def test_every_command_is_understood_from_a_path_with_spaces(clone: Path) -> None:
    for command in re.findall(r"^\.PHONY: (.+)$", (clone / "Makefile").read_text(), re.MULTILINE):
        planned = make(clone, "--dry-run", command)
        assert planned.returncode == 0, planned.stderr
        assert str(clone) not in planned.stdout


@pytest.mark.slow
def test_the_environment_is_made_once_and_again_when_it_no_longer_fits(clone: Path) -> None:
    first = make(clone, "demo")
    assert first.returncode == 0, first.stderr
    assert len(first.stdout.splitlines()) == 2
    assert first.stdout.startswith("Making .venv with Python 3.")
    assert first.stdout.endswith("the demo ran\n")

    assert make(clone, "demo").stdout == "the demo ran\n"

    # Times of files say nothing after a checkout.
    for file in clone.iterdir():
        os.utime(file)
    assert make(clone, "demo").stdout == "the demo ran\n"

    (clone / "backend.py").write_text(BACKEND.replace("the demo ran", "the new demo ran"))
    (clone / "pyproject.toml").write_text(PYPROJECT + "# changed\n")
    assert make(clone, "demo").stdout == "the new demo ran\n"

    # The scripts in .venv/bin hold the absolute path of the interpreter.
    moved = clone.rename(clone.with_name("moved"))
    assert make(moved, "demo").stdout == first.stdout.replace("the demo", "the new demo")

    (moved / "requirements.lock").write_text("# another lock\n")
    assert "Making .venv" in make(moved, "--dry-run", "demo").stdout


@pytest.mark.slow
def test_a_failing_installation_says_why_and_is_tried_again(clone: Path) -> None:
    (clone / "requirements.lock").write_text("celery==5.7.0\n")
    failed = make(clone, "demo")
    assert failed.returncode == 2
    assert "Hashes are required in --require-hashes mode" in failed.stderr
    assert "The installation failed; the reason is above." in failed.stderr
    assert "the demo ran" not in failed.stdout
    assert "Making .venv" in make(clone, "--dry-run", "demo").stdout


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("case $2 in *version_info\\[*) echo 3.10;; *) exit 1;; esac", "is Python 3.10."),
        (
            "case $2 in *ensurepip*) exit 1;; *) echo 3.11;; esac",
            "can't make environments (on Debian: apt install python3-venv).",
        ),
        ("exit 1", "can't be run."),
    ],
)
def test_an_unsuitable_python_is_named_with_the_way_out(clone: Path, answer: str, reason: str) -> None:
    python = clone / "some python"
    python.write_text(f"#!/bin/sh\n{answer}\n")
    python.chmod(0o755)
    refused = make(clone, f"PYTHON={python.name}", "demo", PATH=f"{clone}:{os.environ['PATH']}")
    assert refused.returncode == 2
    assert refused.stderr.startswith(
        f"seeder needs Python 3.11 or newer. some python {reason} Name another: "
    )
    assert not (clone / ".venv").exists()


def test_clean_keeps_the_data_and_clean_data_the_environment(clone: Path) -> None:
    for name in (".venv/bin", ".seeder/postgres", "seeder/__pycache__", ".seeder/__pycache__"):
        (clone / name).mkdir(parents=True)
    assert make(clone, "clean").returncode == 0
    assert {path.name for path in clone.iterdir() if path.is_dir()} == {".seeder", "seeder"}
    assert (clone / ".seeder/__pycache__").exists()
    assert not (clone / "seeder/__pycache__").exists()

    (clone / ".venv").mkdir()
    assert make(clone, "clean-data").returncode == 0
    assert {path.name for path in clone.iterdir() if path.is_dir()} == {".venv", "seeder"}


def test_nothing_is_removed_under_running_servers(clone: Path, home: Path) -> None:
    (clone / ".venv").mkdir()
    (clone / ".seeder").symlink_to(home)
    servers = embedded.start(home, with_postgres=False)
    try:
        for command in ("clean", "clean-data", "demo"):
            refused = make(clone, command)
            assert refused.returncode == 2
            assert refused.stderr.startswith("The embedded servers in .seeder are running. Stop them first")
        assert (clone / ".venv").exists()
        assert home.exists()
    finally:
        embedded.stop(servers)
    assert make(clone, "clean").returncode == 0
    assert not (clone / ".venv").exists()
