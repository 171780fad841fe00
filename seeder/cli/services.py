"""The programs that ``seeder up`` and the demo start: workers, beat, Flower, the pages."""

import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from seeder.broker.queues import CONTROL_QUEUE, REFRESH_QUEUE
from seeder.supervision import Service

FLOWER_PORT = 5555
WEB_PORT = 8080


@dataclass(frozen=True)
class Flower:
    """Flower's port, and its user and password: it has buttons that stop workers."""

    port: int
    user: str
    password: str = field(repr=False)

    @property
    def url(self) -> str:
        return f"http://{self.user}:{self.password}@127.0.0.1:{self.port}"

    @property
    def address(self) -> str:
        """Its URL without the password."""
        return f"http://127.0.0.1:{self.port}"


@dataclass(frozen=True)
class Web:
    """Where the pages are, the token to log in with, and where they find Flower."""

    port: int
    token: str = field(repr=False)
    flower_url: str


def celery(*arguments: str) -> Sequence[str]:
    return (sys.executable, "-m", "celery", "-A", "seeder", "--quiet", *arguments)


def refresh_worker() -> Sequence[str]:
    """-E sends the events Flower shows tasks by."""
    return celery("worker", "-E", "-l", "INFO", "-n", "refresh@%h", "-Q", REFRESH_QUEUE)


def services(home: Path, flower: Flower, web: Web) -> list[Service]:
    return [
        # The second SIGTERM makes the shutdown cold: what still runs is cancelled and queued again.
        Service("refresh", refresh_worker(), grace=30, second_grace=10),
        # Fan-outs and sweeps have a worker to themselves, so that no long refresh holds them up.
        Service(
            "control",
            celery("worker", "-E", "-l", "INFO", "-n", "control@%h", "-Q", CONTROL_QUEUE, "-c", "1"),
            ready=None,
        ),
        Service(
            "beat", celery("beat", "-l", "INFO", "--schedule", str(home / "beat-schedule"), "--pidfile=")
        ),
        Service(
            "flower",
            celery("flower", "--address=127.0.0.1", f"--port={flower.port}", "--logging=warning"),
            # In the environment, where other users' `ps` doesn't show it.
            env={"FLOWER_BASIC_AUTH": f"{flower.user}:{flower.password}"},
            # Its address is printed last, when something listens there.
            ready=lambda: _listens(flower.port),
        ),
        Service(
            "web",
            (sys.executable, "-m", "seeder", "web", f"--port={web.port}"),
            env={"SEEDER_API_TOKEN": web.token, "SEEDER_FLOWER_URL": web.flower_url},
            # A request under way is finished, and a refresh of everything takes a while to plan.
            grace=15,
        ),
    ]


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port(wanted: int) -> int:
    """The wanted port of 127.0.0.1, or where that is taken one that the system gives."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    return wanted
