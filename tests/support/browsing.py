"""Runs a platform, a worker and ``seeder web``, and opens its pages in a browser that reports every error."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit
from urllib.request import urlopen

from playwright.sync_api import Browser, BrowserContext, Page
from sqlalchemy import create_engine
from support.processes import Process, wait_until
from support.world import World

from seeder import schema
from seeder.config.urls import driver_url

TOKEN = "a-token-for-the-browser"

AXE = Path(__file__).parents[2] / ".venv" / "node" / "node_modules" / "axe-core" / "axe.min.js"

#: Of axe's rules, those of WCAG 2.2 AA and what its authors think good practice.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

#: How long a condition may take to come about, in milliseconds; the machine may be busy.
LONGEST_WAIT_MS = 20_000

LAPTOP = {"width": 1280, "height": 800}
#: The narrowest phones that are still around.
PHONE = {"width": 360, "height": 740}

AGENCIES = """
create table public.agency (id integer primary key, name text);
insert into public.agency values (1, 'Northern Lights'), (2, 'South & Sons');
"""


@dataclass
class Site:
    """A platform and where its pages are."""

    world: World
    web: Process
    url: str
    #: The browser's cookies after a login.
    logged_in: Any = None

    def shows(self, run: Any) -> None:
        """Wait until the pages show that run as its table's last, and how it ended; a new manifest takes them
        some seconds."""
        known = (run.run_id, run.status)
        wait_until(f"{run.run_id} is shown", lambda: self._last_run(run.table_name) == known)

    def _last_run(self, table_name: str) -> tuple[str, str] | None:
        try:
            with urlopen(f"{self.url}/api/jobs/{quote(table_name, safe='')}", timeout=20) as answer:  # noqa: S310
                job = json.load(answer)["job"]
                return job["lastRunId"], job["status"]
        except HTTPError:
            return None


@dataclass
class Noticed:
    """What went on behind a page."""

    host: str
    errors: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        page.on("console", lambda said: said.type in ("error", "warning") and self.errors.append(said.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        # What a text of the database would do first if it were a script.
        page.on("dialog", lambda dialog: (self.errors.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: self._request(request.url))

    def _request(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme != "data" and parts.netloc != self.host:
            self.foreign.append(url)


@contextmanager
def window(
    browser: Browser, site: Site, *, known: bool = True, forgiven: str = "", **options: Any
) -> Iterator[Page]:
    """A page in a window of its own, of somebody who has logged in or hasn't.

    Asserts that it reported no error but those with the words ``forgiven``, and asked no other host.
    """
    context = browser.new_context(
        base_url=site.url,
        storage_state=site.logged_in if known else None,
        **{"viewport": LAPTOP, "timezone_id": "Asia/Kolkata", **options},
    )
    context.set_default_timeout(LONGEST_WAIT_MS)
    page = context.new_page()
    noticed = Noticed(urlsplit(site.url).netloc)
    noticed.watch(page)
    try:
        yield page
    finally:
        context.close()
    assert [error for error in noticed.errors if not (forgiven and forgiven in error)] == []
    assert noticed.foreign == []


def log_in(context: BrowserContext, name: str = "Ada") -> Any:
    """Type the token into the form, as a person does; the cookies afterwards."""
    page = context.new_page()
    page.goto("/login")
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_label("Your name").fill(name)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("button", name="Log out").wait_for()
    return context.storage_state()


def ended(world: World, **selection: str) -> dict[str, Any]:
    """Seed those manifests and wait until all runs are over; their rows by table."""
    seeding = world.seed(**selection)
    return {row.table_name: row for row in world.wait_for_end(seeding.run_ids).values()}


def with_agencies(world: World) -> None:
    """What the pages need beside what workers do: names of agencies, and the dashboard view."""
    world.sql(AGENCIES)
    engine = create_engine(driver_url(world.database_url))
    with engine.connect() as connection:
        schema.apply(connection, "reporting", "public.agency")
    engine.dispose()


def violations(page: Page) -> list[str]:
    """What axe finds on a page."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("rules => axe.run(document, {runOnly: rules})", RULES)
    return [
        f"{one['id']}: {one['help']}: {json.dumps([node['html'][:200] for node in one['nodes'][:3]])}"
        for one in found["violations"]
    ]


#: Pairs of what can be clicked whose boxes lie over each other, even where it isn't seen because something
#: around one clips it. axe finds only those in the same field of its grid of 200 pixels: with luck.
OVERLAPS = """() => {
    const hidden = one => one && (getComputedStyle(one).clipPath !== "none" || hidden(one.parentElement));
    const targets = [...document.querySelectorAll("a[href], button, input, select, summary")]
        .filter(one => one.checkVisibility() && !hidden(one))
        .map(one => ({ one, rects: [...one.getClientRects()] }));
    const over = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 0.5
        && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 0.5;
    const name = target => target.one.outerHTML.slice(0, 120);
    const pairs = targets.flatMap((a, index) => targets.slice(index + 1).map(b => [a, b]));
    return pairs.filter(([a, b]) => a.rects.some(one => b.rects.some(other => over(one, other))))
        .map(([a, b]) => `${name(a)} and ${name(b)}`);
}"""


def overlaps(page: Page) -> list[str]:
    """What can be clicked and shares its place with something else that can."""
    return list(page.evaluate(OVERLAPS))


def width_beyond(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))
