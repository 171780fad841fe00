"""The guard against texts that nobody thought of: it never crashes, and what it accepts is for PostgreSQL one
statement that reads. `make fuzz` goes on for longer, led by the ways through the guard's code (fuzz.py)."""

import re
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.canary import Canary, Caught, canary_in
from support.emptied import fresh_database
from support.mutation import CORPUS, SHARDS

from seeder.errors import DirectiveRefused, PlaceholderRefused, QueryRefused
from seeder.sql import directives
from seeder.sql.guard import SafeQuery, check
from seeder.sql.placeholders import RenderedQuery, render_query

PLACEHOLDERS = """
select :agency_slug as a, E'\\''||:agency_slug||'x', ':agency_slug', $$:agency_slug$$ -- :agency_slug
from sale /* :agency_slug */ where:agency_slug::text is not null
"""

VALUES = {"agency_id": -7, "manifest_id": 3}


@pytest.fixture(scope="module", params=["postgres_url", "postgres15_url"], ids=["pg18", "pg15"])
def canary(request: pytest.FixtureRequest) -> Iterator[Canary]:
    with fresh_database(request.getfixturevalue(request.param)) as url, canary_in(url) as canary:
        yield canary


def accepted(text: str, slug: str = "ua") -> SafeQuery | None:
    """What the guard makes of a manifest's text; anything but a refusal is a crash."""
    try:
        directives.read(text)
        query = check(render_query(text, {"agency_slug": slug, **VALUES}))
    except (QueryRefused, PlaceholderRefused, DirectiveRefused) as refused:
        reason = str(refused)
    else:
        reason = ""
    if reason:
        assert "\n" not in reason
        return None
    again = check(RenderedQuery(query.text, query.text))
    assert (again.text, again.fingerprint) == (query.text, query.fingerprint)
    return query


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """One of the corpus with up to four cuts, insertions or pieces of another, often between two words."""
    text = draw(st.sampled_from(CORPUS))
    for _ in range(draw(st.integers(0, 4))):
        between = [0, len(text), *(found.end() for found in re.finditer(" ", text))]
        start = draw(st.one_of(st.sampled_from(between), st.integers(0, len(text))))
        end = draw(st.integers(start, min(len(text), start + 8)))
        piece = draw(st.one_of(st.sampled_from(SHARDS), st.sampled_from(CORPUS), st.text(max_size=3)))
        space = draw(st.sampled_from(["", " ", "\n"]))
        text = text[:start] + space + piece + space + text[draw(st.sampled_from([start, end])) :]
    return text


@settings(max_examples=250)
@given(text=mutated())
def test_a_mutated_statement_is_refused_or_only_reads(canary: Canary, text: str) -> None:
    if query := accepted(text):
        canary.judge(query.text)


@settings(max_examples=150)
@given(shards=st.lists(st.sampled_from(SHARDS), max_size=9), space=st.sampled_from(["", " "]))
def test_shards_of_sql_are_refused_or_only_read(canary: Canary, shards: list[str], space: str) -> None:
    if query := accepted(space.join(["select 1 as a,", *shards])):
        canary.judge(query.text)


@settings(max_examples=150)
@given(slug=st.lists(st.one_of(st.sampled_from(SHARDS), st.text(max_size=4)), max_size=4).map("".join))
def test_a_value_stays_a_value_wherever_it_stands(canary: Canary, slug: str) -> None:
    if query := accepted(PLACEHOLDERS, slug):
        assert canary.judge(query.text)
        assert canary.value(query.text) == slug
    else:
        assert "\x00" in slug


@settings(max_examples=150)
@given(text=st.text(max_size=40))
def test_any_text_at_all_gets_an_answer(canary: Canary, text: str) -> None:
    if query := accepted(text):
        canary.judge(query.text)


@pytest.mark.parametrize(
    "text",
    [
        "select 1; select 2",
        "select 1; drop table canary",
        "select 1; rollback; drop table canary",
        "with gone as (delete from canary returning *) table gone",
        "select nextval('s')",
        "set role none",
        "select * from canary for update",
        "copy canary to stdout",
        "do $$ begin end $$",
        "select 1 into made",
        "explain select 1",
    ],
)
def test_what_the_guard_has_to_refuse_is_caught_by_the_canary(database_url: str, text: str) -> None:
    """Or the tests above would show nothing."""
    assert accepted(text) is None
    with canary_in(database_url) as canary, pytest.raises(Caught):
        canary.judge(text)
