"""What somebody looks for who wants to know why: a job's page and the nights', in a real browser."""

import re
from contextlib import closing

import pytest
from playwright.sync_api import Browser, Page, expect
from support.browsing import PHONE, Site, ended, violations, width_beyond, window
from support.processes import Worker, wait_until
from support.world import World

pytestmark = pytest.mark.slow

MISSPELT = "select :agency_id as agency,\n       sum(amuont) as amount\nfrom public.orders"


@pytest.fixture(scope="module")
def night(world: World, worker: Worker) -> str:
    """Seven reports of one seeding, one of which fails; its id."""
    world.sql("create table public.orders (id integer, amount numeric)")
    world.sql("insert into public.orders select n, n from generate_series(1, 50) as n")
    world.custom("broken", MISSPELT, agency="north", agency_id=1, report="Broken sales")
    world.custom("orders", "-- seeder: unique=(id)\nselect id, amount from public.orders", agency="north")
    for number in range(5):
        world.custom(f"quick_{number}", agency="south", agency_id=2, report=f"Quick {number}")
    first = ended(world)
    # What reads it can't be made before it is there.
    world.custom("large", "select * from reporting.orders where amount > 25", agency="north", report="Large")
    ended(world, table_name="large")
    return str(first["orders"].run_id).partition(".")[0]


def test_the_error_leads_to_its_place_in_the_sql(page: Page) -> None:
    page.goto("/jobs/broken")
    expect(page.get_by_role("heading", level=1)).to_have_text("Broken sales")
    expect(page.locator("#error")).to_contain_text('42703: column "amuont" does not exist')
    page.get_by_role("link", name="Where that is in the SQL").click()
    mark = page.locator("#fault")
    expect(mark).to_have_text("amuont")
    expect(mark).to_be_in_viewport()
    line = page.locator(".sql .line").nth(1)
    # What is copied has no line numbers in it.
    expect(line).to_have_text("       sum(amuont) as amount", use_inner_text=True)
    expect(page.locator(".sql .filled")).to_have_text("1")


def test_a_run_that_waits_says_for_whom_and_goes_on_before_ones_eyes(page: Page, site: Site) -> None:
    page.goto("/jobs/orders")
    expect(page.locator("#live")).to_have_text("Live")
    expect(page.locator("#job-matview")).to_contain_text("refresh concurrently")
    world = site.world
    page.evaluate("window.sameDocument = true")
    with closing(world.connect()) as reader, reader.cursor() as cursor:
        cursor.execute("set application_name to 'a person in psql'")
        cursor.execute("begin")
        # Its lock is in a refresh's way and in no reader's.
        cursor.execute("comment on materialized view reporting.orders is 'mine'")
        page.get_by_role("button", name="Refresh").first.click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_role("button", name="Refresh").click()
        expect(dialog).to_contain_text("1 run queued")
        dialog.get_by_role("button", name="Close").click()
        now = page.locator("#job-now")
        expect(now).to_contain_text("Waiting for a lock", timeout=30_000)
        expect(now).to_contain_text("a person in psql")
        expect(now).to_contain_text("comment on materialized view reporting.orders")
        expect(page.get_by_role("button", name="Cancel the run", exact=True)).to_be_visible()
        cursor.execute("rollback")
    expect(page.locator("#job-head")).to_contain_text("success", timeout=30_000)
    expect(page.locator("#job-history tbody tr.success")).to_have_count(2, timeout=30_000)
    assert page.evaluate("window.sameDocument")


def test_an_open_error_stays_open_while_the_page_changes(page: Page, site: Site) -> None:
    page.goto("/jobs/broken")
    expect(page.locator("#live")).to_have_text("Live")
    details = page.locator("#job-history details").last
    details.locator("summary").click()
    expect(details).to_have_attribute("open", "")
    ended(site.world, table_name="broken")
    expect(page.locator("#job-history details")).to_have_count(2, timeout=30_000)
    expect(page.locator("#job-history details").last).to_have_attribute("open", "")


def test_reports_that_read_each_other_lead_to_each_other(page: Page) -> None:
    page.goto("/jobs/large")
    page.locator("#job-relations").get_by_role("link", name="reporting.orders").click()
    expect(page).to_have_url(re.compile("/jobs/orders$"))
    expect(page.locator("#job-relations").get_by_role("link", name="reporting.large")).to_be_visible()


def test_a_night_is_found_in_the_list_and_shows_its_runs(page: Page, night: str) -> None:
    page.goto("/")
    page.get_by_role("link", name="Nights").click()
    page.get_by_role("link", name="With those asked for").click()
    page.get_by_role("table").get_by_role("link", name=night).click()
    expect(page.locator("#night-facts")).to_contain_text("ran side by side")
    timeline = page.locator("#night-timeline svg")
    expect(timeline.locator("g.success")).to_have_count(6)
    expect(timeline.locator("g.error")).to_have_count(1)
    expect(timeline.locator("g.error title")).to_have_text(re.compile(r"^broken \(north\): error, took"))
    expect(page.locator("#night-failed")).to_contain_text('42703: column "amuont" does not exist')
    page.locator("#night-failed").get_by_role("link", name="broken").click()
    expect(page.locator("#fault")).to_be_visible()


def test_a_night_under_way_ends_before_ones_eyes(page: Page, site: Site, axe: None) -> None:
    world = site.world
    world.close_gate("slow")
    world.custom("slow", "select public.gate('slow') as one", agency="south", report="Slow")
    (run_id,) = world.seed(table_name="slow").run_ids
    world.wait_for(run_id, "running")
    page.goto(f"/nights/{run_id.partition('.')[0]}")
    expect(page.locator("#live")).to_have_text("Live")
    expect(page.locator("#night-timeline g.running")).to_have_count(1)
    assert violations(page) == []
    world.open_gates()
    expect(page.locator("#night-facts")).to_contain_text("slow was its only run", timeout=30_000)
    expect(page.locator("#night-timeline g.success")).to_have_count(1)


@pytest.mark.parametrize("path", ["/jobs/broken", "/nights?all=yes", "/nights/{night}"])
def test_the_pages_are_whole_without_any_script(browser: Browser, site: Site, night: str, path: str) -> None:
    with window(browser, site, java_script_enabled=False, viewport=PHONE) as page:
        page.goto(path.format(night=night))
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        expect(page.locator("time").first).to_contain_text("UTC")
        if "jobs" in path:
            page.locator("summary").last.click()
            expect(page.locator("#job-history details").last).to_contain_text("At line 2, column 12")


def test_a_long_line_of_sql_scrolls_in_its_own_box(page: Page, site: Site) -> None:
    query = f"select '{'x' * 3000}' as long"
    site.world.custom("wide", query, agency="south", report="Wide")
    run = ended(site.world, table_name="wide")["wide"]
    site.shows(run)
    page.set_viewport_size(PHONE)
    page.goto("/jobs/wide")
    expect(page.locator(".sql")).to_contain_text("xxx")
    assert width_beyond(page) <= 0
    box = page.locator("pre.sql")
    assert box.evaluate("box => box.scrollWidth > box.clientWidth")
    # Who has no mouse scrolls it with the keys.
    box.focus()
    page.keyboard.press("ArrowRight")
    wait_until("it has scrolled", lambda: box.evaluate("box => box.scrollLeft > 0"))
