"""One browser, one server and one worker for a whole module."""

import os
import shutil
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from support.browsing import AXE, LONGEST_WAIT_MS, TOKEN, Site, log_in, window, with_agencies
from support.processes import Worker
from support.world import World

CHROMIUM = os.environ.get("SEEDER_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")


def missing(what: str) -> None:
    """Skip where a person works, fail where everything has to be tested."""
    complain = pytest.fail if os.environ.get("CI") else pytest.skip
    complain(what)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Of the module: while it lives, no other event loop can run in this thread."""
    if CHROMIUM is None:
        missing("There is no chromium on the PATH: apt-get install chromium")
    expect.set_options(timeout=LONGEST_WAIT_MS)
    with sync_playwright() as playwright:
        # A sandbox needs rights that containers seldom have; what is looked at is our own.
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def world(
    module_database_url: str, module_broker_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    world = World(module_database_url, module_broker_url, tmp_path_factory.mktemp("site"))
    with_agencies(world)
    yield world
    world.close()


@pytest.fixture(scope="module")
def worker(world: World) -> Iterator[Worker]:
    with world.worker() as worker:
        yield worker


@pytest.fixture(scope="module")
def night(world: World, worker: Worker) -> Any:
    """What has happened before anybody looks. A module has its own."""


@pytest.fixture(scope="module")
def site(browser: Browser, world: World, night: Any) -> Iterator[Site]:
    """``seeder web`` as anyone would start it, and a login."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["seeder", "web", f"--port={port}"]
    with world.process("web", command, "Uvicorn running on", api_token=TOKEN) as web:
        web.ready()
        site = Site(world, web, f"http://127.0.0.1:{port}")
        context = browser.new_context(base_url=site.url)
        site.logged_in = log_in(context)
        context.close()
        yield site


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    """Of somebody who has logged in, on a laptop; asserts that nothing went wrong behind it."""
    with window(browser, site) as page:
        yield page


@pytest.fixture
def axe() -> None:
    if not AXE.exists():
        missing(f"There is no axe at {AXE}: install Node.js with npm, then `make env`")
