"""A night looked back at: lanes, load, and what held its end back."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from seeder.history.nights import NightRun
from seeder.monitoring.night import Night, lanes_of, load_of, night_of

TICK = datetime(2026, 11, 24, 2, tzinfo=UTC)
MOMENTS = st.integers(0, 40).map(float) | st.floats(0, 40)
INTERVALS = st.lists(st.tuples(MOMENTS, MOMENTS).map(lambda two: (min(two), max(two))), max_size=60)


LASTING = INTERVALS.map(lambda listed: [(start, end) for start, end in listed if end > start])


@given(INTERVALS)
@example([(0.0, 5.0), (0.0, 0.0), (5.0, 5.0), (5.0, 6.0)])
def test_no_two_in_a_lane_overlap(intervals: list[tuple[float, float]]) -> None:
    lanes = lanes_of(intervals)
    for lane in set(lanes):
        of_lane = sorted(one for one, its in zip(intervals, lanes, strict=True) if its == lane)
        assert all(before[1] <= after[0] for before, after in pairwise(of_lane))
    assert set(lanes) == set(range(len(set(lanes))))


@given(LASTING)
def test_there_are_as_many_lanes_as_ever_ran_side_by_side(intervals: list[tuple[float, float]]) -> None:
    at_a_time = [sum(start <= moment < end for start, end in intervals) for moment, _ in intervals]
    assert len(set(lanes_of(intervals))) == max(at_a_time, default=0)


@given(INTERVALS, st.integers(1, 30))
def test_the_load_over_time_is_the_work_done(intervals: list[tuple[float, float]], parts: int) -> None:
    load = load_of(intervals, 40.0, parts)
    assert len(load) == parts
    assert sum(load) * 40 / parts == pytest.approx(sum(end - start for start, end in intervals), abs=1e-6)
    assert max(load, default=0) <= len(intervals) + 1e-6


def test_the_load_is_the_average_of_each_part() -> None:
    assert load_of([(0, 10), (2.5, 5)], 10, 4) == [1, 2, 1, 1]
    assert load_of([], 0, 3) == [0, 0, 0]


def run(number: int, start: float | None, end: float | None, status: str = "success") -> NightRun:
    """Recorded at the tick; seconds after it."""
    began = TICK + timedelta(seconds=start or 0)
    ended = None if end is None else TICK + timedelta(seconds=end)
    return NightRun(
        f"20261124T0200Z.custom-{number}", f"t{number}", "Report", "ua", status, TICK, began, ended, 10, None
    )


def night(*runs: NightRun, usual: dict | None = None) -> Night:
    found = night_of(runs, usual or {}, TICK + timedelta(seconds=1000))
    assert found
    return found


def test_a_late_long_run_is_what_held_the_end_back() -> None:
    found = night(run(1, 1, 60), run(2, 1, 50), run(3, 50, 350), usual={"t3": 100})
    assert found.tail
    assert (found.tail.last.run.table_name, found.tail.last.usual_seconds) == ("t3", 100)
    assert (found.tail.last.waited, found.tail.alone_seconds) == (50, 290)
    assert (found.seconds, found.lane_count, found.ended) == (350, 2, TICK + timedelta(seconds=350))
    assert found.least_seconds == 300
    assert found.worked_seconds == 59 + 49 + 300


def test_slack_is_when_half_of_the_lanes_are_empty_for_good() -> None:
    found = night(run(1, 0, 10), run(2, 0, 20), run(3, 0, 30), run(4, 0, 40))
    assert found.tail
    # From 20 on two of four.
    assert (found.tail.slack_seconds, found.tail.alone_seconds) == (20, 10)


def test_a_night_under_way_has_no_end_yet_and_runs_on_to_now() -> None:
    found = night(run(1, 0, 10), run(2, 5, None, "running"), run(3, None, None, "pending"))
    assert (found.ended, found.tail, found.pending, found.seconds) == (None, None, 1, 1000)
    assert [(bar.start, bar.end, bar.is_running) for bar in found.bars] == [(0, 10, False), (5, 1000, True)]


def test_a_seeding_without_runs_is_no_night() -> None:
    assert night_of([], {}, TICK) is None


def test_a_seeding_whose_runs_all_wait_is_one() -> None:
    found = night(run(1, None, None, "pending"))
    assert (found.bars, found.lane_count, found.least_seconds, found.pending) == ((), 0, 0, 1)
