"""One embedded server: its port, its start, the check that it answers, its state file, and its stop."""

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from seeder.embedded.place import Place, read_json, write_private
from seeder.errors import HomeUnusable, ServerFailed
from seeder.supervision.kept import Kept, Program, Step

#: Crash recovery after a power cut is part of a start, so this is generous; a start takes 0.1 s.
START_SECONDS = 120.0
_POLL_SECONDS = 0.02
_PORT_TRIES = 5


@dataclass(frozen=True)
class LaunchSpec:
    """How one kind of server is run. ``failing`` returns why a URL doesn't lead to this very server yet, or
    None once it does; ``folder`` is its data folder and working directory, ``pid_file`` the file that it
    writes its process id to."""

    name: str
    title: str
    folder: Path
    pid_file: Path
    argv: Callable[[int], Sequence[str]]
    url: Callable[[int], str]
    failing: Callable[[str, Path], str | None]
    steps: Sequence[Step]
    if_orphaned: signal.Signals


@dataclass(frozen=True)
class Server:
    """A running embedded server. ``kept`` is set in the process that started it; only that process stops
    it."""

    name: str
    title: str
    url: str = field(repr=False)
    port: int
    folder: Path
    log: Path
    pid_file: Path
    keeper: int
    kept: Kept | None = field(default=None, repr=False, compare=False)

    @property
    def joined(self) -> bool:
        """Whether another process started it."""
        return self.kept is None

    @property
    def pid(self) -> int:
        """The server's current process id; its keeper restarts it when it dies. Raises ServerFailed."""
        pid = pid_in(self.pid_file)
        if pid is None:
            raise ServerFailed(title=self.title, what="is not running", log=self.log, lines=tail(self.log))
        return pid

    def end(self) -> None:
        """Stop it if this process started it. To be called with the home locked."""
        if self.kept is not None:
            self.kept.stop()
            _state_file(self.log.parent, self.name).unlink(missing_ok=True)


def launch(launch_spec: LaunchSpec, place: Place) -> Server:
    """Start a server on a free port of 127.0.0.1. To be called with the home locked, when it doesn't run.

    Raises ServerFailed.
    """
    _end_leftover(launch_spec)
    log = place.home / f"{launch_spec.name}.log"
    for port in _ports(place, launch_spec.name):
        if log.exists():
            log.replace(log.with_suffix(".log.1"))
        log.touch(mode=0o600, exist_ok=False)
        with log.open("ab") as output:
            kept = Kept(
                Program(
                    label=_label(launch_spec.name, place.home),
                    argv=launch_spec.argv(port),
                    steps=launch_spec.steps,
                    if_orphaned=launch_spec.if_orphaned,
                    account=place.account,
                ),
                output,
            )
        try:
            reason = _wait_until_it_answers(launch_spec, kept, port)
        except BaseException:
            kept.stop()
            raise
        if reason is None:
            server = Server(
                name=launch_spec.name,
                title=launch_spec.title,
                url=launch_spec.url(port),
                port=port,
                folder=launch_spec.folder,
                log=log,
                pid_file=launch_spec.pid_file,
                keeper=kept.pid,
                kept=kept,
            )
            _write_state(server, place)
            kept.keep_up()
            return server
        kept.stop()
        if "already in use" not in tail(log).lower():
            break
    raise ServerFailed(title=launch_spec.title, what=f"did not start: {reason}", log=log, lines=tail(log))


def find(name: str, home: Path, failing: Callable[[str, Path], str | None], seconds: float) -> Server | None:
    """The server of that name that runs in ``<home>``, or None.

    Its keeper must be alive, be this home's and still have its parent, and the server must accept the home's
    password within so many seconds (it may just be restarting). A keeper that has lost its parent is stopping
    its server; this function doesn't wait for that.
    """
    try:
        state = read_json(_state_file(home, name))
    except PermissionError as error:
        raise HomeUnusable(home=home, reason=error.strerror) from error
    if not state:
        return None
    server = Server(
        name=name,
        title=state["title"],
        url=state["url"],
        port=state["port"],
        folder=Path(state["folder"]),
        log=home / f"{name}.log",
        pid_file=Path(state["pid_file"]),
        keeper=state["keeper"],
    )
    deadline = time.monotonic() + seconds
    while keeper_lives(server.keeper, _label(name, home), state["parent"]):
        if failing(server.url, server.folder) is None:
            return server
        if time.monotonic() >= deadline:
            return None
        time.sleep(_POLL_SECONDS)
    return None


def wait_for_dying_keeper(name: str, home: Path) -> None:
    """Wait while a keeper whose parent was killed is still stopping its server."""
    state = read_json(_state_file(home, name))
    while state and keeper_lives(state["keeper"], _label(name, home), parent=None):
        if keeper_lives(state["keeper"], _label(name, home), state["parent"]):
            raise ServerFailed(
                title=state["title"],
                what=f"of process {state['parent']} does not answer; stop that process first",
                log=home / f"{name}.log",
                lines=tail(home / f"{name}.log"),
            )
        time.sleep(_POLL_SECONDS)


def keeper_lives(pid: int, label: str, parent: int | None) -> bool:
    """Whether this process is the keeper of that label, and (unless None) still the child of that parent."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE or label not in process.cmdline():
            return False
        return parent is None or process.ppid() == parent
    except psutil.Error:
        return False


def tail(log: Path, lines: int = 15) -> str:
    """The log's last lines, as the end of a message."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 20_000))
            last = file.read().decode(errors="replace").splitlines()[-lines:]
    except OSError:
        return "."
    return ", which ends with:\n" + "\n".join(f"  {line}" for line in last) if last else ", which is empty."


def _wait_until_it_answers(launch_spec: LaunchSpec, kept: Kept, port: int) -> str | None:
    """None once it answers, else why it doesn't."""
    deadline = time.monotonic() + START_SECONDS
    while kept.ended is None:
        reason = launch_spec.failing(launch_spec.url(port), launch_spec.folder)
        if reason is None:
            return None
        if time.monotonic() > deadline:
            return f"after {START_SECONDS:.0f} s: {reason}"
        time.sleep(_POLL_SECONDS)
    return f"it ended with exit code {kept.ended}"


def _ports(place: Place, name: str) -> Iterator[int]:
    """The port it had last if that is free, then ports that are free at the moment. There are several, since
    another program may take one before the server does."""
    last = place.remembered(f"{name}_port")
    if isinstance(last, int) and _is_free(last):
        yield last
    for _ in range(_PORT_TRIES):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        yield port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do; without it a port is taken for a minute after its last connection.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _end_leftover(launch_spec: LaunchSpec) -> None:
    """End a server of this folder that has outlived its keeper, and remove a process id that now belongs to
    another program (PostgreSQL would take that for a running server)."""
    pid = pid_in(launch_spec.pid_file)
    if pid is None:
        return
    try:
        process = psutil.Process(pid)
        if Path(process.cwd()) == launch_spec.folder:
            process.send_signal(launch_spec.if_orphaned)
            process.wait(30)
    except psutil.NoSuchProcess:
        pass
    except psutil.AccessDenied:
        pass  # another account's process: not this home's server
    except psutil.TimeoutExpired:
        return
    launch_spec.pid_file.unlink(missing_ok=True)


def pid_in(pid_file: Path) -> int | None:
    """The process id on the first line of a file; None where there is none."""
    try:
        return int(pid_file.read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return None


def _label(name: str, home: Path) -> str:
    return f"{name} of {home}"


def _state_file(home: Path, name: str) -> Path:
    return home / f"{name}.json"


def _write_state(server: Server, place: Place) -> None:
    state = {
        "title": server.title,
        "url": server.url,
        "port": server.port,
        "folder": str(server.folder),
        "pid_file": str(server.pid_file),
        "keeper": server.keeper,
        "parent": os.getpid(),
    }
    write_private(_state_file(place.home, server.name), json.dumps(state))
    place.remember(f"{server.name}_port", server.port)
