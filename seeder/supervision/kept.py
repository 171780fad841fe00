"""Starts a program under a keeper, which restarts it when it dies and stops it when this process ends."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

_KEEPER = Path(__file__).with_name("keeper.py")


@dataclass(frozen=True)
class Account:
    """The account that a program runs as if this process is root's."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Step:
    """One way to ask a program to end, and how many seconds it has before the next, harsher one."""

    signal: signal.Signals
    seconds: float


KILL = Step(signal.SIGKILL, 0.0)
#: The exit code of a keeper whose program had to be killed.
KILLED = 128 + signal.SIGKILL


@dataclass(frozen=True)
class Program:
    """A program that a keeper runs.

    ``label`` is what a process listing shows for the keeper. ``if_orphaned`` is the signal that the program
    gets if its keeper is killed (Linux only), so that nobody is left to take the steps. ``keep_up``: whether
    it is restarted from the beginning; else from ``Kept.keep_up()`` on.
    """

    label: str
    argv: Sequence[str]
    steps: Sequence[Step]
    if_orphaned: signal.Signals = signal.SIGKILL
    account: Account | None = None
    #: Not in the representation: it may hold passwords.
    env: Mapping[str, str] | None = field(default=None, repr=False)
    first_delay: float = 1.0
    keep_up: bool = False

    def plan(self) -> str:
        account = self.account
        return json.dumps(
            {
                "argv": list(self.argv),
                "account": {"user": account.uid, "group": account.gid, "extra_groups": []} if account else {},
                "steps": [(step.signal, step.seconds) for step in self.steps],
                "if_orphaned": self.if_orphaned,
                "first_delay": self.first_delay,
                "keep_up": self.keep_up,
            }
        )


class Kept:
    """A running keeper, as its parent process sees it.

    The program stops when ``stop`` is called, and when this object or the process that holds it is gone.
    """

    def __init__(self, program: Program, output: IO[bytes] | int) -> None:
        self.program = program
        self.process = subprocess.Popen(
            [sys.executable, "-I", str(_KEEPER), program.label, program.plan()],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=None if program.env is None else {**os.environ, **program.env},
            start_new_session=True,
        )
        self._channel = cast("IO[bytes]", self.process.stdin)

    @property
    def pid(self) -> int:
        """The keeper's process id, which stays the same over restarts of the program."""
        return self.process.pid

    @property
    def ended(self) -> int | None:
        """The exit code once program and keeper have ended, else None."""
        return self.process.poll()

    def keep_up(self) -> None:
        """From now on the program is restarted when it dies."""
        self._say(b"k")

    def ask_to_stop(self) -> None:
        """Take the next, harsher step of stopping; returns at once."""
        self._say(b"s")

    def stop(self) -> int:
        """Stop the program and wait until it has ended; returns its exit code."""
        self.ask_to_stop()
        return self.wait()

    def _say(self, letter: bytes) -> None:
        with suppress(BrokenPipeError):  # it has ended; `ended` tells
            self._channel.write(letter)
            self._channel.flush()

    def wait(self, seconds: float | None = None) -> int:
        code = self.process.wait(seconds)
        self.close()
        return code

    def close(self) -> None:
        """Close the pipe: to a keeper that still runs that means that its parent is gone."""
        with suppress(BrokenPipeError):
            self._channel.close()
