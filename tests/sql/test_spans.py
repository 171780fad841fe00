"""SQL in spans: what PostgreSQL's scanner says of each piece, and no character lost or moved."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from seeder.errors import PlaceholderRefused, Position, QueryRefused
from seeder.sql.placeholders import render_query
from seeder.sql.spans import Span, lines_of
from seeder.sql.tokens import offset_at, position

SQLISH = st.text("select'\"$-/*:;()\n 1aé\u202e\x00\\", max_size=60) | st.text(max_size=40)
VALUES = {"agency_id": 7, "agency_slug": "o'hare\nx", "manifest_id": -3}


def kinds(text: str) -> list[tuple[str, str]]:
    return [(span.text, span.kind) for line in lines_of(text) for span in line if span.text.strip()]


def marked(text: str, mark: int) -> list[str]:
    return [span.text for line in lines_of(text, mark=mark) for span in line if span.marked]


@given(SQLISH, st.integers(-2, 70))
@example("select 1 from", 13)
@example("a\n\nb", 1)
def test_the_spans_put_together_are_the_text(text: str, mark: int) -> None:
    lines = lines_of(text, mark=mark)
    written = "\n".join("".join(span.text for span in line) for line in lines)
    if mark == len(text) or text[mark : mark + 1] == "\n":
        # There is a blank to see where something is missing.
        line = text.count("\n", 0, mark)
        assert lines[line][-1] == Span(" ", marked=True)
        lines[line].pop()
        written = "\n".join("".join(span.text for span in one) for one in lines)
    assert written == text
    assert all("\n" not in span.text for line in lines for span in line)


def test_each_kind_is_what_the_scanner_says() -> None:
    assert kinds("select 'a -- b' as \"from\", 1.5 -- why\nfrom t where x = any($$b$$)") == [
        ("select", "keyword"), ("'a -- b'", "string"), ("as", "keyword"), (' "from", ', ""),
        ("1.5", "number"), ("-- why", "comment"), ("from", "keyword"), (" t ", ""), ("where", "keyword"),
        (" x = ", ""), ("any", "keyword"), ("(", ""), ("$$b$$", "string"), (")", ""),
    ]  # fmt: skip


def test_what_the_scanner_refuses_is_shown_as_it_is() -> None:
    assert lines_of("select 'a\nb") == [[Span("select 'a")], [Span("b")]]


def test_an_error_points_at_a_token_or_at_a_character_inside_one() -> None:
    text = "select delai, 'x y'\nfrom t"
    assert marked(text, text.index("delai")) == ["delai"]
    assert marked(text, text.index(" y")) == [" "]
    assert marked(text, len(text) + 1) == []
    assert marked("select f.delai + 1", 7) == ["f.delai"]
    assert marked('select a."b c".d.*', 7) == ['a."b c".d.*']
    assert marked("select a . b, c.", 7) == ["a"]
    assert marked("select c.", 7) == ["c"]
    assert marked("select 1 from", 13) == [" "]
    assert marked("select $$a\nb$$", 7) == ["$$a"]


def test_a_filling_is_named_by_its_placeholder() -> None:
    rendered = render_query("select :agency_id, 2", VALUES)
    (line,) = lines_of(rendered.text, rendered.fillings)
    assert [(span.text, span.filling) for span in line if span.kind == "number"] == [
        ("7", ":agency_id"),
        ("2", None),
    ]


@given(st.text("ab\n", max_size=30), st.integers(0, 30))
def test_a_place_and_its_offset_are_each_others_inverse(text: str, offset: int) -> None:
    where = position(text, min(offset, len(text)))
    assert offset_at(text, where) == min(offset, len(text))


@pytest.mark.parametrize("where", [(3, 1), (1, 5), (2, 3), (1, 0)])
def test_there_is_no_place_beyond_the_end_of_a_line_or_text(where: tuple[int, int]) -> None:
    assert offset_at("abc\nx", Position(*where)) is None


@given(
    st.lists(
        st.sampled_from(["select ", "a, ", ":agency_id", ":agency_slug", "(:manifest_id)", "\n", "'x'"])
    ),
    st.data(),
)
def test_a_place_in_the_manifest_is_found_in_the_rendered_text(
    pieces: list[str], data: st.DataObject
) -> None:
    text = "".join(pieces)
    try:
        rendered = render_query(text, VALUES)
    except (QueryRefused, PlaceholderRefused):
        return
    offset = data.draw(st.integers(0, len(rendered.text)))
    where = rendered.source_position(offset)
    there = rendered.offset_of(where)
    assert there is not None
    # Within a literal all places are those of its placeholder.
    within = [start for start, end, _ in rendered.fillings if start <= offset < end]
    assert there == (within[0] if within else offset)


def test_what_would_turn_the_text_around_it_stands_apart() -> None:
    (line,) = lines_of("select 'a\u202eb' -- \u2066c")
    assert [(span.text, span.kind) for span in line if span.text != " "] == [
        ("select", "keyword"), ("'a", "string"), ("\u202e", "control"), ("b'", "string"),
        ("-- ", "comment"), ("\u2066", "control"), ("c", "comment"),
    ]  # fmt: skip
