"""Runs several services until a signal: one log, restarts with backoff, no process left behind.

Each service has a keeper of its own (``keeper.py``), which restarts it, and stops it when this process is
gone, even by SIGKILL. This file starts the keepers in order, merges their output, and stops them in reverse
order.
"""

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, cast

from seeder.supervision.kept import KILL, KILLED, Kept, Program, Step
from seeder.supervision.loglines import LogLines

_POLL_SECONDS = 0.1
_READY_SECONDS = 30.0

#: After so many lines what was printed first is no longer on the screen; it is printed again after so many
#: seconds without a line.
_SCREEN_LINES = 24
_QUIET_SECONDS = 3.0


@dataclass(frozen=True)
class Service:
    """A program to be kept running.

    ``env`` is added to this process' environment. The services after it start once ``ready`` returns true,
    or after 30 s. ``grace`` is how many seconds it has to end after SIGTERM; then its process group gets
    SIGKILL. A service with a ``second_grace`` first gets a second SIGTERM and has that many seconds more.
    ``first_delay`` is the pause before its first restart, in seconds; it doubles up to 30 s, and is reset
    once the program has run for a minute.
    """

    name: str
    argv: Sequence[str]
    #: Not in the representation: it may hold passwords.
    env: Mapping[str, str] | None = field(default=None, repr=False)
    ready: Callable[[], bool] | None = None
    grace: float = 10.0
    second_grace: float = 0.0
    first_delay: float = 1.0


def supervise(services: Sequence[Service], when_up: Callable[[], None] | None = None) -> int:
    """Run the services until SIGINT, SIGTERM or SIGHUP, or until the output has no reader any more.

    ``when_up`` prints what a user needs once all are started and ready. It is called once more if the log has
    gone on for more than a screen, as with the demo's first runs, and is then quiet for a while.

    A second signal hurries: what is left gets the next step, a second SIGTERM or SIGKILL, at once.
    Must be called in the main thread. Returns 0, or 1 if a service didn't end in its grace.
    """
    supervisor = _Supervisor(services)
    with supervisor.signals():
        try:
            supervisor.start_all()
            if when_up is not None and not supervisor.stopping:
                when_up()
            supervisor.watch(when_up)
        finally:
            clean = supervisor.stop_all()
    return 0 if clean else 1


class _Supervisor:
    def __init__(self, services: Sequence[Service]) -> None:
        self.services = services
        self.log = LogLines([service.name for service in services])
        self.kept: dict[str, Kept] = {}
        self.copiers: list[threading.Thread] = []
        self.signals_seen = 0

    @property
    def stopping(self) -> bool:
        return self.signals_seen > 0 or self.log.unread

    @contextmanager
    def signals(self) -> Iterator[None]:
        def seen(*_: object) -> None:
            self.signals_seen += 1

        previous = {
            number: signal.signal(number, seen) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        }
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def start_all(self) -> None:
        for service in self.services:
            if self.stopping:
                return
            self.start(service)
            deadline = time.monotonic() + _READY_SECONDS
            while service.ready is not None and not self.stopping and not service.ready():
                if time.monotonic() > deadline:
                    self.log.write(service.name, f"[seeder] not ready after {_READY_SECONDS:.0f} s; going on")
                    break
                time.sleep(_POLL_SECONDS)

    def start(self, service: Service) -> None:
        steps = [Step(signal.SIGTERM, service.grace)]
        if service.second_grace:
            steps.append(Step(signal.SIGTERM, service.second_grace))
        program = Program(
            label=service.name,
            argv=service.argv,
            steps=(*steps, KILL),
            # Python buffers what it prints into a pipe, which would delay the log.
            env={"PYTHONUNBUFFERED": "1", **(service.env or {})},
            first_delay=service.first_delay,
            keep_up=True,
        )
        kept = Kept(program, subprocess.PIPE)
        self.kept[service.name] = kept
        self.copiers.append(self.log.copy(service.name, cast("IO[bytes]", kept.process.stdout)))

    def watch(self, say_again: Callable[[], None] | None = None) -> None:
        said_at, seen, quiet_since = self.log.count, self.log.count, time.monotonic()
        while not self.stopping:
            time.sleep(_POLL_SECONDS)
            if self.log.count != seen:
                seen, quiet_since = self.log.count, time.monotonic()
                continue
            quiet = time.monotonic() - quiet_since > _QUIET_SECONDS
            if say_again and quiet and seen - said_at > _SCREEN_LINES:
                say_again()
                say_again = None
            for service in self.services:
                kept = self.kept[service.name]
                if kept.ended is not None and not self.stopping:
                    # A keeper ends only if it is killed, and its program ends with it.
                    kept.close()
                    self.log.write(service.name, "[seeder] its keeper was killed; starting both again")
                    self.start(service)

    def stop_all(self) -> bool:
        """Stop in reverse order. Returns whether every service ended in its grace, if it was given that."""
        clean = True
        for name in reversed(self.kept):
            kept = self.kept[name]
            kept.ask_to_stop()
            while kept.ended is None and self.signals_seen < 2:
                time.sleep(_POLL_SECONDS / 2)
            hurried = kept.ended is None
            if hurried:
                kept.ask_to_stop()
            if kept.wait() == KILLED and not hurried:
                self.log.write(name, "[seeder] did not end in its grace and was killed")
                clean = False
        for copier in self.copiers:
            copier.join(1.0)
        return clean
