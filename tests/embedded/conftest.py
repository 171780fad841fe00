"""Homes with data in them, and processes of their own that run the servers."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.homes import new_home, processes_in, serving

from seeder.supervision import keeper

_ROOT = Path(__file__).parents[2]


@dataclass
class Serving:
    """A process that runs serve.py: what it said, and how to end it."""

    process: subprocess.Popen[str]
    said: dict[str, Any]

    @property
    def servers(self) -> dict[str, dict[str, Any]]:
        return {server["name"]: server for server in self.said["servers"]}

    @property
    def pids(self) -> list[int]:
        return [pid for server in self.said["servers"] for pid in (server["pid"], server["keeper"])]

    def stop(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(30) == 0


Serve = Callable[..., AbstractContextManager[Serving]]


@pytest.fixture
def serve() -> Serve:
    """Runs the servers of a home in another process, as another account where one is named."""

    @contextmanager
    def run(home: Path, *account: str) -> Iterator[Serving]:
        with subprocess.Popen(
            [sys.executable, str(Path(__file__).parents[1] / "support" / "serve.py"), str(home), *account],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd="/",
            env={**os.environ, "PYTHONPATH": str(_ROOT)},
        ) as process:
            assert process.stdout is not None
            try:
                yield Serving(process, json.loads(process.stdout.readline() or "{}"))
            finally:
                process.kill()

    return run


@pytest.fixture
def nobody() -> str:
    """The account of a normal user that serve.py can become; root only."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user; the other tests run as this normal one")
    for path in (keeper.__file__, "/usr/bin/python3"):
        readable = subprocess.run(
            ["/usr/bin/test", "-r", path], user="nobody", group="nogroup", extra_groups=[], check=False
        )
        if readable.returncode != 0:
            pytest.skip(f"the account nobody can't read {path}")
    return "nobody"


@pytest.fixture(scope="session")
def made_home() -> Iterator[Path]:
    """A home whose servers ran once, so that a test needn't make a cluster."""
    with new_home() as folder:
        with serving(folder):
            pass
        yield folder


@pytest.fixture
def used_home(made_home: Path) -> Iterator[Path]:
    """That home, over what other tests left in it; nothing runs there before and after."""
    assert processes_in(made_home) == []
    yield made_home
    assert processes_in(made_home) == []


@pytest.fixture
def copied_home(made_home: Path, home: Path) -> Path:
    """A copy of it, to be damaged."""
    subprocess.run(["/bin/cp", "-a", str(made_home), str(home)], check=True)
    return home
