"""docs/manifests.md shows what is accepted and refused: each of its examples is tried."""

import re
from pathlib import Path

import pytest

from seeder.errors import DirectiveRefused, NameRefused, QueryRefused
from seeder.sql.directives import _NAMES as DIRECTIVES
from seeder.sql.directives import RefreshMode, read, read_expectations
from seeder.sql.expectations import COMPARISONS
from seeder.sql.guard import check
from seeder.sql.names import matview_name, render_table_name
from seeder.sql.placeholders import render_query
from seeder.sql.words import UNITS

PAGE = (Path(__file__).parents[2] / "docs" / "manifests.md").read_text()
PARTS = re.split(r"\n## (?:The query|Directives|When the SQL changes)\n", PAGE)
ROW = re.compile(r"^\| `(.+)` \| (.+) \|$", re.M)
NAMES, QUERIES, _, _ = (ROW.findall(part) for part in PARTS)
#: Of the directives there are three tables: what can be said, what is refused, and the checks.
SAID, BAD_DIRECTIVES, CHECKS = (
    ROW.findall(table) for table in re.findall(r"(?:^\| `.+` \| .+ \|\n)+", PARTS[2], re.M)
)
EXAMPLES = re.findall(r"^```sql\n(.+?)^```$", PAGE, re.M | re.S)
VALUES = {"agency_id": 7, "agency_slug": "ua", "manifest_id": 12}


@pytest.mark.parametrize("text", EXAMPLES)
def test_an_example_is_accepted(text: str) -> None:
    query = render_query(text, VALUES)
    assert check(query)
    assert query.filled


@pytest.mark.parametrize(("name", "reason"), NAMES)
def test_a_name_in_the_table_is_refused_for_the_reason_beside_it(name: str, reason: str) -> None:
    with pytest.raises(NameRefused) as refused:
        matview_name(name, "reporting")
    assert refused.value.facts["reason"] == reason


@pytest.mark.parametrize(("text", "reason"), QUERIES)
def test_a_query_in_the_table_is_refused_for_the_reason_beside_it(text: str, reason: str) -> None:
    with pytest.raises(QueryRefused) as refused:
        check(render_query(text, VALUES))
    assert refused.value.facts["reason"] == reason


@pytest.mark.parametrize("text", [text for text, _ in SAID])
def test_a_directive_in_the_table_is_read(text: str) -> None:
    assert str(read(f"-- seeder: {text}\nselect 1")).replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize(("text", "reason"), BAD_DIRECTIVES)
def test_a_directive_in_the_table_is_refused_for_the_reason_beside_it(text: str, reason: str) -> None:
    with pytest.raises(DirectiveRefused) as refused:
        read(f"{text}\nselect 1")
    assert refused.value.facts["reason"] == reason


@pytest.mark.parametrize("text", [text for text, _ in CHECKS])
def test_a_check_in_the_table_is_read(text: str) -> None:
    assert [str(one) for one in read_expectations(text)] == [text]


def test_the_example_says_something_of_most_things() -> None:
    (said,) = (read(text) for text in EXAMPLES if "seeder:" in text)
    assert (len(said.indexes), len(said.expect), said.timeout is None) == (2, 4, False)


def test_the_grammar_has_every_word() -> None:
    (grammar,) = re.findall(r"^```ebnf\n(.+?)^```$", PAGE, re.M | re.S)
    words = set(re.findall(r'"([^"]+)"', grammar))
    assert words >= {*RefreshMode, *UNITS, *COMPARISONS}
    assert {kind.split("=")[0] for kind, _ in SAID} <= words


def test_the_page_has_examples_of_each() -> None:
    assert (len(EXAMPLES), len(NAMES), len(QUERIES)) == (4, 9, 11)
    assert {text.partition("=")[0] for text, _ in SAID} == set(DIRECTIVES)
    assert (len(BAD_DIRECTIVES), len(CHECKS)) == (5, 4)
    rendered = render_table_name("sales_{agency_slug}", agency_slug="North-2", agency_id=1, manifest_id=1)
    assert rendered == "sales_north_2"
    assert f"`{rendered}`" in PAGE
