"""`make test-fast` runs the tests that need neither a server nor a process."""

import subprocess
from pathlib import Path

import pytest
from support.contract import Platform
from support.homes import new_home, serving

from seeder.embedded import servers


def test_a_fixture_that_starts_its_own_server_is_found(
    request: pytest.FixtureRequest, own_server: str
) -> None:
    assert not request.node.get_closest_marker("fast")


@pytest.fixture
def own_server() -> str:
    def started() -> str:
        with new_home() as home, serving(home) as servers:
            return str(servers.database_url)

    return started.__name__


def test_this_one_is_fast(request: pytest.FixtureRequest) -> None:
    assert request.node.get_closest_marker("fast")


@pytest.mark.slow
def test_one_that_is_marked_as_slow_is_not(request: pytest.FixtureRequest) -> None:
    assert not request.node.get_closest_marker("fast")


def test_one_whose_fixture_asks_for_a_server_by_name_is_not(
    request: pytest.FixtureRequest, any_database_url: str
) -> None:
    assert not request.node.get_closest_marker("fast")


def test_one_with_a_fixture_that_leads_to_a_server_is_not(
    request: pytest.FixtureRequest, platform: Platform
) -> None:
    assert not request.node.get_closest_marker("fast")


def started() -> None:
    subprocess.run(["true"], check=True)


def test_one_that_calls_what_starts_a_process_is_not(request: pytest.FixtureRequest) -> None:
    assert not request.node.get_closest_marker("fast")
    started()


def test_a_fast_test_that_starts_a_process_fails(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    assert request.node.get_closest_marker("fast")
    with pytest.raises(pytest.fail.Exception, match="a fast test starts a process"):
        servers.start(tmp_path / "home", with_postgres=False)
