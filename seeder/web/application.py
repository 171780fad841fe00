"""Puts the FastAPI app together: routes, security, error handlers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from celery import Celery
from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.staticfiles import StaticFiles

from seeder import __version__
from seeder.equipment import Equipment
from seeder.web import api, pages
from seeder.web.head_requests import HeadRequests
from seeder.web.problems import answer_errors
from seeder.web.security.access import Access, AccessMiddleware
from seeder.web.security.headers import SecurityHeaders
from seeder.web.services import make_services
from seeder.web.templating import STATIC

DESCRIPTION = """
What seeder's reports are like now, how each run went, and the requests to refresh or cancel.

Reading is open on the machine itself; elsewhere, and for writing, send `Authorization: Bearer` with the token
of SEEDER_API_TOKEN. Every error has one shape, `Problem`. Moments are ISO 8601 in UTC with their offset.
"""


def create_app(equipment: Equipment, celery: Celery, access: Access) -> FastAPI:
    """The API and the pages over these databases; ``access`` says who may do what."""
    made = make_services(equipment, celery, access)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with made.live.running():
            yield
        await made.frozen.end()

    app = FastAPI(
        title="seeder",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(HeadRequests),
            Middleware(AccessMiddleware, access=access, sessions=made.sessions, tries=made.tries),
        ],
        # The usual viewers of the document load their scripts from another host.
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
        redirect_slashes=False,
    )
    app.state.services = made
    answer_errors(app)
    for router in (*api.ROUTERS, *pages.ROUTERS):
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    return app
