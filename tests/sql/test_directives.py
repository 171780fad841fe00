"""Directives: what a manifest says in the leading comments of its SQL."""

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seeder.errors import DirectiveRefused, QueryRefused
from seeder.sql.directives import (
    LONGEST_TIMEOUT,
    NONE,
    Directives,
    Index,
    RefreshMode,
    read,
    read_expectations,
)
from seeder.sql.expectations import COMPARISONS, Fresh, NotNull, Rows, RowsChange, combined


def refused(text: str) -> tuple[str, int, int]:
    with pytest.raises(DirectiveRefused) as error:
        read(text)
    return error.value.reason, *error.value.position


def test_all_directives_in_one_line() -> None:
    text = """-- seeder: unique=(carrier, month) index=(month) mode=plain timeout=15min role=report_reader
-- seeder: expect=(rows > 0, rows_change < 50%, not_null(carrier), fresh(flight_date, 2 days))
select 1"""
    assert read(text) == Directives(
        indexes=(Index(("carrier", "month"), unique=True), Index(("month",))),
        mode="plain",
        timeout=timedelta(minutes=15),
        role="report_reader",
        expect=(
            Rows(">", 0),
            RowsChange("<", Decimal(50)),
            NotNull(("carrier",)),
            Fresh("flight_date", timedelta(days=2)),
        ),
    )


@pytest.mark.parametrize(
    "text",
    [
        "-- seeder: unique=(a)\n-- seeder: index=(b)\nselect 1",
        "--seeder:unique=(a)index=(b)\nselect 1",
        "-- A title\n\n/* seeder: unique=(a)\n   index=(b) */ select 1",
        "/** seeder : unique = ( a )\tindex=(\nb) **/ select 1".replace(" **/", "*/"),
        "-- SEEDER: UNIQUE=(A) Index=(B)\nselect 1",
        '/* seeder: unique=("a") */ -- seeder: index=("b")\nselect 1',
        "/* prose /* seeder: mode=plain */ */ -- seeder: unique=(a) index=(b)\r\nselect 1",
    ],
)
def test_comments_of_both_kinds_and_in_any_number(text: str) -> None:
    assert read(text) == Directives(indexes=(Index(("a",), unique=True), Index(("b",))))


def test_several_expectations_add_up_in_their_order() -> None:
    text = "-- seeder: expect=(rows > 0)\n-- seeder: expect=(rows < 9) expect=(not_null(a, b))\nselect 1"
    assert read(text).expect == (Rows(">", 0), Rows("<", 9), NotNull(("a", "b")))


@pytest.mark.parametrize(
    "text",
    [
        "select 1",
        "",
        "-- seeder makes this nightly\nselect 1",
        "-- for seeder: mode=plain\nselect 1",
        "select 'seeder: mode=plain', '-- seeder: mode=plain', \"-- seeder: mode=plain\"",
        "select $$\n-- seeder: mode=plain\n$$",
        "select a -- cedar seeder: mode=plain",
    ],
)
def test_what_is_no_directive_is_left_alone(text: str) -> None:
    assert read(text) == NONE


@pytest.mark.parametrize(
    ("written", "duration"),
    [
        ("1500ms", timedelta(milliseconds=1500)),
        ("90s", timedelta(seconds=90)),
        ("1.5 h", timedelta(minutes=90)),
        ("15 minutes", timedelta(minutes=15)),
        ("1 day", timedelta(days=1)),
        ("2 Weeks", timedelta(days=14)),
    ],
)
def test_durations(written: str, duration: timedelta) -> None:
    assert read(f"-- seeder: timeout={written}\nselect 1").timeout == duration


def test_names_are_folded_as_sql_folds_them_and_quoted_ones_are_not() -> None:
    text = '-- seeder: unique=(Carrier, "Month", "a ""b""", "50%", Größe) role="Report Reader"\nselect 1'
    assert read(text).indexes == (Index(("carrier", "Month", 'a "b"', "50%", "größe"), unique=True),)
    assert read(text).role == "Report Reader"


def test_tables_that_go_before_are_written_as_their_manifests_write_them() -> None:
    text = "/* seeder: after=( Sales ,other.orders_{agency_slug}\n) after=(Sales,x$1) */ select 1"
    assert read(text).after == ("Sales", "other.orders_{agency_slug}", "x$1")


@pytest.mark.parametrize(
    ("text", "reason", "line", "column"),
    [
        (
            "uniq=(a)",
            "there is no uniq; there are unique, index, mode, timeout, role, expect, after and unchanged",
            2,
            12,
        ),
        ("unique a", "= is expected, not a", 2, 19),
        ("unique=a", "( is expected, not a", 2, 19),
        ("unique=(a", ", or ) is expected, not the end", 2, 21),
        ("unique=()", "a column is expected, not )", 2, 20),
        ("unique=(a, A)", "the column is named twice", 2, 23),
        ("unique=(a) unique=(a)", "it is given twice", 2, 30),
        ('unique=("")', "a name can't be empty", 2, 20),
        (f"unique=({'n' * 64})", "a name has at most 63 bytes", 2, 20),
        ("index=(lower(a))", ", or ) is expected, not (", 2, 24),
        ("mode=fast", "there is no mode fast; there are " + ", ".join(RefreshMode), 2, 17),
        ("mode=plain mode=auto", "mode is given twice", 2, 23),
        ("timeout=15", "a unit such as s, min, h or days is expected, not the end", 2, 22),
        ("timeout=0s", "it must be a whole number of milliseconds, and at least one", 2, 20),
        ("timeout=0.1ms", "it must be a whole number of milliseconds, and at least one", 2, 20),
        ("timeout=25 days", "the most is 24 days", 2, 20),
        ("expect=(fresh(a, 10001 days))", "the most is 10000 days", 2, 29),
        ("timeout=1234567890123456789 s", "the number is too long", 2, 20),
        ("role=42", "a role is expected, not 42", 2, 17),
        ("expect=()", "rows, rows_change, not_null or fresh is expected, not )", 2, 20),
        ("expect=(rows > 0.5)", "a number of rows is whole", 2, 27),
        ("expect=(rows > -1)", "a number is expected, not -", 2, 27),
        ("expect=(rows_change > 5%)", "< or <= is expected, not >", 2, 32),
        ("expect=(rows_change < 5)", "% is expected, not )", 2, 35),
        (
            "expect=(sum(a) > 0)",
            "nothing is known of sum; there are rows, rows_change, not_null and fresh",
            2,
            20,
        ),
        ("after=()", "a table is expected, not )", 2, 19),
        ("after=(a b)", ", or ) is expected, not b", 2, 21),
        ('after=("a")', "write the table as its manifest does, without quotes", 2, 19),
        ("after=(a, b.c.d)", "it has 2 dots; write schema.name or name", 2, 22),
        ("after=(2024_sales)", "'2024_sales' begins with '2'; begin with a letter or _", 2, 19),
        (
            "after=(sales_{agency})",
            "a table_name knows {agency_slug}, {agency_id}, {manifest_id}, and no other {…}",
            2,
            19,
        ),
        ("after=(pg_catalog.pg_class)", "the schema pg_catalog belongs to PostgreSQL itself", 2, 19),
        ("mode=:agency_slug", "a mode is expected, not :", 2, 17),
    ],
)
def test_a_bad_directive_is_refused_with_its_place(text: str, reason: str, line: int, column: int) -> None:
    assert refused(f"-- Sales\n-- seeder: {text}\nselect 1") == (reason, line, column)


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("select 1 -- seeder: mode=plain", 1, 10),
        ("select\n  /* seeder: mode=plain */ 1", 2, 3),
        ("select 1;\n-- seeder: mode=plain", 2, 1),
    ],
)
def test_a_directive_that_would_be_overlooked_is_refused(text: str, line: int, column: int) -> None:
    assert refused(text) == ("it stands inside or after the query; put it before", line, column)


def test_sql_that_cant_be_scanned_is_refused_as_the_guard_does() -> None:
    with pytest.raises(QueryRefused, match=r"unterminated quoted string \(line 2, column 8\)"):
        read("-- seeder: mode=plain\nselect 'a")


def test_expectations_without_a_directive_around_them() -> None:
    assert read_expectations(" rows > 0 , rows_change<= 12.5 % ") == (
        Rows(">", 0),
        RowsChange("<=", Decimal("12.5")),
    )
    assert read_expectations(" ") == ()
    with pytest.raises(DirectiveRefused, match=r"\) is not expected here \(line 1, column 9\)"):
        read_expectations("rows > 0)")


def test_a_manifests_own_expectations_replace_the_general_ones_of_their_kind() -> None:
    general = read_expectations("rows > 0, rows < 100, rows_change < 50%, not_null(a)")
    assert combined(
        general, read_expectations("rows >= 0, fresh(day, 1 day), not_null(b)")
    ) == read_expectations("rows_change < 50%, rows >= 0, fresh(day, 1 day), not_null(b)")
    assert combined(general, ()) == general


# --- for all texts -----------------------------------------------------------------------------------------

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\x00\n\r"), min_size=1, max_size=20).filter(
    lambda name: len(name.encode()) <= 63
).filter(lambda name: not name.isspace()) | st.sampled_from(
    ["a", "carrier", "user", "50%", "a*/b", "/*", "--", 'x"y', "Größe", "seeder:"]
)
COLUMNS = st.lists(NAMES, min_size=1, max_size=4, unique=True).map(tuple)
DURATIONS = st.integers(1, 86_400_000 * 10_000).map(lambda n: timedelta(milliseconds=n)) | st.sampled_from(
    [timedelta(days=1), timedelta(hours=36), timedelta(minutes=15), timedelta(seconds=90)]
)
EXPECTATIONS = st.one_of(
    st.builds(Rows, st.sampled_from(list(COMPARISONS)), st.integers(0, 10**17)),
    st.builds(RowsChange, st.sampled_from(["<", "<="]), st.decimals(0, 10**6, places=3)),
    st.builds(NotNull, COLUMNS),
    st.builds(Fresh, NAMES, DURATIONS),
)
DIRECTIVES = st.builds(
    Directives,
    indexes=st.lists(st.builds(Index, COLUMNS, st.booleans()), max_size=3, unique=True).map(tuple),
    mode=st.none() | st.sampled_from(RefreshMode),
    timeout=st.none() | DURATIONS.filter(lambda duration: duration <= LONGEST_TIMEOUT),
    role=st.none() | NAMES,
    expect=st.lists(EXPECTATIONS, max_size=4).map(tuple),
    after=st.lists(
        st.sampled_from(["a", "s.b", "Sales_{agency_slug}", "{agency_slug}.m_{manifest_id}", "_$1"]),
        unique=True,
    ).map(tuple),
)
PIECES = st.lists(
    st.sampled_from(
        [
            *(
                "-- seeder:",
                "/* seeder:",
                "*/",
                "unique",
                "=",
                "(",
                ")",
                ",",
                "a",
                '"b"',
                '"',
                "\n",
                " ",
                "select 1",
            ),
            *(
                "expect",
                "rows",
                ">",
                "0",
                "5",
                "%",
                "fresh",
                "not_null",
                "2",
                "days",
                "timeout",
                "mode",
                "plain",
            ),
            *("index", "role", "-", "'", "$$", "\x00", "é", "\ud800", ".", "after", "{", "}"),
        ]
    ),
    max_size=40,
).map("".join)


@given(DIRECTIVES)
def test_what_is_written_is_what_is_read(directives: Directives) -> None:
    assert read(f"-- seeder: {directives}\nselect 1") == directives
    assert read_expectations(", ".join(map(str, directives.expect))) == directives.expect


@given(st.text() | PIECES | PIECES.map(lambda text: f"-- seeder: {text}"))
def test_any_text_is_read_or_refused_at_a_place_in_it(text: str) -> None:
    try:
        read(text)
    except (DirectiveRefused, QueryRefused) as error:
        line, column = error.position
        lines = text.split("\n")
        assert 1 <= line <= len(lines)
        assert 1 <= column <= len(lines[line - 1]) + 1


@given(
    DIRECTIVES.filter(lambda made: made != NONE), st.sampled_from(["", "-- Ünder way\n", "/* a\nb */\n\n"])
)
def test_the_place_of_a_mistake_is_that_of_the_mistake(directives: Directives, before: str) -> None:
    text = f"{before}-- seeder: {directives} oops=1\nselect 1"
    reason, line, column = refused(text)
    assert reason.startswith("there is no oops")
    assert text.split("\n")[line - 1][column - 1 :] == "oops=1"
