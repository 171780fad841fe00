"""Celery's thread pool, which also wakes the worker's event loop when a task has ended.

Without prefetch the consumer takes the next message only once per turn of its event loop. In Celery's own
``threads`` pool nothing wakes the loop when a task ends, so it sleeps until its next timer, up to 1 s: tasks
of 10 ms ran at 4/s with four threads (Celery 5.7.0, kombu 5.7.0). ``prefork`` isn't affected: its result pipe
wakes the loop.
"""

import re
import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from celery import concurrency
from celery.concurrency.base import apply_target
from celery.concurrency.thread import TaskPool as ThreadPool
from kombu.asynchronous import get_event_loop

#: What selects it as Celery's ``worker_pool``.
THREADS = "seeder.broker.thread_pool:TaskPool"


def install() -> None:
    """From here on ``-P threads`` means this pool too."""
    concurrency.ALIASES["threads"] = THREADS


def asks_for_prefork(arguments: Sequence[str]) -> bool:
    """Whether a worker's command line names the ``prefork`` pool.

    Celery 5.7 can't tell that from its own default, which a configured ``worker_pool`` overrides
    (celery.bin.worker.WorkersPool).
    """
    return bool(re.search(r"\0(-[A-Za-z]*P\0?|--pool[\0=])prefork\0", "\0".join([*arguments, ""])))


#: Threads are created as they are needed; the pool itself limits how many work at a time.
_ANY_NUMBER = 1_000_000


class TaskPool(ThreadPool):
    """The default pool, and the one that ``-P threads`` means. It can grow and shrink, while it works too."""

    def __init__(self, limit: int, **options: Any) -> None:
        # Celery's own would bind its executor to the limit, which for `--autoscale=4` is 0 to begin with.
        super().__init__(_ANY_NUMBER, **options)
        self.limit = limit
        self._lock = threading.Lock()
        self._at_work = 0
        self._closed = False
        #: Tasks beyond the limit: of a worker that prefetches, or whose pool has shrunk.
        self._waiting: deque[Callable[[], Any]] = deque()

    def on_apply(
        self,
        target: Any,
        args: Any = None,
        kwargs: Any = None,
        callback: Any = None,
        accept_callback: Any = None,
        **_: Any,
    ) -> None:
        # task_postrun fires too early for this: the task still counts as reserved then.
        def callback_and_wake(*results: Any) -> None:
            if callback:
                callback(*results)
            if loop := get_event_loop():
                loop.call_soon(_nothing)

        with self._lock:
            self._waiting.append(
                partial(apply_target, target, args, kwargs, callback_and_wake, accept_callback)
            )
        self._begin_what_there_is_room_for()

    def grow(self, number: int = 1) -> None:
        with self._lock:
            self.limit += number
        self._begin_what_there_is_room_for()

    def shrink(self, number: int = 1) -> None:
        """Tasks that run beyond the new limit run to their end."""
        with self._lock:
            self.limit = max(self.limit - number, 0)

    def on_stop(self) -> None:
        with self._lock:
            # Their messages go back into the queue.
            self._closed = True
            self._waiting.clear()
        super().on_stop()

    def terminate_job(self, pid: int, signal: int | None = None) -> None:
        """A thread can't be killed: the statement it waits for is ended in the database instead, when
        ``task_revoked`` fires. Without this method Celery gives up before it sends that signal."""

    def _begin_what_there_is_room_for(self) -> None:
        with self._lock:
            while self._waiting and self._at_work < self.limit and not self._closed:
                self._at_work += 1
                self.executor.submit(self._work, self._waiting.popleft())

    def _work(self, task: Callable[[], Any]) -> None:
        try:
            task()
        finally:
            with self._lock:
                self._at_work -= 1
            self._begin_what_there_is_room_for()


def _nothing() -> None:
    pass
