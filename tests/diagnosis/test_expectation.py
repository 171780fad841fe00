"""When a seeding would end, from what its reports usually take."""

from dataclasses import replace

import pytest

from seeder.diagnosis.expectation import expected
from seeder.diagnosis.forecast import Forecast


def foreseen(table: str, action: str = "refresh plain", **more: object) -> Forecast:
    one = Forecast("custom", len(table), table, table, "ua", None, action, "It is as it is.")
    return replace(one, **more)  # type: ignore[arg-type]


def anywhere(_database_id: int | None) -> int:
    return 0


def test_it_ends_when_the_longest_chain_has_and_says_so() -> None:
    reports = [
        foreseen("a"),
        foreseen("b", waits_for=("a",)),
        foreseen("c"),
        foreseen("d", "unchanged"),
        foreseen("e", "error"),
        foreseen("f", "shared"),
        foreseen("g", "not run"),
    ]
    timed, found = expected(reports, {"a": 10.0, "b": 20.0, "c": 25.0, "d": 99.0}, 2, anywhere)
    assert found is not None
    assert (found.seconds, found.places, found.work) == (30.0, 2, 55.0)
    assert found.critical_path == ("a", "b")
    assert found.longest == (("c", 25.0), ("b", 20.0), ("a", 10.0))
    assert (found.by_cost, found.by_others) == (0, 0)
    assert [(one.begins_seconds, one.ends_seconds, one.is_critical) for one in timed[:3]] == [
        (0.0, 10.0, True), (10.0, 30.0, True), (0.0, 25.0, False),
    ]  # fmt: skip
    assert all(one.ends_seconds is None and not one.is_critical for one in timed[3:])


def test_what_has_never_run_takes_what_its_cost_means_here() -> None:
    reports = [
        foreseen("a", cost=100.0), foreseen("b", cost=300.0), foreseen("c", cost=1000.0),
        foreseen("new", "create", cost=50.0), foreseen("unmade", "create"),
    ]  # fmt: skip
    _, found = expected(reports, {"a": 10.0, "b": 60.0, "c": 30.0, "new": 0.0}, 1, anywhere)
    assert found is not None
    # The median second per cost is 0.1, the median duration 30 s.
    assert dict(found.longest) == {"b": 60.0, "c": 30.0, "unmade": 30.0, "a": 10.0, "new": 5.0}
    assert (found.by_cost, found.by_others) == (1, 1)
    assert found.seconds == pytest.approx(135.0)


def test_a_database_that_takes_one_at_a_time_makes_it_longer() -> None:
    reports = [foreseen("a", database_id=7), foreseen("b", database_id=7), foreseen("c")]
    usual = dict.fromkeys("abc", 10.0)
    _, free = expected(reports, usual, 3, anywhere)
    _, limited = expected(reports, usual, 3, lambda database_id: 1 if database_id == 7 else 0)
    assert (free and free.seconds, limited and limited.seconds) == (10.0, 20.0)


@pytest.mark.parametrize("reports", [[], [foreseen("a", "error")], [foreseen("new", "create", cost=9.0)]])
def test_where_nothing_is_known_or_to_be_done_nothing_is_said(reports: list[Forecast]) -> None:
    assert expected(reports, {"a": 10.0}, 4, anywhere) == (reports, None)
