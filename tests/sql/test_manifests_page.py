"""docs/manifests.md shows what is accepted and refused: each of its examples is tried."""

import re
from pathlib import Path

import pytest

from seeder.errors import NameRefused, QueryRefused
from seeder.sql.guard import check
from seeder.sql.names import matview_name, render_table_name
from seeder.sql.placeholders import render_query

PAGE = (Path(__file__).parents[2] / "docs" / "manifests.md").read_text()
NAMES, QUERIES = (
    re.findall(r"^\| `(.+)` \| (.+) \|$", part, re.M) for part in PAGE.split("\n## The query\n", 1)
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


def test_the_page_has_examples_of_each() -> None:
    assert (len(EXAMPLES), len(NAMES), len(QUERIES)) == (3, 9, 11)
    rendered = render_table_name("sales_{agency_slug}", agency_slug="North-2", agency_id=1, manifest_id=1)
    assert rendered == "sales_north_2"
    assert f"`{rendered}`" in PAGE
