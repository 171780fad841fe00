"""``seeder web`` as a process: what it prints, whom it lets in, how it ends."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from support.contract import Platform
from test_wrong_use import seeder


@contextmanager
def serving(folder: Path, port: int, **settings: str) -> Iterator[list[str]]:
    """The lines it has printed when it answers; asserts that SIGTERM ends it cleanly."""
    import os

    clean = {name: value for name, value in os.environ.items() if not name.startswith("SEEDER_")}
    log = folder / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "seeder", "web", f"--port={port}"],
            cwd=folder,
            env={**clean, "PYTHONUNBUFFERED": "1", **settings},
            stdout=output,
            stderr=output,
        )
    try:
        deadline = time.monotonic() + 60
        while status(port, "/healthz") != 200:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield log.read_text().splitlines()
    finally:
        process.terminate()
        assert process.wait(30) == 0, log.read_text()
    assert "Traceback" not in log.read_text()


def status(port: int, path: str, method: str = "GET", **headers: str) -> int:
    try:
        with urlopen(
            Request(f"http://127.0.0.1:{port}{path}", method=method, headers=headers), timeout=20
        ) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code
    except OSError:
        return 0


@pytest.fixture
def port() -> int:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.mark.slow
def test_without_a_token_it_prints_a_link_that_lets_in(
    platform: Platform, broker_url: str, tmp_path: Path, port: int
) -> None:
    platform.custom(1, table_name="sales")
    servers = {"SEEDER_DATABASE_URL": platform.url, "SEEDER_BROKER_URL": broker_url}
    with serving(tmp_path, port, **servers) as lines:
        assert lines[0] == f"Pages and API on http://127.0.0.1:{port}"
        link = re.fullmatch(rf"To log in: http://127\.0\.0\.1:{port}/login#(\S{{32}})", lines[1])
        assert link, lines
        assert status(port, "/api/jobs/sales/refresh", "POST") == 401
        bearer = {"Authorization": f"Bearer {link[1]}"}
        assert status(port, "/api/jobs/sales/refresh", "POST", **bearer) == 202
        with urlopen(f"http://127.0.0.1:{port}/api/events", timeout=20) as stream:
            assert stream.readline() == b"retry: 2000\n"
            # A stream that is open when it is told to stop doesn't hold it up: see the end of serving().


@pytest.mark.slow
def test_a_token_that_is_set_is_not_printed(
    platform: Platform, broker_url: str, tmp_path: Path, port: int
) -> None:
    secret = "a-token-that-nobody-sees"
    servers = {"SEEDER_DATABASE_URL": platform.url, "SEEDER_BROKER_URL": broker_url}
    with serving(tmp_path, port, SEEDER_API_TOKEN=secret, **servers) as lines:
        assert not any(secret in line or "log in" in line for line in lines)
        taken = seeder(tmp_path, "web", f"--port={port}", **servers)
        assert taken.returncode == 2
        assert "Choose another port with --port" in taken.stderr


def test_other_machines_are_not_served_without_knowing_them(tmp_path: Path) -> None:
    done = seeder(tmp_path, "web", "--host=0.0.0.0", SEEDER_DATABASE_URL="postgresql://x@127.0.0.1:1/x",
                  SEEDER_BROKER_URL="redis://127.0.0.1:1")  # fmt: skip
    assert done.returncode == 2
    assert "SEEDER_API_TOKEN" in done.stderr
    assert done.stderr.count("\n") == 1
