"""However large or deep a query is, there is a clear outcome, soon."""

import time

import pytest

from seeder.errors import QueryRefused
from seeder.sql.guard import SafeQuery, check
from seeder.sql.placeholders import render_query
from seeder.sql.tokens import LONGEST_QUERY


def judge(text: str) -> SafeQuery:
    return check(render_query(text, {}))


MONSTERS = {
    "a megabyte of string": "select '" + "x" * 1_000_000 + "'",
    "a megabyte of colons": "select " + ":a " * 333_333,
    "parentheses": "select " + "(" * 100_000,
    "additions": "select " + "+".join(["1"] * 100_000),
    "unions": " union all ".join(["select 1"] * 11_000),
    "functions in functions": "select " + "f(" * 50_000,
    "sub-selects": "select * from " + "(select * from " * 10_000,
    "comments without a space": "/**/" * 60_000 + "select 1",
    "values over the cap by one": "select " + " " * (LONGEST_QUERY - 7) + "1",
}


@pytest.mark.parametrize("text", MONSTERS.values(), ids=MONSTERS)
def test_a_monstrous_query_is_refused_at_once(text: str) -> None:
    started = time.process_time()
    with pytest.raises(QueryRefused, match=r"nested too deeply|the most is 262,144|in a row"):
        judge(text)
    assert time.process_time() - started < 5


def test_a_long_but_flat_query_is_accepted() -> None:
    values = ", ".join(f"'{n:05}'" for n in range(20_000))
    assert judge(f"select 'é' || a from t where a in ({values})").text.endswith(")")
    assert judge(" union all ".join(["select 1"] * 400))
    assert judge("select " + " || ".join(["a"] * 300))


def test_names_outside_ascii_do_not_slow_the_scanner_down() -> None:
    started = time.process_time()
    assert judge("select " + "é, " * 20_000 + "1")
    assert time.process_time() - started < 5


def test_a_value_may_not_lengthen_the_query_beyond_the_cap() -> None:
    with pytest.raises(QueryRefused, match="the most is 262,144"):
        check(render_query("select :agency_slug", {"agency_slug": "x" * LONGEST_QUERY}))
