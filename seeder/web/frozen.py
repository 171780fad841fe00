"""Finds frozen reports for the pages and the API: on request, and at most once a minute.

A look asks every database, and one that is down takes its seconds to say so. The Monitoring page doesn't wait
for that: it shows what the last look found.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg2
import structlog
from anyio import CapacityLimiter, to_thread

from seeder.errors import DatabaseSilent, UserError
from seeder.maintenance.frozen import FrozenReports
from seeder.postgres.failures import one_line
from seeder.web.live.timeouts import ANSWER_SECONDS, in_time

log = structlog.get_logger(__name__)

#: How old what the Monitoring page says of it may be, and how old the list.
GLANCE_SECONDS = 60.0
LIST_SECONDS = 5.0

#: The first visitor of Monitoring waits so long for the first look.
FIRST_SECONDS = 1.0

#: How long the end waits for the look under way: its connection would outlive the pool.
LAST_LOOK_SECONDS = 5.0


@dataclass(frozen=True)
class Found:
    reports: FrozenReports
    at: datetime


class FrozenWatch:
    """Searches one at a time; a request that needs one waits for the one under way."""

    def __init__(self, find: Callable[[], FrozenReports]) -> None:
        self._find = find
        self._found: Found | None = None
        self._looked_at = float("-inf")
        self._look: asyncio.Task[Found] | None = None
        self._limiter = CapacityLimiter(1)

    async def glance(self) -> Found | None:
        """What the last look found, whether or not it is old; None where nothing is known yet."""
        if time.monotonic() - self._looked_at > GLANCE_SECONDS:
            look = self._begun()
            if self._found is None:
                with suppress(psycopg2.Error, UserError):
                    await in_time(look, FIRST_SECONDS, DatabaseSilent(seconds=round(FIRST_SECONDS)))
        return self._found

    async def fresh(self) -> Found:
        """A few seconds old at most. Raises psycopg2.Error, DatabaseSilent, SchemaIncomplete."""
        if self._found is not None and time.monotonic() - self._looked_at <= LIST_SECONDS:
            return self._found
        late = DatabaseSilent(seconds=round(ANSWER_SECONDS))
        return await in_time(self._begun(), ANSWER_SECONDS, late)

    async def end(self) -> None:
        """Wait a little for the look under way."""
        # One that was begun in a loop that is closed by now ends no more.
        if self._look is not None and not self._look.done() and not self._look.get_loop().is_closed():
            with suppress(psycopg2.Error, UserError):
                await in_time(self._look, LAST_LOOK_SECONDS, DatabaseSilent(seconds=round(LAST_LOOK_SECONDS)))

    def _begun(self) -> asyncio.Task[Found]:
        if self._look is None or self._look.done():
            # Also where it fails: a database that is down isn't asked again by each visitor.
            self._looked_at = time.monotonic()
            self._look = asyncio.create_task(self._made())
            self._look.add_done_callback(_noted)
        return self._look

    async def _made(self) -> Found:
        reports = await to_thread.run_sync(self._find, limiter=self._limiter)
        self._found = Found(reports, datetime.now(UTC))
        self._looked_at = time.monotonic()
        return self._found


def _noted(look: asyncio.Task[Found]) -> None:
    if not look.cancelled() and (error := look.exception()):
        log.warning("frozen reports can't be looked for", reason=one_line(error))
