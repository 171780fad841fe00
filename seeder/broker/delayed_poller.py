"""Queues the waiting runs that are due: a thread of every worker.

It isn't a timer of the worker's event loop, which a slow Redis would block. The thread belongs to the
worker's main process, whichever pool that has, and has a connection of its own. Any number of workers may
poll at a time (seeder/broker/delayed.py).
"""

import threading
from typing import Any

import structlog
from celery import bootsteps

from seeder.broker.delayed import Deferral
from seeder.postgres.failures import one_line

log = structlog.get_logger(__name__)

#: Between two polls. A run that another process delays for less may be queued that much late.
LONGEST_PAUSE_SECONDS = 1.0


class DelayedPoller(bootsteps.StartStopStep):
    """A step of the worker. https://docs.celeryq.dev/en/stable/userguide/extending.html#worker-bootsteps"""

    #: After the pool, so that its processes are forked before this thread exists.
    requires = ("celery.worker.components:Pool",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._out_of_reach = False

    def start(self, parent: Any) -> None:
        self._thread = threading.Thread(
            target=self._work, args=(parent.app,), name="delayed-poller", daemon=True
        )
        self._thread.start()

    def stop(self, _parent: Any) -> None:
        self._ended.set()
        if self._thread:
            self._thread.join(2 * LONGEST_PAUSE_SECONDS)

    def terminate(self, _parent: Any) -> None:
        self._ended.set()

    def _work(self, app: Any) -> None:
        while not self._ended.is_set():
            try:
                with app.connection_for_write() as connection, connection.channel() as channel:
                    self._poll(Deferral.over(channel))
            except Exception as error:  # noqa: BLE001 - kombu passes on whatever its transport raises
                if not self._out_of_reach:
                    log.warning("can't reach the waiting runs in Redis", reason=one_line(error))
                self._out_of_reach = True
                self._ended.wait(LONGEST_PAUSE_SECONDS)

    def _poll(self, deferral: Deferral) -> None:
        while not self._ended.is_set():
            due_in = deferral.move_due()
            self._out_of_reach = False
            self._ended.wait(LONGEST_PAUSE_SECONDS if due_in is None else min(due_in, LONGEST_PAUSE_SECONDS))
