"""Fast tests need no server: which ones that are, and what stops one that starts a server nevertheless."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from seeder.embedded import servers

#: Fixtures that lead to a server without calling one of STARTERS: they ask for another one by its name.
SERVERS = frozenset({"any_database_url", "any_platform", "any_platform_of_module"})

#: What starts servers, or gives them a place.
STARTERS = frozenset({"new_home", "serving", "_postgres_url"})


def is_fast(item: pytest.Item) -> bool:
    """Whether a test asks for no server, itself or through its fixtures, and isn't marked as slow."""
    if not isinstance(item, pytest.Function) or item.get_closest_marker("slow"):
        return False
    fixtures = item._fixtureinfo.name2fixturedefs
    functions = [item.function, *(one.func for found in fixtures.values() for one in found)]
    return not SERVERS & set(fixtures) and not any(STARTERS & _called(one) for one in functions)


def _called(function: Any) -> set[str]:
    """The names of what a function calls, or one that is defined in it."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None:
        return set()
    inner = [one for one in code.co_consts if inspect.iscode(one)]
    return set(code.co_names).union(*(one.co_names for one in inner))


@contextmanager
def no_server() -> Iterator[None]:
    """In the block nothing starts a server."""

    def launch(*_: object, **__: object) -> None:
        pytest.fail("a fast test starts a server: let it ask for the fixture `home`, or mark it as slow")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(servers, "launch", launch)
        yield
