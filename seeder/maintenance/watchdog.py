"""Checks that the schedule is kept and that sweeps come, with or without beat: a thread of every worker and
of every ``seeder web``.

It needs neither a free place in a worker nor a message: it goes by the schedule and the record, and starts a
late seeding itself. Any number of processes may do so at a time; they start the same one.
"""

import random
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import structlog
from celery import Celery, bootsteps

from seeder.equipment import Equipment, equipment
from seeder.maintenance import sweep_requests
from seeder.maintenance.duties import WATCHDOG
from seeder.postgres.failures import one_line
from seeder.seedings.catching_up import make_up_for
from seeder.seedings.overdue import DueTicks

log = structlog.get_logger(__name__)


class Watchdog:
    """One per process."""

    def __init__(self, app: Celery, equipment: Equipment) -> None:
        self._app = app
        self._equipment = equipment
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="watchdog", daemon=True)
        #: What went wrong at the last check: it is logged once.
        self._in_trouble: set[str] = set()
        self._here_since: datetime | None = None
        #: The last tick that was checked, and run if it was late.
        self._settled: datetime | None = None
        self._has_asked = False
        self._began = time.monotonic()

    def start(self) -> None:
        self._thread.start()

    def stop(self, patience: float = 0.0) -> None:
        """A fan-out that is cut off here is completed by the sweep."""
        self._ended.set()
        self._thread.join(patience)

    def look(self) -> None:
        """Check the schedule, then the sweeps."""
        self._try("whether the schedule is kept can't be told", self._keep_schedule)
        self._try("whether there are sweeps can't be told", self._keep_sweeping)

    def _work(self) -> None:
        self.look()
        # Chance shortens the interval by up to a half, so that processes which were started together don't
        # check together for ever. A check is one query, and a second one once per tick.
        while not self._ended.wait(WATCHDOG.interval * random.uniform(0.5, 1.0)):  # noqa: S311 - no secret
            self.look()

    def _keep_schedule(self) -> None:
        due_ticks, late = DueTicks.of(self._equipment), None
        with WATCHDOG.carried_out(self._equipment.databases) as facts:
            now = due_ticks.now()
            self._here_since = self._here_since or now
            due = due_ticks.due_tick(now)
            if due != self._settled and (late := due_ticks.late_tick(now, self._here_since)):
                facts["late_tick"] = late.tick.isoformat()
        if late:
            # Outside the block: a fan-out's statements aren't limited.
            make_up_for(self._app, self._equipment, late)
        self._settled = due

    def _keep_sweeping(self) -> None:
        if time.monotonic() - self._began < sweep_requests.OVERDUE_SECONDS:
            # This process hasn't run for long enough to know, and a worker sends a sweep when it starts.
            return
        if sweep_requests.ask_for_sweep(self._app) and not self._has_asked:
            self._has_asked = True
            log.warning("no sweep for a while: is beat running? This process asks for them meanwhile")

    def _try(self, trouble: str, look: Callable[[], None]) -> None:
        try:
            look()
        except Exception as error:  # noqa: BLE001 - a watchdog that ends would be the silence it is against
            if trouble not in self._in_trouble:
                log.warning(trouble, reason=self._equipment.databases.scrubbed(one_line(error)))
            self._in_trouble.add(trouble)
        else:
            self._in_trouble.discard(trouble)


class WatchdogStep(bootsteps.StartStopStep):
    """A step of the worker. https://docs.celeryq.dev/en/stable/userguide/extending.html#worker-bootsteps"""

    #: After the pool, so that its processes are forked before this thread exists.
    requires = ("celery.worker.components:Pool",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._watchdog: Watchdog | None = None

    def start(self, parent: Any) -> None:
        self._watchdog = Watchdog(parent.app, equipment())
        self._watchdog.start()

    def stop(self, _parent: Any) -> None:
        if self._watchdog:
            self._watchdog.stop(patience=2.0)

    def terminate(self, _parent: Any) -> None:
        if self._watchdog:
            self._watchdog.stop()
