"""The choice between the two ways that keep no reader waiting, over many runs: chance, and no server."""

import random
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seeder.matviews.modes.cheapest import Choice, Why, cheapest, pause_between_tries
from seeder.matviews.modes.costs import ABOUT, KEPT_ALIKE, MOST_KEPT, Cost, Costs
from seeder.matviews.modes.method import Method

SECONDS = st.floats(0.06, 100)


def after(costs: Costs, choice: Choice, written: int | None, seconds: float) -> Costs:
    return costs.with_one(choice.method, written, seconds, 0)


def played(
    runs: int, written: Callable[[int], int | None], takes: Callable[[Method, int | None], float]
) -> list[tuple[Choice, float, float]]:
    """Of each run the choice, what it took, and what the better of the two would have taken."""
    costs, found = Costs(), []
    for number in range(runs):
        changed = written(number)
        choice = cheapest(costs, changed)
        took = takes(choice.method, changed)
        found.append((choice, took, min(takes(method, changed) for method in list(Method)[1:])))
        costs = after(costs, choice, changed, took)
    return found


def spent(found: list[tuple[Choice, float, float]]) -> float:
    """Over what the better ones would have taken."""
    return sum(took for _, took, _ in found) / sum(best for _, _, best in found)


@settings(max_examples=40)
@given(SECONDS, SECONDS, st.one_of(st.none(), st.integers(0, 10**9)))
@example(concurrently=1.0, swap=1.0, written=0)
@example(concurrently=0.5, swap=9.9, written=1000)
def test_after_five_runs_it_takes_at_most_a_tenth_more_than_the_better_one(
    concurrently: float, swap: float, written: int | None
) -> None:
    seconds = {Method.CONCURRENTLY: concurrently, Method.SWAP: swap}
    found = played(1000, lambda _: written, lambda method, _: seconds[method])[5:]
    if max(seconds.values()) < 20 * min(seconds.values()):
        assert spent(found) <= 1.1
    # The very next ones are of the better kind.
    assert all(took <= 1.001 * best for _, took, best in found[:4])
    assert {choice.why for choice, _, _ in found} == {Why.CHEAPER, Why.TO_SEE_AGAIN}


@settings(max_examples=20)
@given(st.floats(0.1, 5), st.floats(1.5, 8), st.integers(0, 10**6))
def test_noise_of_a_fifth_misleads_it_for_no_more_than_a_tenth(base: float, ratio: float, seed: int) -> None:
    chance = random.Random(seed)
    seconds = {Method.CONCURRENTLY: base, Method.SWAP: base * ratio}

    def takes(method: Method, _: int | None) -> float:
        return seconds[method] * chance.uniform(0.8, 1.2)

    found = played(200, lambda _: 100, takes)
    picked = [choice.method for choice, _, _ in found[5:]]
    assert picked.count(Method.SWAP) <= 0.1 * len(picked)


@settings(max_examples=25)
@given(st.floats(0.1, 1), st.floats(1e-6, 1e-4), st.floats(1, 8))
@example(base=0.4, each=2e-5, swap=2.6)
def test_nights_of_few_and_of_many_changes_are_told_apart(base: float, each: float, swap: float) -> None:
    """1,000 rows on weekdays, 600,000 on each seventh."""

    def takes(method: Method, written: int | None) -> float:
        return swap if method is Method.SWAP else base + each * (written or 0)

    found = played(600, lambda number: 600_000 if number % 7 == 6 else 1000, takes)
    # A day of many changes among the first ones is what is learnt from.
    settled = [(choice, took, best) for choice, took, best in found[21:] if choice.why is Why.CHEAPER]
    assert all(took <= 1.001 * best for _, took, best in settled)
    assert len(settled) > 0.85 * len(found[21:])


def test_it_follows_when_the_other_one_becomes_cheaper() -> None:
    seconds = {Method.CONCURRENTLY: 1.0, Method.SWAP: 2.0}
    costs = Costs()
    for number in range(120):
        if number == 40:
            seconds = {Method.CONCURRENTLY: 4.0, Method.SWAP: 2.0}
        choice = cheapest(costs, 10)
        costs = after(costs, choice, 10, seconds[choice.method])
        if number == 38:
            assert choice.method is Method.CONCURRENTLY
        if number > 45 and choice.why is Why.CHEAPER:
            assert choice.method is Method.SWAP


def test_what_is_faster_than_an_exchange_is_never_swapped() -> None:
    assert {choice.method for choice, _, _ in played(300, lambda _: 5, lambda *_: 0.049)} == {
        Method.CONCURRENTLY
    }


@pytest.mark.parametrize(
    ("written", "method", "why"),
    [
        # At 10,000 it is dearer, so it is at more.
        (900_000, Method.SWAP, Why.CHEAPER),
        # At 100 it is cheaper, so it is at fewer.
        (1, Method.CONCURRENTLY, Why.CHEAPER),
        # In between nothing is known.
        (1000, Method.CONCURRENTLY, Why.TO_LEARN),
    ],
)
def test_what_is_known_of_other_numbers_of_changes_counts(written: int, method: Method, why: Why) -> None:
    kept = (
        Cost(Method.CONCURRENTLY, 100, 500, 1),
        Cost(Method.SWAP, 100, 2000, 2),
        Cost(Method.CONCURRENTLY, 10_000, 3000, 3),
    )
    choice = cheapest(Costs(3, 0, kept), written)
    assert (choice.method, choice.why) == (method, why)


@given(st.lists(st.tuples(st.sampled_from(list(Method)[1:]), st.integers(0, 10**7), SECONDS), max_size=60))
def test_little_is_kept_the_newest_of_each_and_always_both(
    history: list[tuple[Method, int, float]],
) -> None:
    costs = Costs()
    for method, written, seconds in history:
        costs = costs.with_one(method, written, seconds, None)
        assert costs.kept[-1] == Cost(method, written, round(1000 * seconds), costs.runs)
    assert len(costs.kept) <= KEPT_ALIKE + MOST_KEPT
    assert {one.method for one in costs.kept} == {method for method, _, _ in history}
    for one in costs.kept:
        if one.method is Method.CONCURRENTLY:
            later = [o for o in costs.kept if o.method is one.method and o.run > one.run]
            assert sum(o.is_about(one.written) for o in later) < 2 * KEPT_ALIKE


def test_about_as_many_is_a_matter_of_proportion() -> None:
    one = Cost(Method.CONCURRENTLY, 1000, 1, 1)
    assert one.is_about(2000)
    assert one.is_about(round(1000 / ABOUT) + 1)
    assert not one.is_about(3000)
    assert one.is_about(None)


def test_rows_written_are_unknown_where_the_counters_began_anew() -> None:
    costs = Costs(1, 100)
    assert (costs.written_since(130), costs.written_since(100)) == (30, 0)
    assert (costs.written_since(99), costs.written_since(None), Costs().written_since(5)) == (None,) * 3


def test_the_dearer_one_is_tried_the_more_rarely_the_dearer_it_is() -> None:
    assert [pause_between_tries(ratio) for ratio in (1.0, 1.5, 5.0, 1000.0)] == [10, 10, 80, 200]


def test_the_note_says_which_and_why() -> None:
    known = Costs(4, 0, tuple(Cost(m, 10, ms, n) for n, (m, ms) in enumerate(
        [(Method.CONCURRENTLY, 400), (Method.SWAP, 2600)], 1)))  # fmt: skip
    assert cheapest(known, 10).note == "Refreshed concurrently: that takes about 0.4 s, a swap 2.6 s."
    other = Choice(Method.SWAP, Why.TO_SEE_AGAIN, 0.4, 12.34)
    assert other.note == "Swapped, to see what that takes: a concurrent refresh takes about 0.4 s."
    assert other.outlook is not None
    assert other.outlook.startswith("A concurrent refresh takes about 0.4 s, a swap 12 s. This one is tried")
    assert cheapest(Costs(), None).note is None
    assert cheapest(Costs(), None).outlook is None
    hindered = Choice(Method.CONCURRENTLY, Why.NO_SWAP, hindrance="a rule depends on it.")
    assert hindered.note == "Refreshed concurrently, as a swap is not possible: a rule depends on it."
