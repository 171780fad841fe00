"""Names the sessions that lock the record, for the pages and for the answers to failed requests."""

import asyncio
import time

import psycopg2
import structlog
from anyio import CapacityLimiter, to_thread

from seeder.equipment import Equipment
from seeder.errors import UserError
from seeder.monitoring.holders import Holder, holders
from seeder.postgres.failures import one_line
from seeder.web.live.timeouts import HOLDERS_SECONDS

log = structlog.get_logger(__name__)

#: What was found is told for so long, however many ask.
KEPT_SECONDS = 2.0

#: After how long a client that was refused because of a lock should ask again.
RETRY_SECONDS = 5


class Holding:
    """One per app. It has a thread of its own: it is asked for when all others wait."""

    def __init__(self, equipment: Equipment) -> None:
        self._equipment = equipment
        self._thread = CapacityLimiter(1)
        self._found: tuple[Holder, ...] = ()
        self._asked_at = float("-inf")

    async def now(self) -> tuple[Holder, ...]:
        """The holders as they were a moment ago; none where that can't be known."""
        if time.monotonic() - self._asked_at > KEPT_SECONDS:
            self._asked_at = time.monotonic()
            try:
                self._found = await asyncio.wait_for(
                    to_thread.run_sync(self._ask, abandon_on_cancel=True, limiter=self._thread),
                    HOLDERS_SECONDS,
                )
            except (TimeoutError, psycopg2.Error, UserError) as error:
                self._found = ()
                late = isinstance(error, TimeoutError)
                reason = f"no answer within {HOLDERS_SECONDS:g} s" if late else one_line(error)
                log.warning("who holds the record's locks can't be told", reason=reason)
        return self._found

    def _ask(self) -> tuple[Holder, ...]:
        return holders(self._equipment.databases, self._equipment.settings.db_schema)
