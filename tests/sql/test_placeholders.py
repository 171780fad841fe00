"""Placeholders: what is filled, what is left alone, and that PostgreSQL then sees the values."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine

from seeder.errors import PlaceholderRefused, QueryRefused
from seeder.sql.placeholders import render_query

VALUES = {"agency_id": 7, "agency_slug": "ua", "manifest_id": -3}
NO_NUL = st.characters(exclude_categories=["Cs"], exclude_characters="\x00")
VALUE_TEXT = st.text(NO_NUL) | st.text("'\\\"$%:;{}\n-/*é", min_size=1)


@pytest.fixture(scope="module")
def cursor(postgres_url: str) -> Iterator[Any]:
    engine = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    connection = engine.raw_connection()
    yield connection.cursor()
    connection.close()
    engine.dispose()


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("select :agency_id, :agency_slug, :manifest_id", "select 7, 'ua', (-3)"),
        ("select x-:manifest_id", "select x- (-3)"),
        ("select:agency_id::int", "select 7 ::int"),
        ("where a=:agency_id and(:agency_slug=b)", "where a=7 and('ua'=b)"),
        ("select f(a := :agency_id, b=>:agency_slug)", "select f(a := 7, b=>'ua')"),
        ("select é, :agency_id -- ü", "select é, 7 -- ü"),
        # Arrays: a colon right after an operand, or after the bracket, is a slice's.
        ("select a[(:agency_id)]", "select a[(7)]"),
        ("select a[b + :agency_id]", "select a[b + 7]"),
        ("select a[1: :agency_id]", "select a[1: (7)]"),
        ("select a[f(:agency_id):2]", "select a[f(7):2]"),
        ("select array[:agency_id, 1], array[[:agency_id]]", "select array[7, 1], array[[7]]"),
        ("select a[array[:agency_id]]", "select a[array[7]]"),
        # JSON_OBJECT: a colon right after an operand divides key and value.
        ("select json_object('k': :agency_id)", "select json_object('k': (7))"),
        ("select json_object('k' value :agency_id)", "select json_object('k' value 7)"),
        ("select json_object('k':f(:agency_id))", "select json_object('k':f(7))"),
        ("select json_object(:agency_slug:1)", "select json_object(('ua') :1)"),
        ("select json_objectagg('a' || :agency_slug : 1)", "select json_objectagg('a' || ('ua') : 1)"),
        ("select f('k' :agency_id)", "select f('k' (7))"),
        # Two tokens stay two.
        ("select 1:agency_id", "select 1 7"),
        ("select e:agency_slug", "select e 'ua'"),
        ("select 'a'\n:agency_slug", "select 'a'\n('ua')"),
        ("select :agency_slug -- c\n'a'", "select ('ua') -- c\n'a'"),
        ("select :agency_slug\n:agency_slug", "select ('ua')\n'ua'"),
    ],
)
def test_a_placeholder_becomes_a_literal(text: str, rendered: str) -> None:
    assert render_query(text, VALUES).text == rendered


@pytest.mark.parametrize(
    "text",
    [
        "select 1",
        "select ':agency_id', E'\\':agency_id', U&'\\0061:agency_id', N':agency_id', 'it''s :agency_id'",
        "select $$:agency_id$$, $a$ $$ :agency_id $a$",
        'select ":agency_id", U&":agency_id", a as ":x"',
        "select 1 /* :agency_id /* :x */ :y */ -- :agency_id",
        "select a::agency_id, a :: agency_id, agency_id::text",
        "select a[1:agency_id], a[:agency_id], a[agency_id:], a[(x):agency_id], a[b[1]:agency_id]",
        "select a[:agency_id][:agency_slug], (x).array[1:agency_id], a[value:agency_id], a[null:agency_id]",
        "select json_object('a':agency_id, b:agency_slug, value:manifest_id, t.value:agency_id)",
        "select : agency_id, :'agency_id', :\"agency_id\", :1, :(agency_id), x:=agency_id",
        "select a ] ) :",
        "[:agency_id",
    ],
)
def test_what_is_no_placeholder_is_left_alone(text: str) -> None:
    assert render_query(text, VALUES).text == text


@pytest.mark.parametrize(
    ("text", "values", "placeholder", "reason", "where"),
    [
        (
            "select 1,\n  :agency",
            VALUES,
            ":agency",
            "a query knows :agency_id, :agency_slug, :manifest_id",
            (2, 3),
        ),
        (
            "select 'é', :Agency_Id",
            VALUES,
            ":Agency_Id",
            "a query knows :agency_id, :agency_slug, :manifest_id",
            (1, 13),
        ),
        ("select :select", {}, ":select", "a query knows ", (1, 8)),
        (
            "select :agency_slug",
            {"agency_slug": None},
            ":agency_slug",
            "the manifest has no agency_slug",
            (1, 8),
        ),
        (
            "select :agency_slug",
            {"agency_slug": "a\x00"},
            ":agency_slug",
            "its value holds a NUL character, which PostgreSQL can't store",
            (1, 8),
        ),
    ],
)
def test_a_placeholder_that_cannot_be_filled_is_refused(
    text: str, values: dict[str, Any], placeholder: str, reason: str, where: tuple[int, int]
) -> None:
    with pytest.raises(PlaceholderRefused) as refused:
        render_query(text, values)
    assert refused.value.facts == {"placeholder": placeholder, "reason": reason, "position": where}


@pytest.mark.parametrize(
    ("text", "reason", "line", "column"),
    [
        ("select 'é',\n :agency_id, 'abc", "unterminated quoted string", 2, 14),
        ("select :agency_id /* é", "unterminated /* comment", 1, 19),
        ('select é :agency_id, "x', "unterminated quoted identifier", 1, 22),
        ("select :agency_id, $a$ $$", "unterminated dollar-quoted string", 1, 20),
        ("select :agency_id, 1x", "trailing junk after numeric literal", 1, 20),
        ("select :agency_id\n\x00", "it holds a NUL character", 2, 1),
        ("select :agency_id, '\ud800'", "it holds half of a surrogate pair", 1, 21),
    ],
)
def test_text_that_cannot_be_scanned_is_refused_where_it_goes_wrong(
    text: str, reason: str, line: int, column: int
) -> None:
    with pytest.raises(QueryRefused) as refused:
        render_query(text, VALUES)
    assert refused.value.facts == {"reason": reason, "position": (line, column)}


@pytest.mark.parametrize("standard_conforming", ["on", "off"])
@given(slug=VALUE_TEXT, number=st.integers(-(2**63), 2**63 - 1))
def test_postgresql_sees_exactly_the_values(
    cursor: Any, standard_conforming: str, slug: str, number: int
) -> None:
    # PostgreSQL keeps a line break as it is; psycopg2 must not be given values, or it would read the %.
    cursor.execute(
        f"set standard_conforming_strings = {standard_conforming}; set escape_string_warning = off"
    )
    query = render_query("select :agency_slug,1-:n::numeric", {"agency_slug": slug, "n": number})
    cursor.execute(query.text)
    assert cursor.fetchone() == (slug, 1 - number)


def tempting(*without: str) -> st.SearchStrategy[str]:
    """Text that holds what looks like placeholders."""
    pieces = st.sampled_from(
        [":agency_slug", ":agency_id", ":x", ":", "::", "[1:", "]", "'", '"', "$", "\\", "é"]
    )
    text = st.lists(pieces | st.text(NO_NUL, max_size=3), max_size=6).map("".join)
    return text.filter(lambda text: not any(part in text for part in without))


#: SQL for one column of a select list, and the value that PostgreSQL must make of it.
COLUMNS = st.one_of(
    st.just((":agency_slug", "u'a\\")),
    st.just((":agency_id", 7)),
    st.just(("(array[1,2,3])[:agency_id]::text", "{1,2,3}")),
    st.just(("(array[1,2,3])[2:agency_id]::text", "{2,3}")),
    st.just(("(array[:agency_id])[1]", 7)),
    st.just((":agency_slug::text::name", "u'a\\")),
    tempting().map(lambda text: ("'" + text.replace("'", "''") + "'", text)),
    tempting().map(lambda text: ("E'" + text.replace("\\", "\\\\").replace("'", "''") + "'", text)),
    tempting("$").map(lambda text: (f"$q${text}$q$", text)),
    tempting("/*", "*/").map(lambda text: (f"/*{text}*/ 1", 1)),
    tempting("\n", "\r").map(lambda text: (f"--{text}\n1", 1)),
    tempting().map(lambda text: (f'(select 1 as "x{text.replace(chr(34), chr(34) * 2)}")', 1)),
)


@given(columns=st.lists(COLUMNS, min_size=1, max_size=6), comma=st.sampled_from([",", " ,\n", "/*:x*/,"]))
def test_nothing_else_is_touched_whatever_stands_around(
    cursor: Any, columns: list[tuple[str, Any]], comma: str
) -> None:
    text = "select " + comma.join(sql for sql, _ in columns) + " from (values (7)) as x (agency_id)"
    query = render_query(text, {"agency_id": 7, "agency_slug": "u'a\\"})
    cursor.execute("set standard_conforming_strings = on")
    cursor.execute(query.text)
    assert list(cursor.fetchone()) == [value for _, value in columns]


@given(
    pieces=st.lists(
        st.sampled_from([":agency_slug ", ":agency_slug,", "\n", "é", "'a:b'", "x"]), max_size=12
    ),
    slug=st.text(NO_NUL, max_size=5),
)
def test_a_place_in_the_rendered_text_leads_back_to_the_manifests(pieces: list[str], slug: str) -> None:
    query = render_query("".join(pieces), {"agency_slug": slug})
    source_lines = query.source.split("\n")
    filled = {offset: gap for gap in query.filled for offset in range(gap.start, gap.end)}
    for offset, character in enumerate(query.text):
        line, column = query.source_position(offset)
        here = source_lines[line - 1][column - 1 : column] or "\n"
        assert here == (":" if offset in filled else character)
    end = query.source_position(len(query.text))
    assert end == (len(source_lines), len(source_lines[-1]) + 1)
