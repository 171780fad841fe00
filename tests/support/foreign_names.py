"""Reads which names of other packages a file touches, and whether an installed package still has them."""

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from functools import cache, reduce
from pathlib import Path
from types import ModuleType
from typing import Any

from seeder.broker.insides import INSIDES

PACKAGE = Path(__file__).parent.parent.parent / "seeder"

#: Where insides may be touched.
AT_HOME = ("broker/", "web/serving/")

FOREIGN = {
    "amqp", "billiard", "celery", "fastapi", "flower", "httptools", "kombu", "redis", "starlette",
    "structlog", "uvicorn", "vine",
}  # fmt: skip

#: What the packages' own documentation describes for whoever uses them. A module stands for all in it.
DOCUMENTED = {
    # https://docs.celeryq.dev/en/stable/reference/
    "celery:Celery",
    "celery:Task",
    "celery:signals",
    # https://docs.celeryq.dev/en/stable/userguide/extending.html
    "celery:bootsteps",
    "celery.exceptions",
    # https://docs.celeryq.dev/en/stable/userguide/periodic-tasks.html, and celery.schedules of the reference
    "celery.schedules:BaseSchedule",
    "celery.schedules:crontab",
    # https://docs.celeryq.dev/en/stable/userguide/tasks.html#requests-and-custom-requests
    "celery.worker.request:Request",
    # https://docs.celeryq.dev/en/stable/userguide/extending.html#consumer
    "celery.worker.consumer:Consumer",
    # https://docs.celeryq.dev/projects/kombu/en/stable/reference/
    "kombu:serialization",
    "kombu.connection:Connection",
    "kombu.entity",
    "kombu.exceptions",
    "kombu.transport:TRANSPORT_ALIASES",
    "kombu.transport:redis",
    "kombu.transport:virtual",
    "kombu.utils.url:parse_url",
    # https://redis.readthedocs.io
    "redis",
    "redis.backoff",
    "redis.exceptions",
    "redis.retry",
    "structlog",
    "structlog.typing",
    # https://www.uvicorn.org, https://fastapi.tiangolo.com/reference/, https://www.starlette.io
    "uvicorn",
    "fastapi",
    "fastapi.exceptions",
    "fastapi.security",
    "starlette.concurrency",
    "starlette.datastructures",
    "starlette.exceptions",
    "starlette.middleware",
    "starlette.requests",
    "starlette.responses",
    "starlette.staticfiles",
    "starlette.types",
}

#: Of these classes a subclass may define what the documentation of each says.
MADE_FOR_SUBCLASSES = {
    "celery:bootsteps.StartStopStep",
    "celery:bootsteps.Step",
    "celery.schedules:BaseSchedule",
}

#: Names that are documented: of named tuples, of rows, of the standard library, of Celery's app.
PUBLIC = {"_asdict", "_replace", "_fields", "_make", "_mapping", "_exit", "config_from_object"}

#: A module's name as text; but for what a bootstep requires, which is documented.
NAME = re.compile(
    r"(?!celery\.worker\.components:Pool$)(amqp|billiard|celery|flower|kombu|uvicorn|vine)(\.\w+)+(:\w+)?"
)


def resolved(name: str) -> Any:
    """The module, class or function of that name; AttributeError where it is gone."""
    module, _, path = name.partition(":")
    try:
        return reduce(getattr, path.split(".") if path else [], importlib.import_module(module))
    except AttributeError:
        # A module that nobody has imported yet isn't an attribute of its package.
        first, _, rest = path.partition(".")
        return reduce(getattr, rest.split(".") if rest else [], importlib.import_module(f"{module}.{first}"))


def owner_of(name: str) -> tuple[str, str]:
    """``module:Class.name`` → ``module:Class`` and the name; of ``module:name`` the module."""
    owner, _, last = name.rpartition("." if "." in name.partition(":")[2] else ":")
    return owner, last


def sets_attribute(owner: type, attribute: str) -> bool:
    """Whether a class sets an attribute of that name on its objects, or on whatever it is given."""
    return any(
        isinstance(node, ast.Attribute) and node.attr == attribute and isinstance(node.ctx, ast.Store)
        for one in owner.__mro__
        if one.__module__.split(".")[0] in FOREIGN
        for written in classes_of(one.__module__)
        # A bootstep's name is that of its module as well.
        if written.name == one.__name__.rpartition(".")[2]
        for node in ast.walk(written)
    )


@cache
def classes_of(module: str) -> list[ast.ClassDef]:
    """The classes in a module's source."""
    tree = ast.parse(inspect.getsource(importlib.import_module(module)))
    return [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]


def signature(function: Any) -> str:
    """Its parameters without annotations, and with defaults that are the same in each process."""
    found = inspect.signature(function)
    bare = [one.replace(annotation=inspect.Parameter.empty) for one in found.parameters.values()]
    text = str(found.replace(parameters=bare, return_annotation=inspect.Signature.empty))
    return re.sub(r"<(?:class '([\w.]+)'|built-in function (\w+)|function (\w+) at \w+)>", r"\1\2\3", text)


@cache
def table() -> dict[str, set[type | ModuleType]]:
    """The last part of each name → whose it is."""
    found: dict[str, set[type | ModuleType]] = {}
    for inside in INSIDES:
        owner, last = owner_of(inside.name)
        found.setdefault(last, set()).add(resolved(owner))
    return found


def imports(tree: ast.AST) -> dict[str, str]:
    """Each name in a file that is another package's → ``module:name``."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and not node.level and str(node.module).split(".")[0] in FOREIGN:
            found |= {one.asname or one.name: f"{node.module}:{one.name}" for one in node.names}
        elif isinstance(node, ast.Import):
            found |= {
                one.asname or one.name: one.name for one in node.names if one.name.split(".")[0] in FOREIGN
            }
    return found


def defined(tree: ast.AST) -> set[str]:
    """What a file or a class itself names."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.attr if isinstance(node, ast.Attribute) else node.id)
    return found


def touched(text: str) -> Iterator[str]:
    """What of other packages a file touches that they don't document, in the table or not."""
    tree = ast.parse(text)
    names, own = imports(tree), defined(tree)
    for name in names.values():
        if name not in DOCUMENTED and name.partition(":")[0] not in DOCUMENTED:
            yield name
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield from touched_by_class(node, names)
        elif isinstance(node, ast.Attribute):
            private = node.attr.startswith("_") and not node.attr.startswith("__")
            if (private and node.attr not in own | PUBLIC) or node.attr in telling():
                yield f".{node.attr}"
        elif isinstance(node, ast.Constant) and NAME.fullmatch(str(node.value)):
            yield repr(node.value)


@cache
def telling() -> set[str]:
    """Names of the table that say by themselves whose they are: no file of ours means something else by
    them."""
    ours = {
        name
        for path in PACKAGE.rglob("*.py")
        if not str(path.relative_to(PACKAGE)).startswith(AT_HOME)
        for name in defined(ast.parse(path.read_text()))
    }
    return {name for name in table() if "_" in name} - ours - PUBLIC


def touched_by_class(node: ast.ClassDef, names: dict[str, str]) -> Iterator[str]:
    """What a subclass of another package's class overrides, uses or sets of it."""
    for base in map(ast.unparse, node.bases):
        first, _, rest = base.partition(".")
        if first not in names:
            continue
        name = f"{names[first]}.{rest}" if rest and ":" in names[first] else f"{names[first]}:{rest}"
        name = name.rstrip(":")
        if name in MADE_FOR_SUBCLASSES:
            continue
        theirs = resolved(name)
        its_own = {one.name for one in node.body if isinstance(one, ast.FunctionDef)}
        its_own |= {
            t.id
            for one in node.body
            if isinstance(one, ast.Assign)
            for t in one.targets
            if isinstance(t, ast.Name)
        }
        used = {
            one.attr
            for one in ast.walk(node)
            if isinstance(one, ast.Attribute) and ast.unparse(one.value) in ("self", "super()")
        }
        for attribute in sorted(its_own | used):
            if attribute.startswith("__"):
                continue
            if hasattr(theirs, attribute) or (attribute not in its_own and sets_attribute(theirs, attribute)):
                yield f"{name}.{attribute}"


def listed(name: str) -> bool:
    """Whether the table has what `touched` found, of the same class or one that it inherits from."""
    if name.startswith("."):
        return name[1:] in table()
    if name.startswith("'"):
        return True
    owner, last = owner_of(name)
    whose = resolved(owner)
    if table().get(last, set()) & set(whose.__mro__ if isinstance(whose, type) else [whose]):
        return True
    # A class or a module that is imported for what the table lists of it.
    return "." not in name.partition(":")[2] and any(resolved(name) in found for found in table().values())
