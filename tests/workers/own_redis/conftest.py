"""A Redis that a module's tests have to themselves, to stop it, freeze it or fill it; with either pool."""

from collections.abc import Iterator

import pytest
from support.homes import new_home, serving
from support.processes import Worker, pool_arguments
from support.world import World

from seeder.embedded.server import Server


@pytest.fixture(scope="module", params=["threads", "prefork"])
def pool(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def redis(pool: str) -> Iterator[Server]:
    """With an append-only file."""
    with new_home() as home, serving(home, with_postgres=False) as servers:
        assert servers.redis is not None
        yield servers.redis


@pytest.fixture(scope="module")
def module_broker_url(redis: Server) -> str:
    return redis.url


@pytest.fixture(scope="module")
def worker(world: World, pool: str) -> Iterator[Worker]:
    """With events, whose heartbeats go out from its event loop, over the same Redis."""
    with world.worker("-E", *pool_arguments(pool)) as worker:
        yield worker
