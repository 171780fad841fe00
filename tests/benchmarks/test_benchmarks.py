"""The benchmark itself, with a handful of views: does it measure what it says, and leave nothing behind?"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.real import REPORTS
from seeder.sql.guard import check
from seeder.sql.placeholders import render_query

ROOT = Path(__file__).parents[2]
VALUES = {"agency_id": 7, "agency_slug": "germany", "manifest_id": 1}


def ran(home: Path, words: str) -> subprocess.CompletedProcess[str]:
    """``python -m benchmarks`` with these words, its temporary folders below ``home``."""
    home.mkdir(0o711)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *words.split()],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(home), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.slow
def test_both_workloads_are_measured_and_nothing_is_left(home: Path) -> None:
    before = set(ROOT.rglob("*"))
    done = ran(home, "--views 5 --repetitions 1 --concurrency 2 --scale-factor 0.01 --json")

    measured = json.loads(done.stdout)
    assert [one["workload"] for one in measured["workloads"]] == ["tiny", "real"]
    for one in measured["workloads"]:
        assert one["views"] == 5
        assert len(one["bare"]) == 1
        for pool, legs in one["pools"].items():
            assert [leg["seconds"] > leg["fan_out_seconds"] > 0 for leg in legs] == [True]
            assert one["ratios"][pool] == [one["bare"][0]["seconds"] / legs[0]["seconds"]]
            assert legs[0]["cpu_seconds"].keys() == {"worker", "postgres", "redis"}
        # The bare loop is known to take exactly one of each, which shows that the counting counts.
        assert one["counted_bare"] == {"round_trips": 1.0, "waiting_commits": 1.0}
        assert one["counted_seeder"]["round_trips"] > 1.0
        assert one["counted_seeder"]["waiting_commits"] >= 2.0
    assert list(measured["workloads"][0]["pools"]) == ["threads", "prefork"]
    assert list(measured["workloads"][1]["pools"]) == ["threads"]
    tiny, real = measured["workloads"]
    assert [leg["seconds"] > 0 and leg["cpu_seconds"]["postgres"] >= 0 for leg in tiny["alone"]] == [True]
    assert real["alone"] == []

    # The fixture looks for processes.
    assert list(home.iterdir()) == []
    # Bytecode is of tests that run beside this one.
    new = {
        path
        for path in ROOT.rglob("*")
        if path not in before and not {".git", "__pycache__"} & set(path.parts)
    }
    # Measuring coverage leaves its data beside the code.
    assert {path for path in new if not path.name.startswith(".coverage")} == set()


@pytest.mark.slow
def test_waits_of_readers_are_measured_in_each_mode_and_nothing_is_left(home: Path) -> None:
    done = ran(home, "readers --rows 2000 --repetitions 2 --json")
    measured = json.loads(done.stdout)["readers"]
    assert [one["mode"] for one in measured] == ["plain", "concurrently", "swap"]
    for one in measured:
        assert [len(one["refreshes"]), len(one["longest"])] == [2, 2]
        assert max(one["longest"]) == max(one["reads"])
        assert min(one["reads"]) > 0
    assert "longest wait of a reader" in done.stderr
    assert list(home.iterdir()) == []


@pytest.mark.slow
def test_the_price_of_knowing_is_measured_for_each_size_and_nothing_is_left(home: Path) -> None:
    done = ran(home, "costs --rows 2000 --repetitions 2 --json")
    measured = json.loads(done.stdout)
    assert [one["rows"] for one in measured["costs"]] == [100, 2000]
    for one in measured["costs"]:
        assert min(one["counted"], one["carried"], one["analyzed"]) > 0
    assert isinstance(measured["report_ms"], float)
    assert "carried over" in done.stderr
    assert list(home.iterdir()) == []


@pytest.mark.slow
def test_a_night_is_measured_from_start_to_end_and_nothing_is_left(home: Path) -> None:
    done = ran(home, "load --views 30 --concurrency 2 --json")
    nights = json.loads(done.stdout)["load"]
    assert [(one["what"], one["runs"]) for one in nights] == [
        ("create", 30), ("refresh", 30), ("refresh again", 30),
    ]  # fmt: skip
    for one in nights:
        assert one["seconds"] > one["fan_out_seconds"] > 0
        assert len(one["samples"]) >= 2
        # Two workers, each with at least its interpreter.
        assert min(sample["worker_mib"] for sample in one["samples"]) > 20
        assert min(sample["redis_mib"] for sample in one["samples"]) > 0
    # Two threads in each of two workers, and what each worker's upkeep holds beside them.
    assert 2 <= nights[-1]["samples"][-1]["connections"] <= 8
    assert "half-way" in done.stderr
    assert list(home.iterdir()) == []


@pytest.mark.slow
def test_what_viewers_cost_is_measured_in_pairs_and_nothing_is_left(home: Path) -> None:
    done = ran(home, "viewers --views 30 --viewers 5 --repetitions 2 --concurrency 2 --json")
    measured = json.loads(done.stdout)["viewers"]
    assert measured["ratios"] == [
        alone / watched for alone, watched in zip(measured["alone"], measured["watched"], strict=True)
    ]
    assert len(measured["ratios"]) == 2
    assert min(measured["pages"]) > 0
    assert "watched by 5" in done.stderr
    assert list(home.iterdir()) == []


@pytest.mark.slow
def test_a_night_is_held_against_what_it_must_take_and_nothing_is_left(home: Path) -> None:
    done = ran(home, "makespan --views 12 --repetitions 2 --concurrency 2 --json")
    nights = json.loads(done.stdout)["makespan"]
    assert len(nights) == 2
    for one in nights:
        assert one["seconds"] > max(one["longest_chain"], one["shared_out"]) > 1
        assert one["ratio"] == one["seconds"] / max(one["longest_chain"], one["shared_out"])
    assert "of what it must" in done.stderr
    assert list(home.iterdir()) == []


@pytest.mark.slow
def test_the_choice_of_a_mode_is_held_against_the_better_one_and_nothing_is_left(home: Path) -> None:
    done = ran(home, "modes --rows 2000 --repetitions 1 --json")
    measured = json.loads(done.stdout)["modes"]
    assert [one["share"] for one in measured] == [1, 50, 600]
    for one in measured:
        assert [len(its) for its in one["seconds"].values()] == [6, 6, 6]
        last = {mode: its[-1] for mode, its in one["seconds"].items()}
        assert one["ratios"] == [last["auto-swap"] / min(last["concurrently"], last["swap"])]
    assert "over the better one" in done.stderr
    assert list(home.iterdir()) == []


@pytest.mark.slow
def test_a_fan_out_is_measured_with_its_graph_and_without_and_nothing_is_left(home: Path) -> None:
    done = ran(home, "fanout --views 60 --repetitions 2 --json")
    found = json.loads(done.stdout)["fanout"]
    assert [one["with_graph"] for one in found] == [True, False, True, False]
    assert all(0 < one["first"] <= one["last"] + 0.02 for one in found)
    assert "without reading the graph" in done.stderr
    assert list(home.iterdir()) == []


@pytest.mark.slow
def test_a_night_in_which_little_changed_is_held_against_a_full_one_and_nothing_is_left(home: Path) -> None:
    done = ran(home, "unchanged --views 40 --repetitions 1 --concurrency 2 --json")
    (night,) = json.loads(done.stdout)["unchanged"]
    assert night["ratio"] == night["quiet"] / night["full"]
    assert 0 < night["quiet"] < night["full"]
    assert night["decided"] > 0
    assert "of a full one" in done.stderr
    assert list(home.iterdir()) == []


def test_there_are_at_least_twenty_reports_and_each_passes_the_guard() -> None:
    reports = sorted(REPORTS.glob("*.sql"))
    assert len(reports) >= 20
    for report in reports:
        text = report.read_text()
        assert text.startswith("-- "), report.name
        rendered = check(render_query(text, VALUES))
        assert rendered.text != text, f"{report.name} names no agency"


def test_a_wrong_option_is_told_in_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--views", "0"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "--views" in done.stderr
    assert "Traceback" not in done.stderr
