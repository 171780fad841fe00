"""The nights: their list, a night's timeline, and what held its end back."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from fastapi.testclient import TestClient
from support.contract import Platform, as_it_is, new_run
from test_jobs import NASTY
from test_pages import get

from seeder.history import Figures
from seeder.history.nights import STEPS
from seeder.web.pages import night as night_page

TICK = datetime(2026, 11, 24, 2, tzinfo=UTC)


def words(html: str, part: str) -> str:
    text = html.partition(f'id="{part}"')[2].partition("</section>")[0].partition(">")[2]
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", text)).split())


def recorded(platform: Platform, seeding_id: str, *facts: tuple[str, float, float, str | None]) -> None:
    """Runs of a seeding: table, beginning and end in seconds after the tick, and error."""
    for number, (table, start, end, error) in enumerate(facts, 1):
        run_id = f"{seeding_id}.custom-{number}"
        platform.history.queue([new_run(run_id, table, manifest_id=number)])
        platform.history.start(run_id, table)
        if error is None:
            platform.history.succeed(
                as_it_is(platform.history, run_id), Figures(records=10, total_bytes=8192)
            )
        else:
            platform.history.fail(as_it_is(platform.history, run_id), error)
        platform.sql(f"""
            update reporting.seeder_run_history
            set created_at = '{TICK}', start_time = '{TICK + timedelta(seconds=start)}',
                finish_time = '{TICK + timedelta(seconds=end)}'
            where run_id = '{run_id}'
        """)


def test_what_was_not_run_is_told_once_for_each_report_that_had_failed(
    platform: Platform, client: TestClient
) -> None:
    night = "20261124T0200Z"
    recorded(platform, night, ("root", 1, 2, "22012: division by zero"), ("other", 1, 2, "42P01: missing"))
    words_of = {
        name: f"Not run: {name} (agency ua), which it reads, ended in an error." for name in ("root", "other")
    }
    readers = {f"reader_{number:02}": "root" for number in range(15)} | {'"><b>odd': "other"}
    for number, name in enumerate(readers, 10):
        platform.history.queue([new_run(f"{night}.custom-{number}", name, manifest_id=number)])
    platform.history.upstreams.not_run(
        {f"{night}.custom-{number}": words_of[root] for number, root in enumerate(readers.values(), 10)}
    )
    html = get(client, f"/nights/{night}")
    assert words(html, "night-not-run").startswith(
        f"Not run {words_of['root']} 15 reports: reader_00 , reader_01 ,"
    )
    assert f'reader_11 and 3 more {words_of["other"]} 1 report: "><b>odd' in words(html, "night-not-run")
    assert "not run 16" in words(html, "night-facts")
    assert "reader" not in words(html, "night-failed") + words(html, "night-slowest")
    recorded(platform, "20261125T0200Z", ("root", 1, 2, "22012: division by zero"))
    assert 'id="night-not-run"' not in get(client, "/nights/20261125T0200Z")


def test_a_night_says_how_it_went_and_what_held_its_end_back(platform: Platform, client: TestClient) -> None:
    recorded(
        platform, "20261124T0200Z",
        ("a", 1, 61, None), ("b", 1, 50, "22012: division by zero\nHint: none"), ("late", 51, 351, None),
    )  # fmt: skip
    html = get(client, "/nights/20261124T0200Z")
    told = words(html, "night-facts")
    assert "success 2" in told
    assert "error 1" in told
    assert "Took 5 min 51 s" in told
    assert "Rows in its matviews 20" in told
    assert "At most 2 ran side by side." in told
    assert "The end was held back by late: it ended last, took 5 min 00 s" in told
    assert "had begun only after 51 s in the queue" in told
    assert "For the last 4 min 50 s nothing else was at work." in told
    assert len(re.findall('<g class="success">', html)) == 2
    assert len(re.findall('<g class="error">', html)) == 1
    assert 'fill="url(#hatch)"' in html
    assert "<title>b (ua): error, took 49 s; began 02:00:01 UTC, 1 s in the queue</title>" in html
    failed = words(html, "night-failed")
    assert "22012: division by zero" in failed
    assert "Hint" not in failed
    slowest = re.findall(r'href="/jobs/([^"]+)"', html.partition('id="night-slowest"')[2])
    assert slowest == ["late", "a", "b"]


def test_the_chain_that_decided_the_end_is_named_and_marked(platform: Platform, client: TestClient) -> None:
    night = "20261124T0200Z"
    for number, (name, query) in enumerate(
        {
            "first": "select 1 as one",
            "quick": "select 1 as one",
            "second": "select * from first cross join quick as q(two)",
            "last": "select * from second",
            "alone": "select 1 as one",
            # Its source ended after it had begun, so it didn't wait for it.
            "earlier": "select * from last",
        }.items(),
        start=1,
    ):
        platform.custom(number, table_name=name, query=query)
    recorded(
        platform, night, ("first", 1, 40, None), ("quick", 1, 5, None), ("second", 41, 60, None),
        ("last", 62, 100, None), ("alone", 1, 90, None), ("earlier", 3, 9, None),
    )  # fmt: skip
    html = get(client, f"/nights/{night}")
    assert (
        "A chain of 3 that read each other decided when it ended: first, second, last. Their own time is "
        "1 min 36 s of its 1 min 40 s."
    ) in words(html, "night-facts")
    marked = re.findall(r'<g class="success critical"><title>(\w+) ', html)
    assert sorted(marked) == ["first", "last", "second"]
    assert "the chain that decided the end (outlined)" in html


def test_without_an_order_no_chain_is_told_of(platform: Platform, client: TestClient) -> None:
    for number, name in enumerate(("one", "other"), start=1):
        platform.custom(number, table_name=name)
    recorded(platform, "20261124T0200Z", ("one", 1, 40, None), ("other", 1, 5, None))
    html = get(client, "/nights/20261124T0200Z")
    assert "chain" not in html


def test_a_night_that_ended_in_step_had_nobody_to_blame(platform: Platform, client: TestClient) -> None:
    recorded(platform, "20261124T0200Z", ("a", 0, 100, None), ("b", 0, 100.4, None))
    told = words(get(client, "/nights/20261124T0200Z"), "night-facts")
    assert "No single run held its end back" in told


def test_a_night_under_way_is_live_and_an_ended_one_is_not(platform: Platform, client: TestClient) -> None:
    recorded(platform, "20261124T0200Z", ("a", 0, 100, None))
    html = get(client, "/nights/20261124T0200Z")
    assert "/static/live.js" not in html
    assert "data-busy" not in html
    platform.history.queue([new_run("20261124T0200Z.custom-8", "x", manifest_id=8)])
    platform.history.queue([new_run("20261124T0200Z.custom-9", "y", manifest_id=9)])
    platform.history.start("20261124T0200Z.custom-9", "y")
    html = get(client, "/nights/20261124T0200Z")
    assert "/static/live.js" in html
    assert "data-busy" in html
    assert '<g class="running">' in html
    told = words(html, "night-facts")
    assert "pending 1" in told
    assert "running 1" in told
    assert "held back" not in told
    assert 'id="night-timeline"' in get(client, "/nights/20261124T0200Z?piece=all")


def test_a_night_of_which_nothing_has_begun_has_a_page(platform: Platform, client: TestClient) -> None:
    platform.history.queue([new_run("20261124T0200Z.custom-1", "x")])
    html = get(client, "/nights/20261124T0200Z")
    assert "None of its runs has begun yet." in html
    assert '<svg viewBox="0 0 960' not in html


@pytest.mark.parametrize("name", ["nothing", "20200101T0200Z", "x%2Fy", "%00", "'%22<script>"])
def test_there_is_no_page_of_what_never_was(client: TestClient, name: str) -> None:
    answer = client.get(f"/nights/{name}", headers={"Accept": "text/html"})
    assert answer.status_code in (404, 422)
    assert "<script>alert" not in answer.text


@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
def test_whatever_a_run_is_called_is_shown_as_text(platform: Platform, client: TestClient, text: str) -> None:
    short = text[:300]
    run_id = "20261124T0200Z.custom-1"
    platform.history.queue([new_run(run_id, short, report_name=text, agency_slug=short)])
    platform.history.start(run_id, short)
    platform.history.fail(as_it_is(platform.history, run_id), text)
    html = get(client, "/nights/20261124T0200Z")
    assert "<script>alert" not in html
    assert " ".join(short.split()) in words(html, "night-failed")
    assert " ".join(text.partition("\n")[0][:300].split()) in words(html, "night-failed")


# --- the list ----------------------------------------------------------------------------------------------


def listed(html: str) -> list[str]:
    return re.findall(r'<td><a class="mono" href="/nights/([^"]+)"', html)


def test_the_list_has_the_schedules_nights_and_on_request_the_others(
    platform: Platform, client: TestClient
) -> None:
    recorded(platform, "20261123T0200Z", ("a", 0, 100, None), ("b", 0, 50, "22012: division by zero"))
    recorded(platform, "20261123T091502Z-k3f9", ("c", 0, 0.3, None))
    recorded(platform, "20261124T0200Z", ("d", 0, 10, None))
    platform.history.queue([new_run("by-hand.custom-4", "e", manifest_id=4)])
    assert listed(get(client, "/nights")) == ["20261124T0200Z", "20261123T0200Z"]
    html = get(client, "/nights?all=yes")
    assert listed(html) == ["20261124T0200Z", "20261123T091502Z-k3f9", "20261123T0200Z"]
    row = html.partition("20261123T0200Z</a>")[2].partition("</tr>")[0]
    assert "1 succeeded" in row
    assert '<strong class="failed">1</strong>' in row
    assert "1 min 40 s" in row
    assert "under 1 s" in html.partition("20261123T091502Z-k3f9</a>")[2].partition("</tr>")[0]
    assert "Earlier" not in html


def test_the_list_goes_on_page_by_page(
    platform: Platform, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(night_page, "LISTED", 4)
    ids = [f"202611{day:02}T0200Z" for day in range(1, 12)]
    platform.history.queue([new_run(f"{one}.custom-1", f"t{one}") for one in ids])
    seen, path = [], "/nights"
    while True:
        html = get(client, path)
        seen += listed(html)
        following = re.search(r'rel="next" href="([^"]+)"', html)
        if following is None:
            break
        path = unescape(following[1])
    assert seen == ids[::-1]
    assert len(ids) < STEPS


def test_a_night_leads_to_the_one_before_and_after(platform: Platform, client: TestClient) -> None:
    for one in ("20261122T0200Z", "20261123T0200Z", "20261123T091502Z-k3f9", "20261124T0200Z"):
        platform.history.queue([new_run(f"{one}.custom-1", f"t{one}")])
    html = get(client, "/nights/20261123T0200Z")
    assert '<a rel="prev" href="/nights/20261122T0200Z">' in html
    assert '<a rel="next" href="/nights/20261124T0200Z">' in html
    newest = get(client, "/nights/20261124T0200Z")
    assert 'rel="prev" href="/nights/20261123T0200Z"' in newest
    assert 'rel="next"' not in newest


def test_without_a_history_the_list_says_so(client: TestClient) -> None:
    assert "No seeding is in the history yet." in get(client, "/nights?all=yes")


def test_seedings_asked_for_are_not_denied_where_the_schedule_has_begun_none(
    platform: Platform, client: TestClient
) -> None:
    recorded(platform, "20261124T101500Z-k3f9", ("a", 0, 1, None))
    html = get(client, "/nights")
    assert "No seeding of the schedule is in the history yet." in html
    assert html.count('href="/nights?all=yes"') == 2
