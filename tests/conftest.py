"""The world the tests live in: real servers, started once; each test gets a database of its own.

The servers are the embedded ones and Debian's PostgreSQL 15, run by seeder's own launcher. To save their
start while developing, SEEDER_TEST_POSTGRES_URL, SEEDER_TEST_POSTGRES15_URL and SEEDER_TEST_REDIS_URL may
name ones that run already.
"""

import os
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from support.contract import Platform, platform_on
from support.emptied import fresh_broker, fresh_database
from support.fast import is_fast, no_process, none_is_fast
from support.homes import new_home, serving

from seeder import logs
from seeder.config.settings import Settings

if TYPE_CHECKING:
    from celery import Celery

    from seeder.equipment import Equipment

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("seeder", deadline=None)
hypothesis.settings.register_profile("fast", hypothesis.settings.get_profile("seeder"), max_examples=10)
hypothesis.settings.load_profile("seeder")

POSTGRES_15 = Path("/usr/lib/postgresql/15/bin")


#: Of the slow files those that take half a minute and more, the longest first: begun at the end, one of them
#: would leave the other processes without work.
LONGEST = [
    "test_every_page", "test_used_up_connections", "test_benchmarks", "test_up", "test_silent_redis",
    "test_monitoring", "test_redis_states", "test_makefile", "test_shutdown", "test_compose_file",
    "test_without_beat", "test_databases", "test_job_and_night", "test_redis_restarts", "test_full_redis",
    "test_postgres_restarts", "test_waiting", "test_refused_connections", "test_killed_workers", "test_ticks",
    "test_secrets",
]  # fmt: skip


def pytest_configure() -> None:
    """As every entry point does. A logger keeps to the configuration in which it was used first, so a test
    that reads what is logged would else depend on those before it."""
    logs.configure()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """What can't hold a fast test isn't imported where only those are wanted."""
    wanted = config.option.markexpr == "fast" and collection_path.name.startswith("test_")
    return True if wanted and none_is_fast(collection_path, Path(__file__).parent) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come last: a plain mistake shows within seconds."""
    for item in items:
        if is_fast(item):
            item.add_marker("fast")
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    turns = {name: turn for turn, name in enumerate(LONGEST)}
    items.sort(key=lambda item: (item.path in slow, turns.get(item.path.stem, len(turns))))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from support.distribution import Distribution

    return Distribution(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[Any]:
    # No fixture, which Hypothesis would take for one that it has to make anew for each example.
    with no_process() if item.get_closest_marker("fast") else nullcontext():
        return (yield)


@pytest.fixture
def home() -> Iterator[Path]:
    """Where a test may start embedded servers of its own; the folder isn't there yet."""
    with new_home() as folder:
        yield folder


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The maintenance database of the PostgreSQL the tests run on: the embedded one."""
    yield from _postgres_url("SEEDER_TEST_POSTGRES_URL", binaries=None)


@pytest.fixture(scope="session")
def postgres15_url() -> Iterator[str]:
    """The maintenance database of the oldest PostgreSQL that is supported."""
    if "SEEDER_TEST_POSTGRES15_URL" not in os.environ and not POSTGRES_15.is_dir():
        complain = pytest.fail if os.environ.get("CI") else pytest.skip
        complain(f"PostgreSQL 15 is not installed ({POSTGRES_15}): apt-get install postgresql-15")
    yield from _postgres_url("SEEDER_TEST_POSTGRES15_URL", binaries=POSTGRES_15)


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The Redis the tests run on, for tests that don't mind what else is in it."""
    if given := os.environ.get("SEEDER_TEST_REDIS_URL"):
        yield given
        return
    with new_home() as home, serving(home, with_postgres=False) as servers:
        assert servers.broker_url is not None
        yield servers.broker_url


@pytest.fixture
def database_url(postgres_url: str) -> Iterator[str]:
    """A fresh, empty database; dropped afterwards."""
    with fresh_database(postgres_url) as url:
        yield url


@pytest.fixture(params=["pg18", "pg15"])
def any_database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A fresh, empty database on each supported PostgreSQL in turn; a test that asks for it runs twice."""
    server = request.getfixturevalue({"pg18": "postgres_url", "pg15": "postgres15_url"}[request.param])
    with fresh_database(server) as url:
        yield url


@pytest.fixture(scope="module")
def platform_of_module(postgres_url: str) -> Iterator[Platform]:
    with fresh_database(postgres_url) as url, platform_on(url) as platform:
        yield platform


@pytest.fixture(scope="module")
def platform15_of_module(postgres15_url: str) -> Iterator[Platform]:
    with fresh_database(postgres15_url) as url, platform_on(url) as platform:
        yield platform


@pytest.fixture
def platform(request: pytest.FixtureRequest) -> Iterator[Platform]:
    """A database with the contract's tables, emptied after each test: on PostgreSQL 18, and for tests marked
    ON_EACH_VERSION (support.contract) on each supported one in turn."""
    on_15 = getattr(request, "param", "pg18") == "pg15"
    found: Platform = request.getfixturevalue("platform15_of_module" if on_15 else "platform_of_module")
    yield found
    found.empty()


@pytest.fixture(scope="module", params=["pg18", "pg15"])
def any_platform_of_module(request: pytest.FixtureRequest) -> Iterator[Platform]:
    server = request.getfixturevalue({"pg18": "postgres_url", "pg15": "postgres15_url"}[request.param])
    with fresh_database(server) as url, platform_on(url) as platform:
        yield platform


@pytest.fixture
def any_platform(any_platform_of_module: Platform) -> Iterator[Platform]:
    """The same on each supported PostgreSQL in turn."""
    yield any_platform_of_module
    any_platform_of_module.empty()


@pytest.fixture(scope="module")
def module_database_url(postgres_url: str) -> Iterator[str]:
    """A fresh, empty database for all tests of a module."""
    with fresh_database(postgres_url) as url:
        yield url


@pytest.fixture(scope="module")
def module_broker_url(redis_url: str) -> Iterator[str]:
    """An empty Redis database for all tests of a module."""
    with fresh_broker(redis_url) as url:
        yield url


@pytest.fixture
def broker_url(redis_url: str) -> Iterator[str]:
    """An empty Redis database for one test."""
    with fresh_broker(redis_url) as url:
        yield url


def _postgres_url(variable: str, binaries: Path | None) -> Iterator[str]:
    if given := os.environ.get(variable):
        yield given
        return
    with new_home() as home, serving(home, with_redis=False, postgres_binaries=binaries) as servers:
        assert servers.database_url is not None
        yield servers.database_url


@pytest.fixture
def settings() -> Settings:
    """Those of `app` and `equipment`; a file of tests that wants others has a fixture of this name."""
    return Settings()


@pytest.fixture
def app(settings: Settings, broker_url: str) -> "Iterator[Celery]":
    # Loads Celery, which most tests need not wait for.
    from celery import Celery

    from seeder.app import celery_settings

    app = Celery("seeder", set_as_current=False)
    app.conf.update(celery_settings(settings, broker_url))
    yield app
    app.close()


@pytest.fixture
def equipment(settings: Settings, platform: Platform) -> "Iterator[Equipment]":
    from seeder.equipment import Equipment

    equipment = Equipment(settings, platform.url)
    yield equipment
    equipment.databases.dispose()
