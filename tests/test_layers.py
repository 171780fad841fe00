"""The layers: a file imports only from lines above its own, and importing one does no work."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "seeder"

#: From the bottom up: each line may import the lines above it and nothing of its own line, except that the
#: files of one folder may import each other. A new file or folder of seeder/ gets its place here.
LAYERS = """
errors wording
logs models run_ids
sql
supervision
config
embedded
postgres
schema manifests history
broker
matviews
schedule
equipment
runs seedings
maintenance diagnosis monitoring
app
tasks
signals
celery
web demo
cli
__main__
"""

LAYER = {name: number for number, line in enumerate(LAYERS.split("\n")) for name in line.split()}

#: Stands between two marks in docs/architecture.md: `python tests/test_layers.py` writes it there.
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- the layers, from tests/test_layers.py -->\n", "<!-- the end of the layers -->\n"

MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
)


def part(module: str) -> str:
    """The line's word for a module: ``seeder.sql.names`` belongs to ``sql``; the package itself to none."""
    return module.split(".")[1] if "." in module else ""


def source(module: str) -> Path:
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def imported(module: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and module of every import of ours, those inside functions too."""
    package = module if source(module).name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*parents, *filter(None, [node.module])]) if node.level else str(node.module)
            # What comes straight from the package is a file of its own, or a name like __version__.
            found = [
                f"{base}.{alias.name}" if base == "seeder" and f"seeder.{alias.name}" in MODULES else base
                for alias in node.names
            ]
        else:
            continue
        yield from ((node.lineno, name) for name in found if name.split(".")[0] == "seeder")


def violations(module: str, text: str) -> list[str]:
    own = part(module)
    return [
        f"{source(module).relative_to(ROOT)}:{line} imports {name}, which is not below it"
        for line, name in imported(module, ast.parse(text))
        if part(name) not in ("", own) and LAYER.get(part(name), len(LAYER)) >= LAYER.get(own, -1)
    ]


def picture() -> str:
    """The layers from the top down, each place with the first sentence of its docstring."""
    lines = ["| place | what it is for |", "| --- | --- |"]
    for layer in reversed(LAYERS.strip().split("\n")):
        for name in layer.split():
            folder = (PACKAGE / name).is_dir()
            said = ast.get_docstring(ast.parse(source(f"seeder.{name}").read_text())) or ""
            first = " ".join(said.split("\n\n")[0].split()).replace("``", "`").replace("|", "\\|")
            lines.append(f"| `{name}{'/' if folder else ''}` | {first} |")
        lines.append("| | |")
    return "\n".join(lines[:-1]) + "\n"


def test_the_picture_of_the_architecture_is_the_layers() -> None:
    page = PAGE.read_text()
    assert page.partition(BEGIN)[2].partition(END)[0] == picture(), (
        "docs/architecture.md shows other layers: python tests/test_layers.py draws them anew"
    )


def test_no_folder_outgrows_a_reader() -> None:
    """Who reads only the listing should know what happens in a night, and who opens a file read all of it."""
    assert len(list(PACKAGE.glob("*.py"))) <= 12
    full = [
        folder for folder in PACKAGE.rglob("*") if folder.is_dir() and len(list(folder.glob("*.py"))) > 20
    ]
    assert full == []
    long = [path for path in PACKAGE.rglob("*.py") if len(path.read_text().splitlines()) > 300]
    assert long == []


@pytest.mark.parametrize("module", MODULES)
def test_a_file_imports_only_from_lower_layers(module: str) -> None:
    assert not part(module) or part(module) in LAYER, (
        f"{part(module)} is new: give it its place in LAYERS of {Path(__file__).name}"
    )
    assert violations(module, source(module).read_text()) == []


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("seeder.errors", "from seeder.config.settings import Settings"),
        ("seeder.models", "import seeder.postgres.backend_usage"),
        ("seeder.sql.names", "def lazily():\n    from seeder.cli import main"),
        ("seeder.sql.names", "from .. import app"),
        ("seeder.history.rows", "from ..manifests import Manifest"),
        ("seeder.models", "from seeder import app, errors"),
        ("seeder.cli.status", "import seeder.nowhere"),
    ],
)
def test_an_import_upwards_or_sideways_is_found(module: str, text: str) -> None:
    assert len(violations(module, text)) == 1


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("seeder.sql.names", "from seeder.sql.tokens import scan"),
        ("seeder.sql.names", "from . import tokens"),
        ("seeder.sql.names", "from ..errors import NameRefused"),
        ("seeder.manifests", "from seeder import __version__\nimport sqlalchemy"),
    ],
)
def test_imports_downwards_and_within_a_folder_are_let_pass(module: str, text: str) -> None:
    assert violations(module, text) == []


# --- the doors -------------------------------------------------------------------------------------------

#: Folders whose inside is their own: others import the names in ``__all__``, and from these sub-packages.
DOORS = {"seeder.matviews": ("locks", "query", "insight", "freshness")}


def past_the_door(door: str, text: str) -> list[str]:
    """What a file outside the folder imports of its inside."""
    init = ast.parse(source(door).read_text())
    names = next(
        ast.literal_eval(node.value)
        for node in init.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found += [alias.name.removeprefix(f"{door}.") for alias in node.names if f"{door}." in alias.name]
        elif isinstance(node, ast.ImportFrom) and node.module == door:
            found += [alias.name for alias in node.names if alias.name not in names]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{door}."):
            found.append(str(node.module).removeprefix(f"{door}."))
    return [name for name in found if name.split(".")[0] not in DOORS[door]]


@pytest.mark.parametrize("door", DOORS)
def test_others_import_a_folder_through_its_door_or_a_named_part(door: str) -> None:
    others = [module for module in MODULES if not f"{module}.".startswith(f"{door}.")]
    inside = {module: past_the_door(door, source(module).read_text()) for module in others}
    assert {module: names for module, names in inside.items() if names} == {}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("from seeder.matviews import Policy, stamp", ["stamp"]),
        ("from seeder.matviews.stamp import Stamp", ["stamp"]),
        ("import seeder.matviews.swap.build", ["swap.build"]),
        (
            "from seeder.matviews import Policy, locks\nfrom seeder.matviews.query.estimate import estimate",
            [],
        ),
    ],
)
def test_an_import_past_a_door_is_found(text: str, found: list[str]) -> None:
    assert past_the_door("seeder.matviews", text) == found


# --- names -----------------------------------------------------------------------------------------------

#: Folders in which a public name of a module is a name of no other one.
ONE_MEANING = ("maintenance", "manifests", "matviews", "monitoring", "runs", "schema", "seedings", "sql")
#: Its names repeat some of matviews' own: SOURCES, LOOK and the like.
FRESHNESS = PACKAGE / "matviews" / "freshness"


def defined(text: str) -> Iterator[str]:
    """The public names that a module defines itself, but for its logger."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.Assign):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        else:
            continue
        yield from (name for name in names if not name.startswith("_") and name != "log")


@pytest.mark.parametrize("folder", ONE_MEANING)
def test_a_name_means_one_thing_in_its_folder(folder: str) -> None:
    found: dict[str, list[str]] = {}
    for path in sorted((PACKAGE / folder).rglob("*.py")):
        if path.is_relative_to(FRESHNESS):
            continue
        for name in defined(path.read_text()):
            found.setdefault(name, []).append(str(path.relative_to(PACKAGE)))
    assert {name: files for name, files in found.items() if len(files) > 1} == {}


# --- importing does no work ------------------------------------------------------------------------------

#: What `python -m seeder` and `celery -A seeder` load in order to run it.
PROGRAMS = {"__main__", "celery"}

#: Imports each module in turn and prints what it did meanwhile that reaches outside its own memory.
WATCH = r"""
import importlib, os, sys, threading

importing = None
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
DEEDS = {
    "socket.connect", "socket.bind", "socket.getaddrinfo", "subprocess.Popen", "os.fork", "os.exec",
    "os.system", "os.posix_spawn", "os.mkdir", "os.remove", "os.rename", "os.putenv",
}

def watch(event, arguments):
    opens = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING
    if importing and (opens or event in DEEDS):
        sys.__stdout__.write(f"{importing}: {event} {arguments!r}\n")

def watched_start(thread, start=threading.Thread.start):
    # No audit event tells of a thread before Python 3.12.
    sys.__stdout__.write(f"{importing}: starts {thread!r}\n")
    start(thread)

threading.Thread.start = watched_start
sys.addaudithook(watch)
for importing in sys.argv[1:]:
    importlib.import_module(importing)
importing = None
"""


def deeds(modules: list[str], folder: Path, path: Path = ROOT) -> str:
    """What importing the modules does in a process without any environment, in an empty folder."""
    done = subprocess.run(
        [sys.executable, "-B", "-c", WATCH, *modules],
        cwd=folder,
        env={"PYTHONPATH": str(path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert list(folder.iterdir()) == []
    return done.stdout


def test_importing_any_module_does_no_work(tmp_path: Path) -> None:
    assert deeds([module for module in MODULES if part(module) not in PROGRAMS], tmp_path) == ""


@pytest.mark.parametrize(
    "work",
    [
        "import socket; socket.socket().connect_ex(('127.0.0.1', 9))",
        "open('/dev/null', 'w')",
        "import subprocess; subprocess.run(['true'])",
        "import threading; threading.Thread(target=print, daemon=True).start()",
    ],
)
def test_work_done_by_an_import_is_found(work: str, tmp_path: Path) -> None:
    (tmp_path / "worker").mkdir()
    (tmp_path / "worker" / "busy.py").write_text(work)
    (tmp_path / "empty").mkdir()
    assert "busy: " in deeds(["busy"], tmp_path / "empty", tmp_path / "worker")


@pytest.mark.parametrize(
    ("modules", "kept_out"),
    [
        (["equipment"], {"celery"}),
        (["matviews", "history", "diagnosis.check", "diagnosis.forecast"], {"celery"}),
        (["cli", "cli.commands"], {"celery", "sqlalchemy", "pglast"}),
    ],
)
def test_who_only_needs_a_database_loads_no_celery_and_the_help_loads_neither(
    modules: list[str], kept_out: set[str]
) -> None:
    code = f"import sys, {', '.join(f'seeder.{one}' for one in modules)}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert not kept_out & set(done.stdout.split())


if __name__ == "__main__":
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(before + BEGIN + picture() + END + rest.partition(END)[2])
