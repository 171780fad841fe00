"""A worker's shutdown, from warm to cold: at the second SIGTERM, or when the grace is over.

Celery ignores a second SIGTERM, and its own soft shutdown begins prefetched tasks (5.7.0).
"""

import os
import signal
import threading
from typing import Any

#: More than this many tasks always run, so no message is taken.
_NOTHING_MORE = -1


class ShutdownSteps:
    """How far the shutdown of this process has come."""

    def __init__(self) -> None:
        self._worker: Any = None
        self._warned = False

    def ready(self, consumer: Any) -> None:
        """Called with what the signal worker_ready tells of."""
        self._worker = consumer.controller

    def signalled(self, name: str, how: str, grace: float) -> None:
        """Called in the handler of each signal that shuts a worker down; ``grace`` 0 is no limit."""
        if how == "Cold":
            # Celery 5.7.0 stops the pool in this handler; its event loop, which goes on for one more turn,
            # would ask the stopped pool for its size and end with a traceback, unless it finds this.
            if self._worker is not None:
                self._worker.max_concurrency = _NOTHING_MORE
            return
        if self._warned and name == "SIGTERM":
            turn_cold()
        elif not self._warned and grace:
            timer = threading.Timer(grace, turn_cold)
            timer.daemon = True
            timer.start()
        self._warned = True


def turn_cold() -> None:
    """As if somebody had sent SIGQUIT, whose handler runs in the main thread, also while that waits."""
    os.kill(os.getpid(), signal.SIGQUIT)
