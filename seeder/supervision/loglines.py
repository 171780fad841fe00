"""Merges the logs of several services: each line with its service's name, in that service's colour."""

import os
import sys
import threading
from collections.abc import Sequence
from typing import IO

#: Cyan, green, yellow, magenta, blue and their bright forms; red is left to the services' own output.
_COLOURS = (36, 32, 33, 35, 34, 96, 92, 93, 95, 94)


class LogLines:
    """Writes whole lines to standard output, from several threads.

    Colours only on a terminal, and not where NO_COLOR is set (https://no-color.org).
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._width = max(map(len, names), default=0)
        self._colours = dict(zip(names, _COLOURS * (len(names) // len(_COLOURS) + 1), strict=False))
        self._coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        self._lock = threading.Lock()
        #: Set once the output has no reader any more, as after `seeder up | head`.
        self.unread = False
        #: How many lines were written so far.
        self.count = 0

    def write(self, name: str, text: str) -> None:
        prefix = f"{name:<{self._width}} |"
        if self._coloured:
            prefix = f"\x1b[{self._colours[name]}m{prefix}\x1b[0m"
        with self._lock:
            if self.unread:
                return
            try:
                sys.stdout.write(f"{prefix} {text}\n")
                sys.stdout.flush()
                self.count += 1
            except (OSError, ValueError):
                self.unread = True

    def copy(self, name: str, stream: IO[bytes]) -> threading.Thread:
        """Copy a service's output until its end, in a thread of its own."""

        def lines() -> None:
            with stream:
                for line in stream:
                    self.write(name, line.decode(errors="replace").rstrip("\r\n"))

        thread = threading.Thread(target=lines, name=f"log of {name}", daemon=True)
        thread.start()
        return thread
