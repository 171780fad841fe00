"""Fast tests need neither a server nor a process: which ones that are, and what stops others."""

import ast
import inspect
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pytest

#: What a function names that starts servers or processes, gives them a place, or asks for a fixture that may
#: (its name isn't known before it runs).
STARTERS = frozenset(
    {"Kept", "Popen", "embedded", "getfixturevalue", "new_home", "serving", "subprocess", "supervise"}
)


def is_fast(item: pytest.Item) -> bool:
    """Whether nothing that a test or one of its fixtures calls starts a server or a process."""
    if not isinstance(item, pytest.Function) or item.get_closest_marker("slow"):
        return False
    fixtures = item._fixtureinfo.name2fixturedefs.values()
    functions = [item.function, *(one.func for found in fixtures for one in found)]
    return not any(STARTERS & names_of(one) for one in functions)


@cache
def names_of(function: Callable[..., Any]) -> frozenset[str]:
    """The names in a function, and in those of the tests' own functions that it calls."""
    found: set[str] = set()
    waiting = [inspect.unwrap(function)]
    seen: set[object] = set()
    while waiting:
        one = waiting.pop()
        # A test of Hypothesis' is called by a function that Hypothesis makes.
        one = getattr(getattr(one, "hypothesis", None), "inner_test", one)
        if one in seen or not isinstance(one, FunctionType):
            continue
        seen.add(one)
        names = _names_in(one.__code__)
        found |= names
        called = (
            inspect.unwrap(one.__globals__[name]) for name in names if callable(one.__globals__.get(name))
        )
        waiting += [other for other in called if not str(other.__module__).startswith("seeder.")]
    return frozenset(found)


def _names_in(code: CodeType) -> set[str]:
    inner = (one for one in code.co_consts if inspect.iscode(one))
    return set(code.co_names).union(*map(_names_in, inner))


def none_is_fast(path: Path, root: Path) -> bool:
    """Whether no test of that file is, told from its text and that of the conftest.py files down to it.

    To import all files that can be told like this took most of the time of the fast tests. A file of which
    it can't be told is imported.
    """
    folders = [folder for folder in (*reversed(path.parents), path) if folder.is_relative_to(root)]
    texts = [folder if folder == path else folder / "conftest.py" for folder in folders]
    functions = [one for text in texts if text.exists() for one in _functions_of(text)]
    fixtures = {one.name: one for one in functions if any("fixture" in words for words in _marks(one))}
    module = ast.parse(path.read_text())
    if any(
        isinstance(one, ast.Assign) and ast.unparse(one) == "pytestmark = pytest.mark.slow"
        for one in module.body
    ):
        return True
    tests = [one for one in _functions_of(path) if one.name.startswith("test_")]
    return bool(tests) and all(
        any(words == "pytest.mark.slow" for words in _marks(one))
        or _asks_for_a_start(one, fixtures, frozenset())
        for one in tests
    )


def _asks_for_a_start(
    function: ast.FunctionDef, fixtures: dict[str, ast.FunctionDef], known: frozenset[str]
) -> bool:
    """Whether one of its fixtures starts something, or one of theirs."""
    asked = {one.arg for one in (*function.args.args, *function.args.kwonlyargs)} & fixtures.keys() - known
    return any(
        STARTERS & _names_read(fixtures[name]) or _asks_for_a_start(fixtures[name], fixtures, known | {name})
        for name in asked
    )


def _functions_of(path: Path) -> list[ast.FunctionDef]:
    return [one for one in ast.parse(path.read_text()).body if isinstance(one, ast.FunctionDef)]


def _marks(function: ast.FunctionDef) -> list[str]:
    return [ast.unparse(one) for one in function.decorator_list]


def _names_read(function: ast.FunctionDef) -> set[str]:
    read = (one for one in ast.walk(function) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load))
    return {one.id for one in read}


@contextmanager
def no_process() -> Iterator[None]:
    """In the block nothing starts a server, nor any process."""

    def start(*_: object, **__: object) -> None:
        pytest.fail("a fast test starts a process: mark it as slow, or see tests/support/fast.py")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess.Popen, "__init__", start)
        patch.setattr(subprocess.Popen, "__del__", lambda _: None)
        yield
