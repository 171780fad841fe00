"""What the endpoints and pages work with, made once per app."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread
from celery import Celery
from starlette.requests import HTTPConnection

from seeder.app import Equipment
from seeder.history.nights import Nights
from seeder.history.pages import RunPages
from seeder.monitoring import Monitor
from seeder.waiting import WaitingRoom
from seeder.web.access import Access
from seeder.web.feed import Feed
from seeder.web.live import Live
from seeder.web.readiness import Readiness
from seeder.web.sessions import Sessions
from seeder.web.tries import Tries

Made = TypeVar("Made")

#: Requests of one process that ask the database at a time; the others wait for their turn. More would only
#: get in each other's way, and each has a connection of its own.
READERS = 6


@dataclass(frozen=True)
class Services:
    equipment: Equipment
    celery: Celery
    access: Access
    sessions: Sessions
    tries: Tries
    live: Live
    runs: RunPages
    nights: Nights
    waiting: WaitingRoom
    readers: CapacityLimiter
    readiness: Readiness

    async def read(self, ask: Callable[..., Made], *arguments: Any) -> Made:
        """What ``ask`` returns, called in a thread once it is this request's turn to ask the database."""
        return await to_thread.run_sync(ask, *arguments, limiter=self.readers)


def make_services(equipment: Equipment, celery: Celery, access: Access) -> Services:
    databases, settings = equipment.databases, equipment.settings
    return Services(
        equipment=equipment,
        celery=celery,
        access=access,
        sessions=Sessions(access.token),
        tries=Tries(),
        live=Live(Monitor(databases, settings), Feed()),
        runs=RunPages(databases, settings.db_schema),
        nights=Nights(databases, settings.db_schema),
        waiting=WaitingRoom(celery, equipment),
        readers=CapacityLimiter(READERS),
        readiness=Readiness(equipment, celery),
    )


def services(request: HTTPConnection) -> Services:
    """Those of the app that a request came to."""
    found: Services = request.app.state.services
    return found
