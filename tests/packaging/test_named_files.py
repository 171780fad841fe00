"""What comments and pages name of our own files is there: a file that moves takes its mentions along."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLACES = ("", "seeder", "seeder/web", "tests", "benchmarks")

#: A path of ours, from the top or from below one of PLACES, and a module with all its packages.
PATH = re.compile(r"(?<![\w./:<*-])((?:[a-z_]\w*/)+[a-z_]\w*\.py)\b")
MODULE = re.compile(r"(?<![\w./-])seeder((?:\.[a-z_]\w*)+)")
#: Of PostgreSQL, Celery and the like, and what the tests make themselves.
NOT_OURS = re.compile(
    r"^(?:celery|kombu|virtual|worker|app|redis|psycopg2|uvicorn|site-packages|ours|lib|src)/"
)


def text_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "*.py", "*.md", "*.html", "*.js", "*.toml", "*.yml", "Makefile"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in listed.stdout.split() if (ROOT / name).is_file()]


def is_there(path: str) -> bool:
    return bool(NOT_OURS.match(path)) or any((ROOT / place / path).exists() for place in PLACES)


def is_a_module(dotted: str) -> bool:
    """One word alone may be a task or a key in Redis; the last one may be a name in a file."""
    place, words = ROOT / "seeder", dotted.strip(".").split(".")
    if not (place / words[0]).is_dir():
        return True
    for word in words:
        if (place / word).is_dir():
            place /= word
        elif (place / f"{word}.py").is_file():
            return True
        else:
            return word in (place / "__init__.py").read_text() and word is words[-1]
    return True


def missing(text: str) -> list[str]:
    return [path for path in PATH.findall(text) if not is_there(path)] + [
        f"seeder{dotted}" for dotted in MODULE.findall(text) if not is_a_module(dotted)
    ]


@pytest.mark.parametrize("of", ["seeder", "tests", "docs", "others"])
def test_files_of_ours_that_are_named_are_there(of: str) -> None:
    found = {}
    for path in text_files():
        name = path.relative_to(ROOT)
        first = name.parts[0] if name.parts[0] in ("seeder", "tests", "docs") else "others"
        if first == of and path != Path(__file__) and (gone := missing(path.read_text())):
            found[str(name)] = gone
    assert found == {}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see seeder/sweeping.py", ["seeder/sweeping.py"]),
        ("`matviews/lock.py` and `matviews/locks/lock.py`", ["matviews/lock.py"]),
        ("(seeder.matviews.tally) (seeder.matviews.measure)", ["seeder.matviews.tally"]),
        ("celery call seeder.refresh_all, docs/costs.md, seeder.matviews.Policy", []),
    ],
)
def test_a_name_of_a_file_that_is_gone_is_found(text: str, found: list[str]) -> None:
    assert missing(text) == found
