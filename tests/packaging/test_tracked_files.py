"""What may not be in the repository: addresses and paths of the machines it was worked on."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]

# Put together here, or this file would be the first to break its own rule.
FORBIDDEN = [
    r"pypi\." + r"org",
    r"python" + r"hosted\.org",
    r"deb\." + r"debian\.org",
    r"registry\." + r"npmjs",
    r"proxy\." + r"golang",
    r"static\." + r"crates",
    r"(?<![\w.$}])/wor" + r"k/",
    r"(?<![\w.$}])/roo" + r"t/",
    r"(?<![\w.$}])/opt/(pypi|whe" + r"els)",
    r"(?<![\w.$}])/tm" + r"p/(h|v|dev)/",
    r"://[^/\s:@$]+:[^/\s@$]+@[^\s]*\.(internal|lo" + r"cal)\b",
]


def tracked() -> list[Path]:
    # The clone may belong to another user than the one who tests it; git refuses that unless told.
    listing = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [path for name in listing.split("\0") if name and (path := ROOT / name).is_file()]


def test_no_file_names_a_package_host_or_a_path_of_a_machine() -> None:
    files = tracked()
    assert ROOT / "Makefile" in files
    found = [
        f"{path.relative_to(ROOT)}: {hit[0]}"
        for path in files
        for hit in re.finditer("|".join(FORBIDDEN), path.read_text(errors="replace"))
    ]
    assert found == []


def test_the_rule_finds_what_it_is_for() -> None:
    for text in ("https://pypi" + ".org/simple", "cd /wor" + "k/main", "'/roo" + "t/x'", "/tm" + "p/h/x"):
        assert re.search("|".join(FORBIDDEN), text)
    for text in ("src/work/x", "$HOME/root/x", "https://docs.celeryq.dev/", "/tmp/seeder-tests-x/"):
        assert not re.search("|".join(FORBIDDEN), text)


def test_nothing_a_run_leaves_behind_is_tracked() -> None:
    leftovers = {".venv", ".seeder", ".env", ".coverage", "uv.lock", "__pycache__"}
    assert [path for path in tracked() if leftovers & set(path.relative_to(ROOT).parts)] == []


def test_no_two_files_of_tests_bear_one_name() -> None:
    """pytest imports them by their names alone, and refuses the second."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))
