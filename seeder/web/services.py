"""What endpoints and pages work with, created once per app."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar, TypeVarTuple

from anyio import CapacityLimiter, to_thread
from celery import Celery
from starlette.requests import HTTPConnection

from seeder.equipment import Equipment
from seeder.errors import DatabaseSilent, TooMuchAtOnce, Unanswered
from seeder.history.nights import Nights
from seeder.history.pages import RunPages
from seeder.maintenance.frozen import find_frozen
from seeder.monitoring import Monitor
from seeder.runs.waiting import DelayedRuns
from seeder.web.frozen import FrozenWatch
from seeder.web.holding import RETRY_SECONDS, Holding
from seeder.web.live.feed import Feed
from seeder.web.live.live import Live
from seeder.web.live.timeouts import ANSWER_SECONDS, in_time
from seeder.web.readiness import Readiness
from seeder.web.security.access import Access
from seeder.web.security.attempts import Tries
from seeder.web.security.cookies import Sessions

Made = TypeVar("Made")
Arguments = TypeVarTuple("Arguments")

#: Requests of one process that ask the database at a time; the others wait for their turn. More would only
#: get in each other's way, and each has a connection of its own.
READERS = 6

#: What changes something has threads of its own, so that however many click while the record is locked, the
#: pages keep theirs; and a wish that gets no turn for so long is refused, before anything of it is done.
ACTORS = 4
TURN_SECONDS = 1.0


@dataclass(frozen=True)
class Services:
    equipment: Equipment
    celery: Celery
    access: Access
    sessions: Sessions
    tries: Tries
    live: Live
    frozen: FrozenWatch
    runs: RunPages
    nights: Nights
    waiting: DelayedRuns
    readers: CapacityLimiter
    turns: CapacityLimiter
    readiness: Readiness
    holding: Holding

    async def read(self, ask: Callable[[*Arguments], Made], *arguments: *Arguments) -> Made:
        """What ``ask`` returns, called in a thread once it is this request's turn to ask the database.

        Raises DatabaseSilent."""
        asking = asyncio.ensure_future(to_thread.run_sync(ask, *arguments, limiter=self.readers))
        try:
            return await in_time(asking, ANSWER_SECONDS, DatabaseSilent(seconds=round(ANSWER_SECONDS)))
        except asyncio.CancelledError:
            # Nobody needs the turn that it may still wait for.
            asking.cancel()
            raise

    async def act(self, do: Callable[[*Arguments], Made], *arguments: *Arguments) -> Made:
        """What ``do`` returns, which changes something: called in a thread once it is this request's turn.

        Raises TooMuchAtOnce, before anything is done; and Unanswered, and then it may still be done."""
        turn = object()
        try:
            await asyncio.wait_for(self.turns.acquire_on_behalf_of(turn), TURN_SECONDS)
        except TimeoutError:
            raise TooMuchAtOnce(count=ACTORS, seconds=RETRY_SECONDS) from None
        # Whoever has a turn has a thread.
        doing = asyncio.ensure_future(to_thread.run_sync(do, *arguments, limiter=CapacityLimiter(1)))
        doing.add_done_callback(lambda _: self.turns.release_on_behalf_of(turn))
        return await in_time(doing, ANSWER_SECONDS, Unanswered(seconds=round(ANSWER_SECONDS)))


def make_services(equipment: Equipment, celery: Celery, access: Access) -> Services:
    databases, settings = equipment.databases, equipment.settings
    return Services(
        equipment=equipment,
        celery=celery,
        access=access,
        sessions=Sessions(access.token),
        tries=Tries(),
        frozen=FrozenWatch(partial(find_frozen, equipment)),
        live=Live(Monitor(databases, settings), Feed()),
        runs=RunPages(databases, settings.db_schema),
        nights=Nights(databases, settings.db_schema),
        waiting=DelayedRuns(celery, equipment),
        readers=CapacityLimiter(READERS),
        turns=CapacityLimiter(ACTORS),
        readiness=Readiness(equipment, celery),
        holding=Holding(equipment),
    )


def services(request: HTTPConnection) -> Services:
    """Those of the app that a request came to."""
    found: Services = request.app.state.services
    return found
