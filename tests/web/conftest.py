"""The app over a real database and Redis, asked as a browser on this machine or a program would ask."""

import logging
import threading
from collections.abc import Callable, Iterator

import pytest
import structlog
import uvicorn
from celery import Celery
from fastapi import FastAPI
from fastapi.testclient import TestClient
from support.contract import Platform
from support.visits import HERE, TOKEN, wait_until

from seeder import logs
from seeder.app import celery_settings
from seeder.config.settings import Settings, load_settings
from seeder.equipment import Equipment
from seeder.web.application import create_app
from seeder.web.security.access import Access
from seeder.web.serving import configured


@pytest.fixture
def heard(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """The log as the programs have it; what other tests in this process made of it doesn't matter."""
    before = structlog.get_config()
    logs.configure()
    caplog.set_level(logging.INFO)
    yield caplog
    structlog.configure(**before)


@pytest.fixture
def catch_up() -> str:
    """SEEDER_CATCH_UP, for tests that choose it by a parameter of that name."""
    return "6h"


@pytest.fixture
def settings(platform: Platform, redis_url: str, catch_up: str) -> Settings:
    return load_settings(database_url=platform.url, broker_url=redis_url, catch_up=catch_up)


@pytest.fixture
def make_app(platform: Platform, settings: Settings, broker_url: str) -> Iterator[Callable[..., FastAPI]]:
    """An app with these rules of access; on loopback and with a token unless told otherwise."""
    equipment = Equipment(settings, platform.url)
    celery = Celery("tests")
    celery.conf.update(celery_settings(settings, broker_url))

    def make(**rules: object) -> FastAPI:
        return create_app(equipment, celery, Access(**{"loopback": True, "token": TOKEN, **rules}))

    yield make
    equipment.databases.dispose()
    celery.close()


@pytest.fixture
def app(make_app: Callable[..., FastAPI]) -> FastAPI:
    return make_app()


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    """Somebody unknown on this machine."""
    with TestClient(app, base_url=HERE, follow_redirects=False) as client:
        yield client


@pytest.fixture
def holder(app: FastAPI, client: TestClient) -> TestClient:
    """A program that has the token."""
    return TestClient(
        app, base_url=HERE, follow_redirects=False, headers={"Authorization": f"Bearer {TOKEN}"}
    )


@pytest.fixture
def address(app: FastAPI) -> Iterator[str]:
    """The app behind a real server on loopback, for what streams and for whoever needs a socket."""
    server = uvicorn.Server(configured(app, "127.0.0.1", 0))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until("the server listens", lambda: server.started)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        app.state.services.live.feed.close()
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()
