"""The app over a real database and Redis, asked as a browser on this machine or a program would ask."""

from collections.abc import Callable, Iterator

import pytest
from celery import Celery
from contract import Platform
from fastapi import FastAPI
from fastapi.testclient import TestClient

from seeder.app import Equipment, celery_settings
from seeder.settings import Settings, load_settings
from seeder.web.access import Access
from seeder.web.application import create_app

TOKEN = "a-token-for-the-tests"
HERE = "http://localhost:8080"


@pytest.fixture
def settings(platform: Platform, redis_url: str) -> Settings:
    return load_settings(database_url=platform.url, broker_url=redis_url)


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
