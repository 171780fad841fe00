"""Charts and timelines: every place is inside the picture, and says what it stands for."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seeder.history import Run
from seeder.history.nights import NightRun
from seeder.monitoring.night import night_of
from seeder.web.drawing import trend
from seeder.web.drawing.scales import Scale, round_up_seconds, ticks, whole
from seeder.web.drawing.timeline import MOST_BARS, WIDTH, timeline

TICK = datetime(2026, 11, 24, 2, tzinfo=UTC)


def a_run(number: int, status: str = "success", seconds: int | None = 40, rows: int | None = 10) -> Run:
    began = TICK + timedelta(days=number)
    ended = None if seconds is None else began + timedelta(seconds=seconds)
    return Run(f"n{number}.custom-1", "sales", "Sales", "custom", 1, "ua", status, began, ended, seconds,
               rows, 8192, None, None, 0, None, None, 1)  # fmt: skip


RUNS = st.lists(
    st.tuples(
        st.sampled_from(["success", "error", "running", "pending"]),
        st.integers(0, 10**7),
        st.none() | st.integers(0, 2**62),
    ),
    max_size=90,
).map(
    lambda facts: [
        a_run(number, status, None if status in ("running", "pending") else seconds, rows)
        for number, (status, seconds, rows) in enumerate(facts)
    ][::-1]
)


# --- scales ------------------------------------------------------------------------------------------------


@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9), st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
def test_a_scale_keeps_order_and_stays_on_its_line(low: float, high: float, one: float, other: float) -> None:
    scale = Scale(low, high, 100)
    assert 0 <= scale.at(one) <= 100
    assert (scale.at(one) <= scale.at(other)) or one > other
    if high > low:
        assert (scale.at(low), scale.at(high)) == (0, 100)


@given(st.floats(0, 1e8))
def test_a_round_duration_is_not_less_and_not_far_more(seconds: float) -> None:
    rounded = round_up_seconds(seconds)
    assert seconds <= rounded <= max(2.5 * seconds, 1)


@given(st.floats(1, 1e6), st.integers(1, 12))
def test_ticks_begin_at_0_and_are_few(seconds: float, most: int) -> None:
    found = ticks(seconds, most)
    assert found[0] == 0
    assert found[-1] <= seconds
    assert 1 <= len(found) <= most + 1


@pytest.mark.parametrize(
    ("seconds", "words"), [(30, "30 s"), (300, "5 min"), (3600, "1 h"), (86400, "1 d"), (90, "1 min 30 s")]
)
def test_a_round_duration_is_said_in_one_unit(seconds: int, words: str) -> None:
    assert whole(seconds) == words


# --- trends ------------------------------------------------------------------------------------------------


@given(RUNS)
def test_every_column_is_inside_its_chart(newest_first: list[Run]) -> None:
    for chart in (trend.durations(newest_first), trend.rows(newest_first)):
        if chart is None:
            continue
        xs = [column.x for column in chart.columns]
        assert xs == sorted(set(xs))
        assert xs[-1] + trend.COLUMN == chart.width
        assert xs[0] >= 0
        for column in chart.columns:
            assert 0 <= column.y <= trend.HEIGHT
            assert column.y + column.height == pytest.approx(trend.HEIGHT)


def test_a_chart_of_durations_says_what_it_shows() -> None:
    runs = [a_run(0, seconds=30), a_run(1, "error", 2), a_run(2, seconds=50), a_run(3, seconds=40)]
    chart = trend.durations([a_run(4, "running", None), *runs[::-1]])
    assert chart
    assert [(column.status, column.height) for column in chart.columns] == [
        ("success", 50), ("error", pytest.approx(3.33)), ("success", pytest.approx(83.33)),
        ("success", pytest.approx(66.67)),
    ]  # fmt: skip
    assert (chart.top, chart.bottom) == ("1 min", "0")
    assert chart.summary == (
        "4 runs, 1 failed. Those that succeeded took 30 s to 50 s, 40 s in the middle, 40 s last."
    )
    assert chart.columns[1].title == "2026-11-25 02:00 UTC: 2 s, error"


def test_a_chart_of_rows_has_a_line_over_the_runs_that_succeeded() -> None:
    runs = [a_run(0, rows=100), a_run(1, "error", rows=None), a_run(2, rows=200)]
    chart = trend.rows(runs[::-1])
    assert chart
    assert (chart.top, chart.bottom) == ("200", "100")
    assert chart.summary == ("100 to 200 rows; 100 after the first of these runs, 200 after the last.")
    assert chart.path == "M270 94.64H280L290 5.36H300"
    assert [column.status for column in chart.columns] == ["success", "error", "success"]


def test_there_is_no_chart_of_nothing() -> None:
    assert trend.durations([a_run(0, "pending", None)]) is None
    assert trend.rows([a_run(0, "error")]) is None
    flat = trend.rows([a_run(0, rows=7)])
    assert flat
    assert flat.path == "M290 50.0H300"
    assert flat.summary == "7 rows after each of them."


# --- timelines ---------------------------------------------------------------------------------------------


def night_run(number: int, start: float, seconds: float | None, status: str = "success") -> NightRun:
    began = TICK + timedelta(seconds=start)
    return NightRun(
        f"20261124T0200Z.custom-{number}", f"table_{number}", "Report", "ua", status, TICK, began,
        None if seconds is None else began + timedelta(seconds=seconds), 10, None,
    )  # fmt: skip


def drawn(runs: list[NightRun]) -> Any:
    night = night_of(runs, {"table_1": 5}, TICK + timedelta(hours=3))
    assert night
    return timeline(night)


@given(
    st.lists(
        st.tuples(st.floats(0, 5000), st.floats(0, 3000), st.sampled_from(["success", "error", "running"])),
        min_size=1,
        max_size=120,
    )
)
def test_every_bar_is_inside_the_picture(facts: list[tuple[float, float, str]]) -> None:
    runs = [
        night_run(number, start, None if status == "running" else seconds, status)
        for number, (start, seconds, status) in enumerate(facts)
    ]
    picture = drawn(runs)
    for box in picture.boxes:
        assert box.x >= 0
        assert box.x + box.width <= WIDTH + 0.01
        assert box.y + box.height <= picture.height
        assert box.title
        if box.usual is not None:
            # Never over another run's bar of the same lane.
            assert box.x <= box.usual <= WIDTH
            assert not any(
                box.usual > other.x > box.x
                for other in picture.boxes
                if other.y == box.y and other.kind != "error"
            )
    assert len(picture.boxes) == len(runs)


def test_ten_thousand_runs_are_a_picture_of_some_hundred_bars_with_all_failures() -> None:
    runs = [
        night_run(number, number // 8 * 2.0, 1.99, "error" if number % 500 == 3 else "success")
        for number in range(10_000)
    ]
    picture = drawn(runs)
    assert picture.together == 10_000 - MOST_BARS
    assert len(picture.boxes) < 3 * MOST_BARS
    assert sum(box.kind == "error" for box in picture.boxes) == 20
    counted = [int(box.title.split(" ")[0]) for box in picture.boxes if box.title.split(" ")[1] == "runs,"]
    single = sum(box.kind == "many" and " runs," not in box.title for box in picture.boxes)
    assert sum(counted) + single == picture.together
    assert len(picture.load) < 10_000


def test_a_bar_says_whose_it_is_and_what_is_usual() -> None:
    picture = drawn([night_run(1, 30, 600), night_run(2, 0, 60, "error")])
    failed, good = sorted(picture.boxes, key=lambda box: box.x)
    assert (good.kind, good.label, failed.kind) == ("success", "table_1", "error")
    assert good.title == (
        "table_1 (ua): success, took 10 min 00 s, usually 5 s; began 02:00:30 UTC, 30 s in the queue"
    )
    assert (picture.load_top, [tick.label for tick in picture.ticks][:2]) == (2, ["0", "2 min"])


def marks(runs: list[NightRun], usual: dict[str, int | None]) -> dict[str, float]:
    night = night_of(runs, usual, TICK + timedelta(hours=3))
    assert night
    picture = timeline(night)
    found = {box.title.split(" ")[0]: box.usual for box in picture.boxes if box.usual is not None}
    assert picture.marked == bool(found)
    return found


def test_a_mark_shows_where_a_run_usually_ends() -> None:
    at = Scale(0, 1000, WIDTH).at
    slow, quick, failed, unknown = (
        night_run(1, 0, 1000), night_run(2, 0, 100), night_run(3, 0, 100, "error"), night_run(4, 0, 100)
    )  # fmt: skip
    usual = {"table_1": 200, "table_2": 500, "table_3": 500, "table_4": None}
    assert marks([slow, quick, failed, unknown], usual) == {"table_1": at(200), "table_2": at(500)}


def test_no_mark_is_where_it_says_nothing_or_another_run_is() -> None:
    follows_in_its_lane = [night_run(1, 0, 300), night_run(2, 310, 690)]
    assert marks(follows_in_its_lane, {"table_1": 500}) == {}
    assert marks(follows_in_its_lane, {"table_1": 305}) == {"table_1": Scale(0, 1000, WIDTH).at(305)}
    assert marks([night_run(1, 0, 0.2)], {"table_1": 1}) == {}


def test_lanes_beyond_what_a_picture_can_show_are_counted() -> None:
    picture = drawn([night_run(number, 0, 100) for number in range(400)])
    assert picture.left_out == 250
    assert len(picture.boxes) == 150
