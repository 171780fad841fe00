"""Fast tests need neither a server nor a process: which ones that are, and what stops others."""

import inspect
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
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


@contextmanager
def no_process() -> Iterator[None]:
    """In the block nothing starts a server, nor any process."""

    def start(*_: object, **__: object) -> None:
        pytest.fail("a fast test starts a process: mark it as slow, or see tests/support/fast.py")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess.Popen, "__init__", start)
        patch.setattr(subprocess.Popen, "__del__", lambda _: None)
        yield
