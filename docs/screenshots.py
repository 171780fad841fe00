"""Takes the pictures in docs/images from a running `make up` over the demo's data.

make demo && make demo && make up
.venv/bin/python docs/screenshots.py http://127.0.0.1:8080/login#…     # the link that `make up` printed

Those of docs/night.md are taken from a `seeder up` in an empty folder, with night.sql loaded by psql
(docs/demo.md has its address), and after

seeder refresh --wait
psql … -c "update app.crew_hour set hours = 0 where airport = 13"
seeder refresh --table crew_costs --downstream --wait
seeder refresh --table flights_clean --downstream
.venv/bin/python docs/screenshots.py http://127.0.0.1:8080/login#… order     # before that has ended
"""

import shutil
import sys
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import sync_playwright

IMAGES = Path(__file__).parent / "images"

LAPTOP = {"viewport": {"width": 1280, "height": 800}}
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True}

#: Name, path and screen of each picture.
PICTURES = [
    ("monitoring", "/", LAPTOP),
    ("monitoring-phone", "/", PHONE),
    ("agency", "/agencies/ev", LAPTOP),
    ("job", "/jobs/flights_yv_time_on_the_ground", LAPTOP),
    ("night", "/nights?all=yes", LAPTOP),
]

#: As far as is told of them.
SHORT = {"viewport": {"width": 1280, "height": 640}}

PICTURES_OF_ORDER = [
    ("order-not-run", "/", SHORT),
    ("order-waiting", "/jobs/record_holders", {"viewport": {"width": 1280, "height": 340}}),
    ("graph", "/graph?table=airport_weeks", {"viewport": {"width": 1280, "height": 640}}),
]


def main(link: str, which: str = "") -> None:
    parts = urlsplit(link)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        for name, path, screen in PICTURES_OF_ORDER if which == "order" else PICTURES:
            context = browser.new_context(base_url=f"{parts.scheme}://{parts.netloc}", **screen)
            page = context.new_page()
            page.goto(link)
            page.get_by_label("Your name").fill("Ada")
            page.get_by_role("button", name="Log in").click()
            page.get_by_role("button", name="Log out").wait_for()
            page.goto(path)
            if name == "night":
                page.get_by_role("table").get_by_role("link").first.click()
                page.locator("#night-timeline").wait_for()
            elif name == "graph":
                page.locator(".graph svg").wait_for()
            else:
                page.locator("#live[data-state=on]").wait_for()
            page.screenshot(path=IMAGES / f"{name}.png")
            context.close()
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
