"""What holds of every page: for everybody, on every screen, whatever stands in the database."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect
from support.browsing import LAPTOP, PHONE, Site, ended, overlaps, violations, width_beyond, window
from support.processes import Worker
from support.world import World

pytestmark = pytest.mark.slow

#: What may stand in any text of the database. The first ones would show if they weren't taken for text.
HOSTILE = [
    "<script>alert('in a text')</script><img src=x onerror=alert(1)>",
    """it's "quoted" & '><b>bold</b>""",
    "\u202eright to left \u05d0\u05d1\u05d2",
    "long " + "x" * 10_000,
]

#: Every page, by path. {run}, {seeding}, {slug} are those of a hostile report.
PAGES = [
    "/",
    "/?flag=isFailing",
    "/?q=nothing+is+like+that",
    "/?q=hostile&agency={slug}&status=error&sort=durationSeconds&order=desc&type=custom",
    "/agencies/south",
    "/agencies/{slug}",
    "/jobs/hostile_0",
    "/jobs/hostile_3",
    "/jobs/fine",
    "/jobs/held",
    "/jobs/off",
    "/jobs/new",
    "/frozen",
    "/graph",
    "/nights",
    "/nights?all=yes",
    "/nights/{seeding}",
    "/login",
    "/nowhere",
]

WINDOWS = {
    "laptop": {"viewport": LAPTOP},
    "phone, dark": {"viewport": PHONE, "color_scheme": "dark", "has_touch": True, "is_mobile": True},
}


@pytest.fixture(scope="module")
def worker(world: World) -> Iterator[Worker]:
    """With one process, which one run keeps busy: the next one is pending."""
    with world.worker("--concurrency=1") as worker:
        yield worker


@pytest.fixture(scope="module")
def night(world: World, worker: Worker) -> Iterator[dict[str, str]]:
    """Reports in every state there is, hostile texts among them; the values of the paths."""
    world.close_gate("held")
    for number, text in enumerate(HOSTILE):
        world.custom(
            f"hostile_{number}", "select nothing", agency=text[:200], agency_id=100 + number, report=text
        )
    world.custom("fine", agency="south", agency_id=2, report="Fine")
    failed = ended(world)
    ended(world, table_name="fine")
    for table in ("seeder_run_history set errors", "seeder_job_status set last_errors"):
        world.sql(f"update reporting.{table} = %s where table_name = 'hostile_3'", HOSTILE[3])
    world.custom("reads_fine", "select * from fine", agency="south", agency_id=2, report="Reads Fine")
    world.custom("off", agency="south", agency_id=2, report="Switched off", enabled=False)
    world.custom("new", agency="south", agency_id=2, report="Never run")
    world.custom("held", "select public.gate('held') as one", agency="south", agency_id=2, report="At work")
    (running,) = world.seed(table_name="held").run_ids
    world.wait_for(running, "running")
    world.sql(
        "update reporting.seeder_job_status set consecutive_failures = 2,"
        " start_time = start_time - interval '1 day' where table_name = 'held'"
    )
    world.custom("queued", agency="south", agency_id=2, report="Waiting")
    (waiting,) = world.seed(table_name="queued").run_ids
    world.wait_for(waiting, "pending")
    run_id = failed["hostile_0"].run_id
    yield {"slug": quote(HOSTILE[0][:200], safe=""), "run": run_id, "seeding": run_id.partition(".")[0]}
    world.open_gates()


@pytest.mark.parametrize("screen", WINDOWS)
@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_for_everybody(
    browser: Browser, site: Site, night: dict[str, str], axe: None, path: str, screen: str
) -> None:
    options: dict[str, Any] = WINDOWS[screen]
    with window(browser, site, forgiven="status of 404", **options) as page:
        page.goto(path.format(**night))
        if path.startswith(("/?", "/agencies", "/jobs")) or path == "/":
            expect(page.locator("#live")).to_have_text("Live")
        assert violations(page) == []
        assert overlaps(page) == []
        assert width_beyond(page) <= 0
        for details in page.locator("details").all():
            details.evaluate("details => { details.open = true; }")
        assert width_beyond(page) <= 0


@pytest.mark.parametrize("screen", WINDOWS)
def test_a_row_says_whatever_is_unusual_and_has_links_to_hit(
    browser: Browser, site: Site, night: dict[str, str], screen: str
) -> None:
    options: dict[str, Any] = WINDOWS[screen]
    with window(browser, site, **options) as page:
        page.goto("/")
        held = page.locator("tr", has_text="At work")
        expect(held.locator(".badge")).to_have_text(["running", "failing", "long", "stale"])
        expect(page.locator("tr", has_text="Waiting").locator(".badge")).to_have_text(["pending"])
        heights = page.evaluate(
            "[...document.querySelectorAll('tbody a')].map(one => one.getBoundingClientRect().height)"
        )
        assert len(heights) == 2 * page.locator("tbody tr").count()
        assert min(heights) >= 24


def test_dark_and_light_are_as_the_system_has_it(browser: Browser, site: Site) -> None:
    def ground(scheme: Any) -> list[int]:
        with window(browser, site, color_scheme=scheme) as page:
            page.goto("/")
            colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
            return [int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]

    assert min(ground("light")) > 200
    assert max(ground("dark")) < 60


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_hostile_text_is_shown_as_text(page: Page, number: int) -> None:
    page.goto(f"/?sort=tableName&q=hostile_{number}")
    text = HOSTILE[number]
    shown = page.get_by_role("rowheader").get_by_role("link")
    assert shown.text_content() == text
    assert page.locator("#main img, #main b, #main script").count() == 0
    assert width_beyond(page) <= 0
    page.get_by_role("row").nth(1).get_by_role("button").click()
    expect(page.get_by_role("dialog")).to_contain_text(text[:50])
    assert width_beyond(page) <= 0
