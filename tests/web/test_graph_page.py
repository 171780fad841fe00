"""The page that draws what reads what."""

import re
from html import unescape

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from support.contract import Platform, as_it_is, new_run

from seeder.web.drawing.graph import MOST_LETTERS, drawn
from seeder.web.pages import graph as graph_page

HOSTILE = """<script>alert("1")</script> & 'x'"""


def words(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


def rows(html: str) -> dict[str, list[str]]:
    """Of the table: each report with its other cells."""
    body = html.partition("<tbody>")[2].partition("</tbody>")[0]
    found = {}
    for row in body.split("<tr>")[1:]:
        name, *cells = (words(cell) for cell in re.split(r"</t[hd]>", row)[:-1])
        found[name] = cells
    return found


def titles(html: str) -> list[str]:
    """Of what is drawn."""
    return sorted(unescape(one) for one in re.findall(r"<g [^>]*><title>([^<]*)</title>", html))


@pytest.fixture
def chain(platform: Platform) -> Platform:
    """b reads a over a view, c reads b; a and d read tables; d is alone, and of another agency."""
    platform.sql("create table public.sale (id integer); create table public.rate (id integer)")
    for number, (name, query) in enumerate(
        {
            "a": "select id from public.sale",
            "b": "select id from public.over_a",
            "c": "select id from reporting.b",
            "d": "select id from public.rate",
        }.items(),
        start=1,
    ):
        platform.custom(number, table_name=name, query=query, agency_slug="south" if name in "cd" else "ua")
        platform.sql(f"create materialized view reporting.{name} as {query}")
        if name == "a":
            platform.sql("create view public.over_a as select id from reporting.a")
    return platform


def test_all_that_read_each_other_are_drawn_with_their_sources_and_said_in_a_table(
    chain: Platform, client: TestClient
) -> None:
    answer = client.get("/graph")
    assert answer.status_code == 200
    assert titles(answer.text) == [
        "a (ua): never run", "b (ua): never run", "c (south): never run", "public.sale: table",
    ]  # fmt: skip
    assert answer.text.count('class="line"') == 3
    assert rows(answer.text) == {
        "a": ["ua", "never run", "public.sale table", "b"],
        "b": ["ua", "never run", "a", "c"],
        "c": ["south", "never run", "b", "–"],
    }
    assert "1 other report reads no report and is read by none" in words(answer.text)


def test_around_a_report_all_that_it_reads_and_all_that_reads_it(chain: Platform, client: TestClient) -> None:
    chain.custom(5, table_name="e", query="select id from reporting.a")
    assert list(rows(client.get("/graph?table=b").text)) == ["a", "b", "c"]
    assert rows(client.get("/graph?table=d").text) == {"d": ["south", "never run", "public.rate table", "–"]}
    assert client.get("/graph?table=none").status_code == 404


def test_of_an_agency_its_own_and_those_beside_them(chain: Platform, client: TestClient) -> None:
    assert list(rows(client.get("/graph?agency=south").text)) == ["b", "c"]
    assert client.get("/graph?agency=none").status_code == 404


def test_of_a_night_each_as_its_run_went(chain: Platform, client: TestClient) -> None:
    history = chain.history
    history.queue([new_run("n1.custom-1", "a"), new_run("n1.custom-2", "b", manifest_id=2)])
    history.start("n1.custom-1", "a")
    history.fail(as_it_is(history, "n1.custom-1"), "22012: division by zero")
    html = client.get("/graph?seeding=n1").text
    assert rows(html) == {"a": ["ua", "error", "public.sale table", "b"], "b": ["ua", "pending", "a", "–"]}
    assert "a (ua): error" in titles(html)
    assert client.get("/graph?seeding=none").status_code == 404


def test_names_are_shown_as_text(platform: Platform, client: TestClient) -> None:
    first = f'"{HOSTILE}"'
    platform.custom(1, table_name=first, query="select 1 as one", agency_slug=HOSTILE)
    quoted = '"' + HOSTILE.replace('"', '""') + '"'
    platform.custom(2, table_name="reader", query="-- seeder: after=(other)\nselect 1 as one")
    platform.custom(3, table_name="other", query=f"select * from reporting.{quoted}", agency_slug=HOSTILE)
    html = client.get("/graph").text
    assert "<script>alert" not in html
    assert f"reader ({'ua'})" in " ".join(titles(html))


def test_more_than_make_a_picture_are_a_table(
    chain: Platform, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph_page, "MOST_BOXES", 2)
    html = client.get("/graph").text
    assert "<svg width" not in html
    assert "too many to draw" in html
    assert list(rows(html)) == ["a", "b", "c"]


def test_where_nothing_reads_another_it_says_so(platform: Platform, client: TestClient) -> None:
    assert "No report here reads another one" in client.get("/graph").text
    platform.custom(1, table_name="alone")
    assert client.get("/graph").status_code == 200


@given(
    st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=80), min_size=1, max_size=8),
    st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=12),
)
def test_every_node_has_its_place_and_every_edge_its_line(
    texts: dict[str, str], pairs: list[tuple[int, int]]
) -> None:
    nodes = sorted(texts)
    edges = {(nodes[a % len(nodes)], nodes[b % len(nodes)]) for a, b in pairs}
    drawing = drawn(texts, edges)
    assert [box.node for box in drawing.boxes] == nodes
    assert {(line.source, line.reader) for line in drawing.lines} == edges
    for box in drawing.boxes:
        assert -1 <= box.x <= box.x + box.width <= drawing.width + 1
        assert -1 <= box.y <= drawing.height - 25
        assert len(box.text) <= MOST_LETTERS
    corners = {(box.x, box.y) for box in drawing.boxes}
    assert len(corners) == len(nodes)
    assert all(re.fullmatch(r"M[-\d. ]+(C[-\d. ]+)*(L[-\d. ]+)?", line.path) for line in drawing.lines)
