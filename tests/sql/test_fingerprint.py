"""A fingerprint ignores layout, and nothing else."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pglast import parser

from seeder.sql.guard import SafeQuery, check
from seeder.sql.placeholders import render_query

LAYOUT = [" ", "\n", "\t ", "\r\n", " -- c'\"$\n", "/**/", " /* a /* b */ ; */ ", "\f"]
SUBJECTS = [
    "select 1",
    "table sale",
    "with a as materialized (select distinct 'ß', Été from T), b as (table a) select * from a natural join b",
    "select rank() over (partition by a order by b rows between 1 preceding and current row) from x limit 2",
    "select extract(year from At), at at time zone 'UTC', position('a' in B), json_object('k': 1) from Sale",
    "select a.b, \"Q\" as x, 'It''s', E'\\n', $$ a  b $$, count(*) from Sale a where x>=1 and é <> -.5e1",
    "with q as (select 1::int) select (array[1])[1:2], x::numeric(3,1), f(a=>1), b'1' from q order by 1 desc",
    "values (1, null), (2, U&'d\\0061t' )",
]


def judge(text: str) -> SafeQuery:
    return check(render_query(text, {}))


def relaid(text: str, chance: Random) -> str:
    """The same tokens in another layout and, where SQL ignores it, another case."""
    parts = []
    for token in parser.scan(text):
        part = text[token.start : token.end + 1]
        if token.kind != "NO_KEYWORD" or (token.name == "IDENT" and part[0] != '"'):
            part = "".join(chance.choice((c.lower(), c.upper())) if c.isascii() else c for c in part)
        parts.append(chance.choice(LAYOUT) + part)
    return "".join(parts) + chance.choice(["", ";", " ; -- end", "\n/* end */"])


@given(text=st.sampled_from(SUBJECTS), chance=st.randoms(use_true_random=True))
def test_another_layout_has_the_same_fingerprint(text: str, chance: Random) -> None:
    assert judge(relaid(text, chance)).fingerprint == judge(text).fingerprint


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("select 1", "select 2"),
        ("select 'a'", "select 'A'"),
        ("select 'a b'", "select 'a  b'"),
        ("select 'a'", "select $$a$$"),
        ("select a as x", "select a as y"),
        ("select a as x", "select a x"),
        ("select a, b", "select b, a"),
        ('select "a"', 'select "A"'),
        ("select é", "select É"),
        ("select a from t", "select a from s"),
        ("select a = b", "select a <> b"),
        ("select 1 where a in (1, 2)", "select 1 where a in (1, 2, 2)"),
        ("select a order by 1", "select a order by 1 desc"),
        ("select 1 limit 1", "select 1 limit 2"),
        ("select (1)", "select 1"),
        ("select a b", "select ab"),
        ("select x'1'", "select x '1'"),
        ("select a.b", "select a . c"),
        ("select 1 union select 1", "select 1 union all select 1"),
        ("select f(a, b)", "select f(a) b"),
    ],
)
def test_any_other_change_has_another_fingerprint(text: str, changed: str) -> None:
    assert judge(text).fingerprint != judge(changed).fingerprint


@given(
    first=st.lists(st.integers(0, 20), min_size=1, max_size=4),
    second=st.lists(st.integers(0, 20), min_size=1, max_size=4),
    as_text=st.booleans(),
)
def test_two_lists_of_constants_share_a_fingerprint_only_if_they_are_equal(
    first: list[int], second: list[int], as_text: bool
) -> None:
    def query(numbers: list[int]) -> str:
        return "select " + ", ".join(f"'{n}'" if as_text else str(n) for n in numbers)

    assert (judge(query(first)).fingerprint == judge(query(second)).fingerprint) == (first == second)


def test_a_fingerprint_stays_the_same_over_releases() -> None:
    # It is stored in the comments of matviews: another algorithm would rebuild all of them.
    assert judge("select a, 'B' from C -- d").fingerprint == (
        "459377771952aacb486bb23090926fc16a0c458d73cd56aae544115717530094"
    )
