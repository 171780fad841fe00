"""Starts servers for one test that it can stop for a while."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
from support.homes import gone
from support.processes import wait_until

from seeder.embedded.server import Server


@contextmanager
def away(server: Server, how: signal.Signals, answers: Callable[[], object]) -> Iterator[None]:
    """The server is ended by that signal and stays away for the block; after it, it is back at its address.

    Its keeper would start it again at once, so that sleeps meanwhile.
    """
    keeper = psutil.Process(server.keeper)
    pid = server.pid
    keeper.suspend()
    try:
        os.kill(pid, how)
        assert gone(pid, within=30)
        yield
    finally:
        keeper.resume()
    wait_until(f"{server.title} answers again", answers)
