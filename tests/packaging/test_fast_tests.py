"""`make test-fast` runs the tests that need neither a server nor a process."""

import subprocess
from pathlib import Path

import pytest
from support.contract import Platform
from support.fast import none_is_fast
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


def test_no_file_with_a_fast_test_is_passed_over_unread(request: pytest.FixtureRequest) -> None:
    root = Path(__file__).parents[1]
    fast = {item.path for item in request.session.items if item.get_closest_marker("fast")}
    assert [path for path in sorted(fast) if none_is_fast(path, root)] == []


def test_a_file_whose_tests_all_ask_for_a_server_is_passed_over(tmp_path: Path) -> None:
    def of(*tests: str) -> bool:
        (tmp_path / "test_it.py").write_text("import pytest\n" + "\n".join(tests))
        (tmp_path / "conftest.py").write_text(
            "import pytest\n@pytest.fixture\ndef server():\n    yield serving(1)\n"
            "@pytest.fixture\ndef client(server):\n    return server\n"
        )
        return none_is_fast(tmp_path / "test_it.py", tmp_path)

    server, plain = "def test_a(client, tmp_path):\n    pass", "def test_b(tmp_path):\n    pass"
    assert of(server)
    assert not of(server, plain)
    assert of(server, "@pytest.mark.slow\n" + plain)
    assert of("pytestmark = pytest.mark.slow", plain)
    assert not of("one = 1")
