"""Numbers as people read them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seeder.web.filters import is_slow, is_steep, rows_change, size_change
from seeder.wording import brief, duration, number, signed, size


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, ""), (0, "0 s"), (59, "59 s"), (60, "1 min 00 s"), (185, "3 min 05 s"), (3599, "59 min 59 s"),
        (3600, "1 h 00 min"), (86_399, "23 h 59 min"), (86_400, "1 d 00 h"), (190_000, "2 d 04 h"),
        (-3, "0 s"),
    ],
)  # fmt: skip
def test_a_duration_is_told_in_its_two_largest_units(seconds: int | None, words: str) -> None:
    assert duration(seconds) == words


@given(st.integers(0, 10**7))
def test_a_duration_loses_less_than_its_smaller_unit(seconds: int) -> None:
    units = {"d": 86_400, "h": 3_600, "min": 60, "s": 1}
    told = re.findall(r"(\d+) (d|h|min|s)", duration(seconds))
    assert 0 <= seconds - sum(int(count) * units[unit] for count, unit in told) < units[told[-1][1]]


@given(st.integers(), st.integers())
def test_a_difference_shows_its_sign_and_its_amount(now: int, before: int) -> None:
    told = rows_change(now, before)
    assert told[0] == ("+" if now > before else "−" if now < before else "±")
    assert int(told[1:].replace(",", "")) == abs(now - before)
    assert "-" not in size_change(now, before)


@pytest.mark.parametrize(("now", "before"), [(None, 1), (1, None), (None, None)])
def test_what_is_unknown_has_no_difference(now: int | None, before: int | None) -> None:
    assert rows_change(now, before) == size_change(now, before) == ""
    assert not is_steep(now, before)


@pytest.mark.parametrize(
    ("now", "before", "steep"),
    [(120, 100, False), (121, 100, True), (80, 100, False), (79, 100, True), (0, 3, True), (1, 0, True),
     (0, 0, False)],
)  # fmt: skip
def test_a_difference_is_steep_beyond_a_fifth(now: int, before: int, steep: bool) -> None:
    assert is_steep(now, before) is steep


@pytest.mark.parametrize(
    ("seconds", "usual", "slow"),
    [(2, 1, False), (6, 1, True), (79, 40, False), (80, 40, True), (9, 5, False), (10, 5, True),
     (None, 1, False), (9, None, False)],
)  # fmt: skip
def test_a_run_is_slow_at_twice_the_usual_unless_it_is_short(
    seconds: int | None, usual: int | None, slow: bool
) -> None:
    assert is_slow(seconds, usual) is slow


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0 bytes"), (10_239, "10,239 bytes"), (10_240, "10 kB"), (-10_240, "-10 kB"),
        (24 * 1024**2, "24 MB"), (20 * 1024**4, "20 TB"), (10**20, "90,949,470 TB"),
    ],
)  # fmt: skip
def test_a_size_has_the_unit_that_reads_best(value: int, words: str) -> None:
    assert size(value) == words


def test_a_difference_of_sizes_has_one_sign() -> None:
    assert signed(size(-20480), -20480) == "−20 kB"
    assert signed(number(0), 0) == "±0"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (0.2, "under 1 s"), (0.99, "under 1 s"), (1, "1 s"), (61.6, "1 min 02 s")],
)
def test_a_short_duration_is_not_told_as_none(seconds: float, words: str) -> None:
    assert brief(seconds) == words
