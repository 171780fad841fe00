"""Looks at the record once a second while somebody is connected, and sends all viewers what has changed."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from typing import TypeVar, cast

import psycopg2
import structlog
from pydantic_core import to_json
from starlette.concurrency import run_in_threadpool

from seeder.errors import DatabaseSilent, UserError
from seeder.monitoring import Look, Monitor, MonitoredJob, Snapshot
from seeder.postgres.failures import one_line
from seeder.web.live.feed import Feed
from seeder.web.live.timeouts import SNAPSHOT_SECONDS, in_time
from seeder.web.wire.jobs import Changes, JobChange

Made = TypeVar("Made")

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0

#: While very much changes a look takes longer; then they come more seldom, so that looking takes a twentieth
#: of the time at most.
PAUSE_FACTOR = 20
LONGEST_PAUSE_SECONDS = 10.0

#: Without a viewer, looks go on for so long after the last request, so that the next one needn't wait.
INTEREST_SECONDS = 30.0

#: A snapshot no older than the pause between two looks and this answers a request at once.
LATE_SECONDS = 1.0

#: What viewers are told where a look takes longer than SNAPSHOT_SECONDS.
UNREAD = to_json({"reason": "the reporting database can't be read, so what is shown may be old."}).decode()

#: How long the end waits for the look under way.
LAST_LOOK_SECONDS = 5.0

#: Jobs that one message lists; if there are more, clients load the list again.
MOST_LISTED = 100


class Live:
    """Makes one look at a time; a request that needs one waits for the one under way."""

    def __init__(self, monitor: Monitor, feed: Feed) -> None:
        self._monitor = monitor
        self.feed = feed
        self._looked_at = float("-inf")
        self._asked_at = float("-inf")
        self._pause = LOOK_SECONDS
        self._one_look = asyncio.Lock()
        self._interest = asyncio.Event()
        self._locks: dict[Hashable, asyncio.Lock] = {}
        #: The look that requests share, and since when they do.
        self._shared: tuple[asyncio.Task[Snapshot], float] | None = None
        #: Whether viewers were told that the record can't be read.
        self._unread = False

    async def glance(self) -> None:
        """Look now, so that what was just done shows at once; where that can't be, the next look shows it."""
        with contextlib.suppress(psycopg2.Error, UserError):
            await in_time(self.look(), SNAPSHOT_SECONDS, _silent())

    async def fresh(self) -> Snapshot:
        """All jobs, usually at most two seconds old.

        Raises psycopg2.Error, DatabaseSilent, SchemaIncomplete."""
        self._asked_at = time.monotonic()
        self._interest.set()
        snapshot = self._monitor.snapshot
        if snapshot is None or time.monotonic() - self._looked_at > self._pause + LATE_SECONDS:
            return await self._look_in_time()
        return snapshot

    async def _look_in_time(self) -> Snapshot:
        """A look, for as long as anybody should wait for one. Raises as ``fresh``."""
        if self._shared is None or self._shared[0].done():
            self._shared = asyncio.create_task(self.look()), time.monotonic()
        look, since = self._shared
        return await in_time(look, since + SNAPSHOT_SECONDS - time.monotonic(), _silent())

    async def look(self) -> Snapshot:
        """Look now, unless somebody has since this was called."""
        called = time.monotonic()
        async with self._one_look:
            if self._monitor.snapshot is not None and self._looked_at > called:
                return self._monitor.snapshot
            began = time.monotonic()
            look = await run_in_threadpool(self._monitor.look)
            self._looked_at = began
            took = time.monotonic() - began
            self._pause = min(max(LOOK_SECONDS, PAUSE_FACTOR * took), LONGEST_PAUSE_SECONDS)
            self._tell(look)
            return look.snapshot

    async def once_per_version(self, what: Hashable, snapshot: Snapshot, make: Callable[[], Made]) -> Made:
        """What ``make`` returns, called in a thread, once per snapshot however many ask at a time."""
        if (known := snapshot.known(what)) is not None:
            return cast("Made", known)
        async with self._locks.setdefault(what, asyncio.Lock()):
            return await run_in_threadpool(snapshot.kept, what, make)

    async def run(self) -> None:
        """Look once a second while there are viewers, or were requests of late."""
        while True:
            if not self.feed.viewers and time.monotonic() - self._asked_at > INTEREST_SECONDS:
                self._interest.clear()
                await self._interest.wait()
            try:
                await self._look_in_time()
            except (psycopg2.Error, UserError) as error:
                log.warning("the record can't be read; looking again", reason=one_line(error))
                self._tell_unread()
            except Exception:
                # The end of this loop would be silence that looks like a quiet night.
                log.exception("a look at the record failed; looking again")
                self._tell_unread()
                self._pause = LONGEST_PAUSE_SECONDS
            else:
                self._tell_read()
            await asyncio.sleep(self._pause)

    def interested(self) -> None:
        """A viewer has come."""
        self._interest.set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """With ``run`` in the background."""
        task = asyncio.create_task(self.run())
        try:
            yield
        finally:
            self.feed.close()
            # A look is made in a thread, which can't be cancelled: its connection would outlive the pool.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._one_look.acquire(), LAST_LOOK_SECONDS)
            tasks = [task, self._shared[0]] if self._shared else [task]
            for one in tasks:
                one.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _tell_unread(self) -> None:
        if not self._unread:
            self._unread = True
            self.feed.publish("unread", UNREAD)

    def _tell_read(self) -> None:
        if self._unread:
            self._unread = False
            self.feed.publish("reload", "{}")

    def _tell(self, look: Look) -> None:
        if look.changed is None and look.snapshot.version == 1:
            return
        if look.changed is None or look.changed:
            changed: Sequence[MonitoredJob] = look.changed or ()
            listed = changed if len(changed) <= MOST_LISTED else ()
            count = len(look.snapshot.jobs) if look.changed is None else len(changed)
            told = Changes(
                version=look.snapshot.version,
                count=count,
                jobs=[JobChange.model_validate(one) for one in listed],
            )
            self.feed.publish("changes", to_json(told, by_alias=True).decode())


def _silent() -> DatabaseSilent:
    return DatabaseSilent(seconds=round(SNAPSHOT_SECONDS))
