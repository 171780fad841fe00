"""What the endpoints and pages work with, made once per app."""

from dataclasses import dataclass

from celery import Celery
from starlette.requests import HTTPConnection

from seeder.app import Equipment
from seeder.history.pages import RunPages
from seeder.monitoring import Monitor
from seeder.web.access import Access
from seeder.web.feed import Feed
from seeder.web.live import Live
from seeder.web.readiness import Readiness
from seeder.web.sessions import Sessions
from seeder.web.tries import Tries


@dataclass(frozen=True)
class Services:
    equipment: Equipment
    celery: Celery
    access: Access
    sessions: Sessions
    tries: Tries
    live: Live
    runs: RunPages
    readiness: Readiness


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
        readiness=Readiness(equipment, celery),
    )


def services(request: HTTPConnection) -> Services:
    """Those of the app that a request came to."""
    found: Services = request.app.state.services
    return found
