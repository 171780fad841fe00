"""The monitoring and the agency page as HTML: what they show, and that it is shown as text."""

import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from support.contract import Platform, as_it_is
from support.visits import wait_until
from test_access import csrf_of, log_in
from test_jobs import FIGURES, NASTY, new_run, run

from seeder.monitoring import FLAGS
from seeder.web import pages
from seeder.web.filters import agency_url, job_url
from seeder.web.pages.asked import ListAsked, address
from seeder.web.pages.tiles import Counts
from seeder.web.pages.verdict import verdict
from seeder.web.templating import job_row

PAGE = {"Accept": "text/html"}


class Parsed(HTMLParser):
    """The elements of a page, and the text of each of interest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def of(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def rows(self) -> list[str]:
        return [one["id"] for one in self.of("tr") if one.get("id", "").startswith("job-")]

    def link(self, rel: str) -> str | None:
        return next((one["href"] for one in self.of("a") if one.get("rel") == rel), None)


def get(client: TestClient, path: str = "/", status: int = 200) -> str:
    answer = client.get(path, headers=PAGE)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return answer.text


def row(html: str, identity: str) -> str:
    """The words of a job's row."""
    text = html.partition(f'id="job-{identity}"')[2].partition("</tr>")[0]
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", text.partition(">")[2])).split())


def test_every_page_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "pages.md").read_text()
    shown = {route.path.replace(":path", "") for router in pages.ROUTERS for route in router.routes}
    for path in shown - {"/login", "/logout"}:
        assert f"| `{path}` |" in page, f"{path} has no row in docs/pages.md"


# --- what is shown -----------------------------------------------------------------------------------------


def test_without_manifests_the_page_says_what_to_do(client: TestClient) -> None:
    html = get(client)
    assert "There are no manifests yet" in html
    assert "seeder_custom_report_manifest" in html


def test_a_row_says_how_a_report_is(platform: Platform, client: TestClient) -> None:
    platform.custom(1, table_name="sales", report_name="Sales by month")
    run(platform, 1, "sales", "20261123T0200Z")
    run(platform, 1, "sales", errors="42703: column dep_dealy does not exist\nline 7 of 9")
    html = get(client)
    words = row(html, "custom-1")
    assert "error" in words
    assert "Sales by month" in words
    assert "42703: column dep_dealy does not exist" in words
    assert "line 7" not in words
    assert "1 of 1 report is failing" in html
    assert f'href="{job_url("sales")}"' in html


def test_rows_and_size_are_told_with_their_change_against_the_success_before(
    platform: Platform, client: TestClient
) -> None:
    platform.custom(1, table_name="sales")
    for night, records in enumerate((1000, 1204)):
        run_id = f"2026112{night}T0200Z.custom-1"
        platform.history.queue([new_run(run_id, "sales")])
        platform.history.start(run_id, "sales")
        figures = replace(FIGURES, records=records, total_bytes=records * 1024)
        platform.history.succeed(as_it_is(platform.history, run_id), figures)
    assert "1,204 +204" in row(get(client), "custom-1")
    assert "1,204 kB +204 kB" in row(get(client), "custom-1")
    # A run that fails changes nothing about what is there.
    run(platform, 1, "sales", "20261125T0200Z", errors="22012: division by zero")
    assert "1,204 +204" in row(get(client), "custom-1")


def test_what_fails_comes_first(platform: Platform, client: TestClient) -> None:
    for number in range(1, 4):
        platform.custom(number, table_name=f"t{number}")
        run(platform, number, f"t{number}", errors="42P01: missing" if number == 3 else None)
    assert Parsed(get(client)).rows == ["job-custom-3", "job-custom-1", "job-custom-2"]


MISSED, LATE = "didn't happen", "Nothing has run the tick of"


@pytest.mark.parametrize(
    ("catch_up", "days", "told"), [("0", 0, []), ("0", 3, [MISSED]), ("2d", 0, []), ("2d", 3, [LATE])]
)
def test_a_seeding_that_is_late_or_was_missed_is_told(
    platform: Platform, client: TestClient, days: int, told: list[str]
) -> None:
    platform.custom(1, table_name="sales")
    run(platform, 1, "sales", "20200101T000000Z-aaaa")
    platform.sql(f"update reporting.seeder_run_history set created_at = now() - interval '{days} days'")
    shown = get(client)
    assert [words for words in (MISSED, LATE) if words in shown] == told


def test_an_agency_has_a_page_of_its_own(platform: Platform, client: TestClient) -> None:
    platform.custom(1, table_name="a", agency_slug="north-port")
    platform.custom(2, table_name="b", agency_slug="south/port")
    assert Parsed(get(client, "/agencies/north-port")).rows == ["job-custom-1"]
    assert Parsed(get(client, agency_url("south/port"))).rows == ["job-custom-2"]
    assert Parsed(get(client, "/agencies/north-port?agency=south/port")).rows == ["job-custom-1"]
    assert "nobody" in get(client, "/agencies/nobody", 404)


# --- filters, order, pages ---------------------------------------------------------------------------------


@pytest.fixture
def mixed(platform: Platform) -> None:
    """Reports of two agencies in every status, one of them switched off."""
    for number in range(12):
        platform.custom(
            number, table_name=f"t{number:02}", agency_slug="ab"[number % 2], enabled=number not in (4, 9)
        )
        if number % 4:
            run(platform, number, f"t{number:02}", errors="42P01: missing" if number % 4 == 1 else None)
    platform.history.queue([new_run("n1.custom-2", "t02", manifest_id=2)])
    platform.history.queue([new_run("n1.custom-3", "t03", manifest_id=3)])
    platform.history.start("n1.custom-3", "t03")


@pytest.mark.parametrize(
    "path", ["/", "/?agency=a", "/?q=t0", "/?status=error&q=T1", "/agencies/b", "/?flag=enabled"]
)
def test_a_tile_leads_to_as_many_reports_as_it_says(mixed: None, client: TestClient, path: str) -> None:
    html = get(client, path)
    tiles = re.findall(
        r'<a class="tile[^"]*" href="([^"]*)"( aria-current="true")?>\s*<span class="count">([\d,]+)</span>',
        html,
    )
    assert len(tiles) == 9
    for url, active, count in tiles:
        if not active or url == path:
            assert len(Parsed(get(client, unescape(url))).rows) == int(count), url


@pytest.mark.parametrize("tile", ["status=error", "flag=isFailing"])
def test_an_active_tile_leads_back(mixed: None, client: TestClient, tile: str) -> None:
    links = Parsed(get(client, f"/?agency=a&{tile}")).of("a")
    (back,) = [one["href"] for one in links if "tile" in one.get("class", "") and "aria-current" in one]
    assert back == "/?agency=a"


def test_a_name_with_slashes_stays_one_part_of_an_address() -> None:
    assert job_url("a/../b?c#d") == "/jobs/a%2F..%2Fb%3Fc%23d"


def test_a_form_field_left_empty_is_no_filter(mixed: None, client: TestClient) -> None:
    html = get(client, "/?q=&agency=&status=&flag=&type=&sort=attention&order=asc")
    assert len(Parsed(html).rows) == 12


def test_what_was_chosen_is_chosen_in_the_form_and_can_be_taken_off(mixed: None, client: TestClient) -> None:
    html = get(client, "/?q=t0&agency=b&status=error&flag=isFailing&type=custom&sort=startTime&order=desc")
    page = Parsed(html)
    assert {one["value"] for one in page.of("option") if "selected" in one} == {
        "error", "isFailing", "custom", "startTime", "desc",
    }  # fmt: skip
    assert {one["name"]: one["value"] for one in page.of("input") if one.get("value")} == {
        "q": "t0",
        "agency": "b",
    }
    off = [one["href"] for one in page.of("a") if one.get("class") == "chip"]
    assert len(off) == 5
    for url in off:
        assert len(re.findall('class="chip"', get(client, url))) == 4


def test_pages_follow_each_other_and_keep_the_filters(mixed: None, client: TestClient) -> None:
    path: str | None = "/?limit=2&agency=a&sort=tableName&order=desc"
    seen: list[str] = []
    while path:
        page = Parsed(get(client, path))
        assert len(page.rows) == 2
        seen += page.rows
        path = page.link("next")
    assert seen == [f"job-custom-{number}" for number in (10, 8, 6, 4, 2, 0)]


def test_a_column_that_sorts_says_so_and_turns_round(mixed: None, client: TestClient) -> None:
    page = Parsed(get(client, "/?sort=durationSeconds&order=desc&q=t0"))
    assert [one["aria-sort"] for one in page.of("th") if "aria-sort" in one] == ["descending"]
    assert any("sort=durationSeconds" in one["href"] and "order" not in one["href"] for one in page.of("a"))


def test_what_cannot_be_asked_is_told_as_a_page(client: TestClient) -> None:
    assert "This can&#39;t be used" in get(client, "/?status=fine", 422)
    assert "Begin at the first page" in get(client, "/?cursor=x", 409)
    assert "nowhere" in get(client, "/?nowhere=1", 422)


TEXTS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00"), min_size=1)


@given(
    st.builds(
        ListAsked,
        agency=st.none() | TEXTS,
        q=st.none() | TEXTS,
        status=st.lists(st.sampled_from(["error", "running"]), unique=True).map(tuple),
        flag=st.lists(st.sampled_from(sorted(FLAGS)), unique=True).map(tuple),
        sort=st.sampled_from(["attention", "tableName"]),
        order=st.sampled_from(["asc", "desc"]),
        limit=st.integers(1, 1000),
    )
)
def test_an_address_says_all_that_is_asked(asked: ListAsked) -> None:
    values: dict[str, object] = {}
    for name, value in parse_qsl(urlsplit(address("/", asked)).query, keep_blank_values=True):
        if name in ("status", "flag"):
            values[name] = (*values.get(name, ()), value)  # type: ignore[misc]
        else:
            values[name] = int(value) if name == "limit" else value
    assert ListAsked(**values) == asked


# --- the piece that changes --------------------------------------------------------------------------------


def test_a_page_names_the_piece_of_it_that_changes(
    mixed: None, platform: Platform, client: TestClient
) -> None:
    page = Parsed(get(client, "/?status=error&q=t"))
    (piece,) = [one["data-live"] for one in page.of("div") if "data-live" in one]
    again = Parsed(get(client, piece))
    assert again.rows == page.rows
    assert not again.of("html")
    assert "Show the list anew" not in get(client, piece)
    ids = {one["id"] for _, one in page.elements if "id" in one}
    assert {one["id"] for _, one in again.elements if "id" in one} <= ids


def test_a_piece_has_the_rows_asked_for_and_says_when_others_belong_there(
    mixed: None, platform: Platform, client: TestClient
) -> None:
    html = get(client, "/?status=error&rows=custom-3,custom-2,custom-999")
    assert Parsed(html).rows == ["job-custom-3", "job-custom-2"]
    assert 'href="/?status=error">Show the list anew' in html
    assert "Show the list anew" in get(client, "/?rows=-")
    assert "Show the list anew" not in get(client, "/?rows=-&q=nothing")


def test_a_row_is_made_once_while_its_job_stays_as_it_is(
    mixed: None, platform: Platform, client: TestClient
) -> None:
    # A run at work takes longer than usual at some moment, which makes another row of its job.
    platform.history.fail(as_it_is(platform.history, "n1.custom-3"), "42P01: missing")
    wait_until("the page says so", lambda: row(get(client), "custom-3").startswith("error"))
    made = job_row.cache_info().misses
    assert len(Parsed(get(client, "/?sort=tableName")).rows) > 1
    assert job_row.cache_info().misses == made
    platform.history.queue([new_run("n2.custom-5", "t05", manifest_id=5)])
    wait_until("the page says so", lambda: row(get(client), "custom-5").startswith("pending"))
    assert job_row.cache_info().misses == made + 1


# --- who may do what ---------------------------------------------------------------------------------------


def test_nobody_known_gets_a_hint_instead_of_buttons(mixed: None, client: TestClient) -> None:
    for path in ("/", "/agencies/a"):
        html = get(client, path)
        assert "data-post" not in html
        assert 'href="/login?next=/' in html


def test_whoever_logged_in_gets_the_buttons(mixed: None, client: TestClient) -> None:
    log_in(client)
    page = Parsed(get(client))
    posts = {one["data-post"] for one in page.of("button") if "data-post" in one}
    assert posts >= {
        "/api/jobs/t00/refresh",
        "/api/runs/n1.custom-3/cancel",
        "/api/failing/refresh",
        "/logout",
    }
    assert not any("t04" in one for one in posts)  # switched off
    assert "/api/jobs/t03/refresh" not in posts  # at work already
    (agencys,) = [
        one["data-post"] for one in Parsed(get(client, "/agencies/a")).of("button")
        if one.get("data-post", "").startswith("/api/agencies")
    ]  # fmt: skip
    for path in (agencys, "/api/jobs/t00/refresh"):
        assert client.post(path, headers={"X-CSRF-Token": csrf_of(client)}).status_code == 202


def test_a_piece_tells_that_a_login_has_ended(mixed: None, client: TestClient) -> None:
    log_in(client)
    addresses = ["/?rows=-&q=t0", "/agencies/a?rows=-", "/jobs/t00?piece=all", "/jobs/t00?piece=now"]
    assert all(get(client, path).count('data-post="/logout"') == 1 for path in addresses)
    assert all(get(client, path).count('id="who"') == 1 for path in ("/", "/jobs/t00"))
    assert "/api/agencies/a/refresh" in get(client, "/agencies/a?rows=-")
    client.cookies.clear()
    for path, back in zip(addresses, ["/%3Fq%3Dt0", "/agencies/a", "/jobs/t00", "/jobs/t00"], strict=True):
        html = get(client, path)
        assert f'<a href="/login?next={back}">Log in</a>' in html
        assert "data-post" not in html


def test_where_nobody_can_log_in_the_page_says_why(mixed: None, make_app) -> None:  # type: ignore[no-untyped-def]
    with TestClient(make_app(token=None), base_url="http://localhost") as client:
        assert "SEEDER_API_TOKEN" in get(client)


# --- text of others ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("nasty", NASTY)
def test_what_comes_from_the_database_is_shown_as_text(
    platform: Platform, client: TestClient, nasty: str
) -> None:
    log_in(client)
    # Starlette's paths end at a line's end.
    slug = nasty.replace("\n", " ")
    platform.custom(1, table_name=nasty[:60], report_name=nasty, agency_slug=slug)
    run(platform, 1, nasty[:60], errors=nasty)
    for path in ("/", agency_url(slug), f"/?{urlencode({'q': nasty[:500]})}"):
        html = get(client, path)
        assert "<script>alert" not in html
        assert "<script>" not in html
        plain = Parsed(html)
        for _, attributes in plain.elements:
            assert not any(name.startswith("on") or name == "style" for name in attributes)
            for name in ("src", "href", "action", "data-post"):
                assert attributes.get(name, "/").startswith(("/", "#")), attributes


@given(*[st.integers(0, 30)] * 5, st.integers(0, 5))
def test_the_verdict_names_the_worst_first(
    failing: int, long: int, not_run: int, stale: int, fine: int, off: int
) -> None:
    enabled = failing + long + not_run + stale + fine
    flags = {
        "isFailing": failing, "isLongRunning": long, "isStale": stale, "neverRun": 0, "enabled": enabled,
    }  # fmt: skip
    standings = {"success": enabled - not_run, "not_run": not_run}
    found = verdict(Counts(enabled + off, standings, flags, unrun=0))
    if failing:
        assert (found.tone, found.words.split()[0]) == ("error", str(failing))
    elif long or not_run or stale:
        assert (found.tone, found.words.split()[0]) == ("warn", str(long or not_run or stale))
    else:
        assert found.tone == ("success" if enabled else "never")
        assert ("switched off" in found.words) is (off > 0 and not enabled)


@pytest.mark.parametrize(
    ("unrun", "words", "others"),
    [
        (0, "All 10 reports are in order", ""),
        (1, "9 of 10 reports are in order", "1 has never run"),
        (9, "1 of 10 reports is in order", "9 have never run"),
        (10, "Nothing has run yet", ""),
    ],
)
def test_what_has_never_run_is_not_called_in_order(unrun: int, words: str, others: str) -> None:
    flags = {
        "isFailing": 0, "isLongRunning": 0, "isNotRun": 0, "isStale": 0, "neverRun": unrun, "enabled": 10,
    }  # fmt: skip
    found = verdict(Counts(10, {"success": 10 - unrun, None: unrun}, flags, unrun=unrun))
    assert (found.words, found.others) == (words, others)
