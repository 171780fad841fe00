"""A world and a worker for a whole module, since a worker takes two seconds to start."""

from collections.abc import Iterator
from typing import Any

import pytest
from support.emptied import fresh_database
from support.processes import STARTED, Worker, pool_arguments
from support.world import World


@pytest.fixture(scope="module")
def pool() -> str:
    """The default one. A module whose tests hold for ``prefork`` too overrides this with both."""
    return "threads"


@pytest.fixture(scope="module")
def module_database_url(postgres_url: str, pool: str) -> Iterator[str]:
    """A fresh, empty database for all tests of a module with one pool."""
    with fresh_database(postgres_url) as url:
        yield url


@pytest.fixture(scope="module")
def world(
    request: pytest.FixtureRequest,
    module_database_url: str,
    module_broker_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[World]:
    """The module's platform, with its SETTINGS; tests keep out of each other's way by their tables' names."""
    settings = getattr(request.module, "SETTINGS", {})
    world = World(module_database_url, module_broker_url, tmp_path_factory.mktemp("world"), **settings)
    yield world
    world.close()


@pytest.fixture(scope="module")
def worker(world: World, pool: str) -> Iterator[Worker]:
    """A worker with that pool, four refreshes at a time."""
    with world.worker(*pool_arguments(pool)) as worker:
        yield worker


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """A failed test shows what the processes in it said last."""
    report = yield
    if report.failed:
        for process in STARTED:
            if call.start - 60 < process.log.stat().st_mtime:
                lines = process.log.read_text(errors="replace").splitlines()[-60:]
                report.sections.append((f"log of {process.name}", "\n".join(lines)))
    return report
