"""What an operator does in the morning, in a real browser, with a real worker."""

import re

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from sqlalchemy import create_engine, text
from support.browsing import Site, ended, window
from support.processes import Worker
from support.world import World

from seeder.config.urls import driver_url

pytestmark = pytest.mark.slow

#: A window without a screen can't be hidden.
HIDE = """hidden => {
    Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
    document.dispatchEvent(new Event("visibilitychange"));
}"""

MISSPELT = "select sold_att from public.orders"
MENDED = "select sold_at from public.orders"


@pytest.fixture(scope="module")
def night(world: World, worker: Worker) -> None:
    """It is over: one report failed, one was refused, and what will be looked at later went well."""
    world.sql("create table public.orders (sold_at timestamptz)")
    world.custom("north_sales", MISSPELT, agency="north", agency_id=1, report="Sales by month")
    for name in ("north_visits", "north_stock"):
        world.custom(name, agency="north", agency_id=1, report=f"Report {name}")
    for number in range(3):
        world.custom(f"south_{number}", agency="south", agency_id=2, report=f"Southern {number}")
    world.custom("soon_gone", agency="gone", report="Soon gone")
    world.custom("refused", database_id=99, agency="refused", report="Refused")
    ended(world)


def row(page: Page, report: str) -> Locator:
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=report, exact=True))


def test_what_failed_and_why_is_seen_at_once(page: Page) -> None:
    page.goto("/")
    expect(page.get_by_role("heading", level=1)).to_contain_text("2 of 8 reports are failing")
    first = page.get_by_role("row").nth(1)
    expect(first).to_contain_text("Sales by month")
    expect(first).to_contain_text('42703: column "sold_att" does not exist')
    page.get_by_role("link", name="2 failing").click()
    expect(page.get_by_role("row")).to_have_count(3)
    expect(page).to_have_url(re.compile(r"/\?flag=isFailing$"))


def test_filters_and_order_are_kept_over_a_reload(page: Page) -> None:
    page.goto("/")
    page.get_by_label("Part of the name").fill("south")
    page.get_by_text("Filter and sort").click()
    page.get_by_label("Sort by").select_option("report")
    page.get_by_label("Order").select_option("falling")
    page.get_by_role("button", name="Apply").click()
    names = ["Southern 2", "Southern 1", "Southern 0"]
    expect(page.get_by_role("rowheader").get_by_role("link")).to_have_text(names)
    expect(page).to_have_url(re.compile(r"/\?q=south&sort=reportName&order=desc$"))
    page.reload()
    expect(page.get_by_role("rowheader").get_by_role("link")).to_have_text(names)
    expect(page.get_by_label("Part of the name")).to_have_value("south")
    expect(page.get_by_label("Sort by")).to_have_value("reportName")


def test_a_form_works_without_any_script(browser: Browser, site: Site) -> None:
    with window(browser, site, java_script_enabled=False) as page:
        page.goto("/")
        expect(page.locator("noscript p")).to_be_visible()
        expect(page.get_by_role("button", name="Refresh all failing")).to_be_hidden()
        expect(row(page, "Sales by month").get_by_role("cell").nth(2)).to_contain_text("UTC")
        page.get_by_label("Part of the name").fill("sales")
        page.get_by_role("button", name="Search").click()
        expect(page.get_by_role("row")).to_have_count(2)


def test_nobody_known_sees_everything_and_is_told_how_to_do_more(browser: Browser, site: Site) -> None:
    with window(browser, site, known=False) as page:
        page.goto("/?q=sales")
        expect(row(page, "Sales by month")).to_be_visible()
        expect(page.get_by_role("button", name=re.compile("Refresh"))).to_have_count(0)
        page.locator("#main").get_by_role("link", name="log in").click()
        expect(page).to_have_url(re.compile("/login"))
        expect(page.locator('input[name="next"]')).to_have_value("/?q=sales")


def test_the_printed_login_link_fills_the_form_also_where_the_login_page_is_open(
    browser: Browser, site: Site
) -> None:
    with window(browser, site, known=False) as page:
        for number in (1, 2):
            # The second time only what is behind the # changes, and the browser loads nothing.
            page.goto(f"/login#a-token-{number}")
            expect(page.get_by_label("Token")).to_have_value(f"a-token-{number}")
            expect(page).to_have_url(f"{site.url}/login")


def test_times_are_those_of_the_viewers_zone(page: Page, site: Site) -> None:
    page.goto("/?q=visits")
    cell = row(page, "Report north_visits").get_by_role("cell").nth(2)
    expect(cell).to_have_text(re.compile(r"just now|min ago"))
    # India's zone, see window(): no other of the kind is half an hour off.
    expect(cell.locator("time")).to_have_attribute("title", re.compile(r"GMT\+5:30"))


def test_a_viewers_clock_may_be_wrong(browser: Browser, site: Site) -> None:
    with window(browser, site) as page:
        page.clock.install(time="2031-01-01T12:00:00Z")
        page.goto("/?q=visits")
        cell = row(page, "Report north_visits").get_by_role("cell").nth(2)
        expect(cell).to_have_text(re.compile(r"^(just now|\d+ min ago)$"))


def test_the_keyboard_is_enough(page: Page) -> None:
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    button = page.get_by_role("button", name="Refresh all failing")
    button.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("every report that is failing")
    expect(page.get_by_role("dialog").get_by_role("button", name="Refresh all failing")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(button).to_be_focused()


def test_the_focus_stays_where_it_was_while_the_row_changes(page: Page) -> None:
    page.goto("/?q=visits")
    there = row(page, "Report north_visits")
    there.get_by_role("button").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("1 run queued")
    expect(there.and_(page.locator(".fresh"))).to_be_visible()
    expect(there).to_contain_text("success")
    page.keyboard.press("Escape")
    expect(there.get_by_role("button")).to_be_focused()


def test_an_answer_that_is_an_error_is_shown_as_text(browser: Browser, site: Site) -> None:
    with window(browser, site, forgiven="status of 404") as page:
        page.goto("/?q=soon")
        button = row(page, "Soon gone").get_by_role("button")
        expect(button).to_be_visible()
        site.world.sql("delete from reporting.seeder_custom_report_manifest where table_name = 'soon_gone'")
        button.click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_role("button", name="Refresh").click()
        expect(dialog).to_contain_text("That didn't work")
        expect(dialog).to_contain_text("No enabled manifest has the table")


def test_what_is_refused_is_told_with_its_reason(page: Page) -> None:
    page.goto("/?q=refused")
    row(page, "Refused").get_by_role("button").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Refresh").click()
    expect(dialog).to_contain_text("Nothing was queued")
    expect(dialog.get_by_role("listitem")).to_contain_text("SEEDER_DATABASES")


def test_a_server_out_of_reach_is_told(browser: Browser, site: Site) -> None:
    with window(browser, site, forgiven="ERR_FAILED") as page:
        page.goto("/?q=visits")
        page.route("**/refresh", lambda route: route.abort())
        row(page, "Report north_visits").get_by_role("button").click()
        page.get_by_role("dialog").get_by_role("button", name="Refresh").click()
        expect(page.get_by_role("dialog")).to_contain_text("The server can't be reached")


# --- live --------------------------------------------------------------------------------------------------


def test_a_rerun_of_an_agency_turns_green_before_ones_eyes(page: Page, site: Site) -> None:
    page.goto("/agencies/north")
    expect(page.get_by_role("heading", level=1)).to_contain_text("1 of 3 reports is failing")
    expect(page.locator("#live")).to_have_text("Live")
    site.world.sql(
        "update reporting.seeder_custom_report_manifest set query = %s where query = %s", MENDED, MISSPELT
    )
    page.evaluate("window.sameDocument = true")
    page.get_by_role("button", name="Refresh all of this agency").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Northern Lights")
    dialog.get_by_role("button", name="Refresh all of this agency").click()
    expect(dialog).to_contain_text("3 runs queued")
    expect(dialog.get_by_role("link")).to_have_attribute("href", re.compile(r"^/nights/\d{8}T\d{6}Z-\w{4}$"))
    dialog.get_by_role("button", name="Close").click()
    expect(row(page, "Sales by month").get_by_role("cell").first).to_contain_text("success")
    expect(page.get_by_role("heading", level=1)).to_have_text("All 3 reports are in order")
    expect(page.get_by_role("link", name="0 failing")).to_be_visible()
    assert page.evaluate("window.sameDocument")


def test_a_long_run_is_watched_and_cancelled(page: Page, site: Site) -> None:
    world = site.world
    page.goto("/?q=long")
    expect(page.get_by_role("heading", name="No report is like that")).to_be_visible()
    expect(page.locator("#live")).to_have_text("Live")
    world.close_gate("long")
    world.custom("long_one", "select public.gate('long') as one", agency="south", report="Long one")
    page.get_by_role("link", name="Show the list anew").click()
    mine = row(page, "Long one")
    expect(mine).to_be_visible()
    # A button that is pressed before the page's scripts have run does nothing.
    expect(page.locator("#live")).to_have_text("Live")
    mine.get_by_role("button", name="Refresh Long one").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Refresh").click()
    expect(dialog).to_contain_text("1 run queued")
    dialog.get_by_role("button", name="Close").click()
    expect(mine.get_by_role("cell").first).to_contain_text("running")
    expect(mine.get_by_role("cell").nth(3)).to_have_text(re.compile(r"^[1-9]\d* s"))
    expect(page.locator("#running")).to_contain_text("0 of 1 ended")
    mine.get_by_role("button", name="Cancel Long one").click()
    dialog.get_by_role("button", name="Cancel the run").click()
    expect(dialog).to_contain_text("is cancelled")
    dialog.get_by_role("button", name="Close").click()
    expect(mine.get_by_role("cell").first).to_contain_text("cancelled")
    expect(mine.get_by_role("cell").first).not_to_contain_text("failing")
    expect(mine).to_contain_text("Cancelled by Ada in the middle of the run.")
    world.open_gates()


def test_everything_that_fails_is_queued_with_one_button(page: Page, site: Site) -> None:
    for name in ("broken_1", "broken_2"):
        site.world.custom(name, "select 1 / 0 as one", agency="broken", report=f"Broken {name}")
    for run in ended(site.world, agency_slug="broken").values():
        site.shows(run)
    page.goto("/?flag=isFailing&q=broken")
    expect(page.get_by_role("row")).to_have_count(3)
    site.world.sql(
        "update reporting.seeder_custom_report_manifest set query = 'select 1 as one'"
        " where table_name like 'broken%%'"
    )
    page.get_by_role("button", name="Refresh all failing").click()
    page.get_by_role("dialog").get_by_role("button", name="Refresh all failing").click()
    expect(page.get_by_role("dialog")).to_contain_text(re.compile(r"[23] runs queued"))
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    for name in ("broken_1", "broken_2"):
        mine = row(page, f"Broken {name}").get_by_role("cell").first
        expect(mine).to_contain_text("success")
    # They stay where they are until somebody wants the list anew.
    page.get_by_role("link", name="Show the list anew").click()
    expect(page.get_by_role("heading", name="No report is like that")).to_be_visible()


def test_a_page_goes_on_where_it_was_when_the_server_has_been_away(browser: Browser, site: Site) -> None:
    with window(browser, site, forgiven="net::ERR") as page:
        page.goto("/?q=south_0")
        expect(page.locator("#live")).to_have_text("Live")
        site.web.stop()
        expect(page.locator("#live")).to_have_text("Connecting …")
        site.world.sql("update reporting.seeder_custom_report_manifest set query = 'select 1 / 0 as one'"
                       " where table_name = 'south_0'")  # fmt: skip
        ended(site.world, table_name="south_0")
        site.web.restart()
        expect(page.locator("#live")).to_have_text("Live")
        expect(row(page, "Southern 0")).to_contain_text("division by zero")


def test_a_page_says_when_the_database_has_gone_silent(browser: Browser, site: Site) -> None:
    with window(browser, site) as page:
        page.goto("/")
        expect(page.locator("#live")).to_have_text("Live")
        engine = create_engine(driver_url(site.world.database_url))
        with engine.begin() as holder:
            holder.execute(text("lock table reporting.seeder_job_status in access exclusive mode"))
            expect(page.locator("#live")).to_contain_text("Not live: the reporting database can't be read")
        engine.dispose()
        expect(page.locator("#live")).to_have_text("Live")


def test_what_changes_is_told_to_screen_readers(page: Page, site: Site) -> None:
    page.goto("/?q=south_1")
    expect(page.locator("#live")).to_have_text("Live")
    expect(page.locator("#said")).to_be_empty()
    site.world.sql("update reporting.seeder_custom_report_manifest set query = 'select 1 / 0 as one'"
                   " where table_name = 'south_1'")  # fmt: skip
    ended(site.world, table_name="south_1")
    expect(page.get_by_role("status").filter(has_text="0 success, 1 error")).to_have_count(1)


def test_a_page_that_nobody_sees_keeps_no_connection(browser: Browser, site: Site) -> None:
    with window(browser, site) as page:
        page.goto("/?q=south_2")
        expect(page.locator("#live")).to_have_text("Live")
        with page.expect_event("requestfailed", lambda request: request.url.endswith("/api/events")):
            page.evaluate(HIDE, True)
        with page.expect_request("**/api/events"):
            page.evaluate(HIDE, False)
        expect(page.locator("#live")).to_have_text("Live")
