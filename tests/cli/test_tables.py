"""Tables at every width, of whatever letters: the status, the table and the reason stay, and no line is
longer than the terminal."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len

from seeder.cli.fitting import cells, cut, letters, plain, wrapped
from seeder.cli.tables import REASON_NEEDS, STACKED_BELOW, Column, Styled, Table

#: Letters of one cell, of two, of none, and of one with others on top of it.
LETTERS = st.one_of(
    st.characters(codec="utf-8"),
    st.sampled_from(["語", "한", "🚀", "e\u0301", "\u0301", "❤️", "ﷺ", "\x1b[31m", "[red]", " ", "\n", "\t"]),
)
TEXT = st.lists(LETTERS, max_size=80).map("".join)
NAME = st.text("abcdefgh_.語é", min_size=1, max_size=127)
STATUS = st.sampled_from(["success", "error", "running", "pending", "never run", "disabled"])
ROWS = st.lists(st.tuples(TEXT, NAME, STATUS, TEXT, TEXT), min_size=1, max_size=5)


def table(rows) -> Table:
    made = Table(
        Column("agency", goes=3),
        Column("table"),
        Column("status"),
        Column("rows", right=True, goes=2),
        Column("error", reason=True),
        lead=("status", "table"),
    )
    for agency, name, status, count, error in rows:
        made.add(agency, name, Styled(status, "red"), count, error)
    return made


def lines(made: Table, width: int | None) -> list[str]:
    return ["".join(words for words, _ in line) for line in made.lines(width)]


def squeezed(text: str) -> str:
    """Without what line breaks come between."""
    return "".join(text.split())


def first_words(reason: str) -> str:
    """What must be seen of a reason, however narrow the terminal: three lines of it hold more than this."""
    shown = ""
    for letter in letters(plain(reason).replace("\n", " ").strip()):
        if cells(shown + letter) > REASON_NEEDS // 2:
            break
        shown += letter
    return squeezed(shown)


@given(ROWS, st.integers(2, 240))
@example([("", "a", "error", "", "語" * 50)], 2)
@example([(" ", "a", "error", " ", " ")], 40)
@example([("x" * 79, "t" * 63, "success", "1,000,000", "why")], 80)
def test_no_line_is_longer_than_the_terminal(rows, width: int) -> None:
    for line in lines(table(rows), width):
        assert cell_len(line) <= width
        assert line == line.rstrip()
        assert "\n" not in line
        assert "\x1b" not in line


@given(ROWS, st.integers(20, 240))
@example([("x" * 79, "t" * 127, "never run", "1,000,000", "why not")], 80)
@example([("ua", "t" * 46, "success", "1", "a reason of several words")], 80)
def test_the_status_the_table_and_the_reasons_first_words_never_go(rows, width: int) -> None:
    shown = lines(table(rows), width)
    # One table's lines are compared as one text; a name that is longer than a line goes on in the next.
    whole = squeezed("".join(shown))
    for _, name, status, _, reason in rows:
        assert status in "\n".join(shown)
        assert name in whole
        if width < STACKED_BELOW or (len(rows) == 1 and len(name) < 20):
            assert first_words(reason) in whole


@given(TEXT, st.integers(2, 100))
def test_text_that_is_broken_into_lines_is_whole(text: str, width: int) -> None:
    clean = plain(text).replace("\n", " ")
    broken = wrapped(clean, width)
    assert all(cells(line) <= width for line in broken)
    assert squeezed("".join(broken)) == squeezed(clean)


@given(TEXT, st.integers(2, 60), st.integers(1, 4))
def test_text_that_is_too_long_ends_in_an_ellipsis(text: str, width: int, most: int) -> None:
    clean = plain(text).replace("\n", " ")
    whole, shown = wrapped(clean, width), wrapped(clean, width, most)
    assert len(shown) <= most
    assert all(cells(line) <= width for line in shown)
    assert shown == whole if len(whole) <= most else shown[-1].endswith("…")


@given(TEXT, st.integers(1, 60))
def test_no_letter_is_parted_from_its_combining_ones(text: str, width: int) -> None:
    for line in wrapped(plain(text), max(width, 2)):
        assert (
            not line
            or not unicodedata.combining(line[0])
            or plain(text).lstrip()[:1] == line[0]
            or (
                # Behind a blank it has nothing to stand on in the text either.
                f" {line[0]}" in plain(text).replace("\n", " ")
            )
        )
    assert cells(cut(plain(text).replace("\n", " "), width)) <= width


DEMO = [
    ("ev", "flights_ev_cleaned_up_cancellations", "error", "", "The query is refused: DELETE inside WITH"),
    ("yv", "flights_yv_time_on_the_ground", "success", "1,234", ""),
]


@pytest.mark.parametrize(
    ("width", "header"),
    [
        (80, "table status error"),
        (100, "agency table status rows error"),
        (None, "agency table status rows error"),
    ],
)
def test_what_is_needed_least_goes_first(width: int | None, header: str) -> None:
    assert lines(table(DEMO), width)[0].split() == header.split()


def test_an_empty_column_makes_room_before_one_with_words_in_it() -> None:
    rows = [("united", "t" * 50, "success", "1,234,567", "")]
    assert lines(table(rows), 80)[0].split() == ["agency", "table", "status", "rows"]


def test_a_small_column_comes_back_where_a_large_one_had_to_go() -> None:
    rows = [("a" * 30, "t" * 30, "error", "1", "a reason of thirty-two cells...")]
    assert lines(table(rows), 84)[0].split() == ["table", "status", "rows", "error"]


def test_below_80_columns_each_row_is_a_few_lines() -> None:
    assert lines(table(DEMO), 60) == [
        "error    flights_ev_cleaned_up_cancellations",
        "    The query is refused: DELETE inside WITH",
        "    agency ev",
        "success  flights_yv_time_on_the_ground",
        "    agency yv, rows 1,234",
    ]


def test_rows_are_stacked_below_80_columns_though_they_might_fit() -> None:
    short = table([("ua", "sales", "error", "", "Out of memory.")])
    assert lines(short, 79)[0] == "error  sales"
    assert lines(short, 80)[0].split() == ["agency", "table", "status", "rows", "error"]


def test_a_name_that_leaves_no_room_for_the_reason_has_the_row_stacked_too() -> None:
    name = "n" * 63
    assert lines(table([("ua", name, "error", "", "Out of memory.")]), 80) == [
        f"error  {name}",
        "    Out of memory.",
        "    agency ua",
    ]


def test_without_a_terminal_one_long_name_moves_no_other_row() -> None:
    shown = lines(
        table([("ua", "n" * 127, "error", "1", "a" * 900), ("ua", "short", "error", "1", "why")]), None
    )
    assert shown[1].endswith("a" * 900)
    assert len(shown[2]) < 100
    assert shown[2].split() == ["ua", "short", "error", "1", "why"]
