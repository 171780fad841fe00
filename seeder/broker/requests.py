"""Celery's requests: a task as the worker's main process sees it, with hooks for time limits and shutdowns.

That a task names its class of request is documented; what a cold shutdown calls on it, and how a request
tells that it was cancelled already, isn't (seeder/broker/insides).
https://docs.celeryq.dev/en/stable/userguide/tasks.html#requests-and-custom-requests
"""

import os
import signal
import threading
from typing import Any

from celery import Celery
from celery.worker.request import Request


class BriefRequest(Request):  # type: ignore[misc]
    """A task that is over in a moment: a cold shutdown lets it end."""

    def cancel(self, *_: Any, **__: Any) -> None:
        pass


class InterruptibleRequest(Request):  # type: ignore[misc]
    """A task that a cold shutdown takes back from its pool, whichever that is. Subclasses say what then."""

    #: Set once this process shuts down cold: no task of it records that it failed, it was cut off.
    closing: threading.Event

    @staticmethod
    def hand_back(app: Celery, request: Any) -> None:
        """The task no longer runs, or not for long. Called in a signal's handler; must not raise."""
        raise NotImplementedError

    @staticmethod
    def timed_out(request: Any, seconds: float, *, soft: bool) -> None:
        """The task has outlasted a time limit (``prefork`` only)."""
        raise NotImplementedError

    def on_timeout(self, soft: bool, timeout: float) -> None:
        super().on_timeout(soft, timeout)
        # Celery sends a signal for the hard limit only. The soft one reaches the child when its query ends.
        self.timed_out(self._context, timeout, soft=soft)

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        super().on_accepted(pid, time_accepted)
        if self.closing.is_set():
            self._take_back(pid)

    def cancel(self, *_: Any, **__: Any) -> None:
        """Called by a cold shutdown, in the signal's handler, for each task that runs."""
        self.closing.set()
        if self.worker_pid:
            self._take_back(self.worker_pid)

    def _take_back(self, pid: int) -> None:
        if self._already_cancelled:
            return
        # Else Celery takes the death of its process for a revoke.
        self._already_cancelled: bool = True
        if pid != os.getpid():
            # A pool process knows nothing of all this, and could still record what we are about to cause.
            os.kill(pid, signal.SIGKILL)
        self.hand_back(self._app, self._context)
