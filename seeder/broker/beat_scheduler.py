"""Celery's beat, which reports a Redis that takes no message in one line, and once.

Celery's own logs the stack for each entry (5.7.0). What can't be sent then isn't sent later: a tick that
wasn't run is found by the watchdogs (seeder/maintenance/watchdog.py).
https://docs.celeryq.dev/en/stable/userguide/periodic-tasks.html#using-custom-scheduler-classes
"""

from typing import Any

import structlog
from celery.beat import PersistentScheduler, SchedulingError

from seeder.broker.messages import TROUBLE
from seeder.broker.states import reply_in

log = structlog.get_logger(__name__)


class Scheduler(PersistentScheduler):
    _in_trouble = False

    def apply_async(self, entry: Any, producer: Any = None, advance: bool = True, **kwargs: Any) -> Any:
        try:
            result = super().apply_async(entry, producer, advance, **kwargs)
        except SchedulingError as error:
            # Raised from within the handler of what it is about (celery/beat.py, apply_async).
            reason = error.__context__
            if not isinstance(reason, TROUBLE):
                raise
            if not self._in_trouble:
                log.error(
                    "Redis accepts no messages; beat goes on", entry=entry.name, reason=reply_in(reason)
                )
            self._in_trouble = True
            return None
        if self._in_trouble:
            log.warning("Redis accepts messages again")
        self._in_trouble = False
        return result
