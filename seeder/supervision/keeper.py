"""Runs one program for a parent process, restarts it when it dies, and stops it when the parent is gone.

Run as a script by ``kept.py``, with the standard library only: ``python -I keeper.py LABEL PLAN``.

The parent holds the other end of this process's standard input and sends commands through it:

``k``   the program is up: from now on restart it when it dies (before, the keeper ends with it, unless the
        plan says ``keep_up``)
``s``   stop the program; each further one takes the next, harsher step of the plan (as SIGTERM does)
EOF     the parent is gone, even by SIGKILL: stop the program

That works on every Unix, from any thread of the parent, and with any account of the program's. Linux's
PR_SET_PDEATHSIG is sent when the *thread* that forked ends, and is cleared by a change of account (prctl(2)).
It is set on the program nevertheless, in case this keeper itself is killed.
"""

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any

PR_SET_PDEATHSIG = 1  # linux/prctl.h

#: How long each step of a stop may take once the parent is gone: nobody waits for it any more.
ORPHAN_GRACE = 3.0
LONGEST_DELAY = 30.0
#: After a program has run for so long, its next restart is again after the shortest delay.
SETTLED_AFTER = 60.0


class Keeper:
    def __init__(self, plan: dict[str, Any]) -> None:
        self.argv: list[str] = plan["argv"]
        self.account: dict[str, Any] = plan["account"]
        self.steps: list[tuple[int, float]] = plan["steps"]
        self.if_orphaned: int = plan["if_orphaned"]
        self.first_delay: float = plan["first_delay"]
        self.keep_up: bool = plan["keep_up"]
        self.parent_gone = False
        self.stops_asked = 0
        self.pid = os.getpid()
        self.libc = ctypes.CDLL(None) if sys.platform == "linux" else None
        self.woken, wake = os.pipe()
        os.set_blocking(self.woken, False)
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._asked_to_stop)

    def _asked_to_stop(self, *_: object) -> None:
        self.stops_asked += 1

    def run(self) -> int:
        """Keep the program until asked to stop; its exit code, or 0 when it wasn't running by then."""
        delay = self.first_delay
        while True:
            started = time.monotonic()
            code = self._run_once()
            self._wait(started)  # read the parent's commands, without waiting for more
            if self.stops_asked or not self.keep_up:
                return code
            if time.monotonic() - started >= SETTLED_AFTER:
                delay = self.first_delay
            _say(f"{_ending(code)}; starting it again in {delay:g} s")
            again_at = time.monotonic() + delay
            while time.monotonic() < again_at:
                self._wait(again_at)
                if self.stops_asked:
                    return 0
            delay = min(delay * 2, LONGEST_DELAY)

    def _run_once(self) -> int:
        try:
            program = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                cwd="/" if self.account else None,
                start_new_session=True,
                # Called after the change of account, which would clear the signal. This process has one
                # thread, so there is no lock a fork could find taken.
                preexec_fn=self._die_with_keeper,
                **self.account,
            )
        except OSError as error:
            _say(f"can't be started: {error}")
            return 127
        step = 0
        deadline: float | None = None
        while program.poll() is None:
            late = deadline is not None and time.monotonic() >= deadline
            if step < len(self.steps) and (self.stops_asked > step or late):
                number, seconds = self.steps[step]
                step += 1
                self._send(program, number)
                last = step == len(self.steps)
                grace = min(seconds, ORPHAN_GRACE) if self.parent_gone else seconds
                deadline = None if last else time.monotonic() + grace
            else:
                self._wait(deadline)
        # What it left behind in its own process group, such as the pool of a worker that was killed. macOS
        # answers EPERM for a group of which only zombies are left.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(program.pid, signal.SIGKILL)
        return program.returncode if program.returncode >= 0 else 128 - program.returncode

    def _send(self, program: subprocess.Popen[bytes], number: int) -> None:
        if number == signal.SIGKILL:
            os.killpg(program.pid, number)
        else:
            program.send_signal(number)

    def _wait(self, until: float | None) -> None:
        """Sleep until a signal or a command arrives, the parent is gone, or the time has come."""
        seconds = None if until is None else max(0.0, until - time.monotonic())
        channels = [self.woken] if self.parent_gone else [self.woken, 0]
        ready, _, _ = select.select(channels, [], [], seconds)
        if self.woken in ready:
            os.read(self.woken, 4096)
        if 0 in ready:
            said = os.read(0, 4096)
            self.keep_up = self.keep_up or b"k" in said
            self.stops_asked += said.count(b"s")
            if not said:
                self.parent_gone = True
                self.stops_asked = max(self.stops_asked, 1)

    def _die_with_keeper(self) -> None:
        if self.libc is not None:
            self.libc.prctl(PR_SET_PDEATHSIG, self.if_orphaned)
            if os.getppid() != self.pid:
                os._exit(1)


def _ending(code: int) -> str:
    return f"ended by {signal.Signals(code - 128).name}" if code > 128 else f"ended with exit code {code}"


def _say(text: str) -> None:
    with suppress(OSError):  # its reader may be gone
        os.write(1, f"[seeder] {text}\n".encode())


if __name__ == "__main__":
    sys.exit(Keeper(json.loads(sys.argv[2])).run())
