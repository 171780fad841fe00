"""Seedings, one after the other, by the index on run_id alone."""

import itertools
import json
import re
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.contract import Platform, as_it_is, new_run, platform_on
from support.emptied import fresh_database

from benchmarks.record import fill
from seeder.history import Figures
from seeder.history.nights import COUNTS, RUNS, SEEDING_IDS, Nights

#: Collations a database may have; the last one passes over punctuation.
COLLATIONS = {
    "C": ("locale 'C' encoding 'UTF8'", "postgres_url"),
    "shifted": (
        "locale_provider icu icu_locale 'en-u-ka-shifted' locale 'C' encoding 'UTF8'",
        "postgres15_url",
    ),
}


def record(platform: Platform, seeding_id: str, count: int = 2) -> None:
    platform.history.queue(
        [new_run(f"{seeding_id}.custom-{n}", f"t{n}", manifest_id=n) for n in range(1, count + 1)]
    )


@pytest.fixture
def nights(platform: Platform) -> Nights:
    return Nights(platform.databases, "reporting")


def test_seedings_come_latest_first_and_page_by_page(platform: Platform, nights: Nights) -> None:
    ids = [f"202611{day:02}T0200Z" for day in range(1, 12)]
    for one in ids:
        record(platform, one)
        for n in (1, 2):
            platform.history.succeed(as_it_is(platform.history, f"{one}.custom-{n}"), Figures(1, 1))
    assert nights.seeding_ids() == ids[::-1]
    seen: list[str] = []
    while page := nights.seeding_ids(seen[-1] if seen else None, 4):
        seen += page
        assert len(page) <= 4
    assert seen == ids[::-1]


def test_the_runs_of_a_seeding_are_counted_and_listed(platform: Platform, nights: Nights) -> None:
    record(platform, "20261124T0200Z", 3)
    platform.history.queue([new_run("20261124T020000Z-k3f9.custom-9", "t9", manifest_id=9)])
    platform.history.start("20261124T0200Z.custom-1", "t1")
    platform.history.succeed(as_it_is(platform.history, "20261124T0200Z.custom-1"), Figures(12, 1))
    platform.history.start("20261124T0200Z.custom-2", "t2")
    platform.history.fail(
        as_it_is(platform.history, "20261124T0200Z.custom-2"), "22012: division by zero\nContext: line 2"
    )
    counts = nights.counts(["20261124T0200Z", "20261124T020000Z-k3f9"])
    assert [(one.runs, one.pending, one.success, one.error) for one in counts.values()] == [
        (3, 1, 1, 1), (1, 1, 0, 0),
    ]  # fmt: skip
    platform.history.cancel(as_it_is(platform.history, "20261124T020000Z-k3f9.custom-9"), "anna.")
    (cancelled,) = nights.counts(["20261124T020000Z-k3f9"]).values()
    assert (cancelled.error, cancelled.cancelled, cancelled.ended, cancelled.runs) == (0, 1, 1, 1)
    runs = {run.run_id[-1]: run for run in nights.runs("20261124T0200Z")}
    assert set(runs) == {"1", "2", "3"}
    assert (runs["1"].records, runs["1"].status, runs["1"].error) == (12, "success", None)
    assert (runs["2"].error, runs["2"].finish_time is None) == ("22012: division by zero", False)
    assert runs["1"].created_at <= runs["1"].start_time
    assert runs["3"].finish_time is None


def test_there_are_no_seedings_without_a_history(nights: Nights) -> None:
    assert nights.seeding_ids() == []
    assert nights.counts([]) == {}
    assert nights.runs("20261124T0200Z") == []


# --- whatever a run_id is, and whatever order the database has ---------------------------------------------


@pytest.fixture(scope="module", params=COLLATIONS)
def elsewhere(request: pytest.FixtureRequest) -> Iterator[Platform]:
    """A database with that order of texts; Debian's PostgreSQL has ICU."""
    options, server = COLLATIONS[request.param]
    with fresh_database(request.getfixturevalue(server), options) as url, platform_on(url) as platform:
        yield platform


IDS = st.sets(
    st.sampled_from(
        [
            *(f"202611{day}T0{hour}00Z" for day in (23, 24) for hour in (2, 3)),
            *(f"20261124T0{hour}000{s}Z-{end}" for hour in (2, 3) for s in (0, 7) for end in ("a1", "zz99")),
            "by hand", "20261124", "x-y", "", ".", "20261124T0200Z-x",
        ]
    ),
    max_size=14,
)  # fmt: skip


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ids=IDS, kinds=st.sets(st.sampled_from(["custom-1", "custom-10", "canned-2", "a-1"]), min_size=1))
def test_each_seeding_is_listed_once_in_any_collation(
    elsewhere: Platform, ids: set[str], kinds: set[str]
) -> None:
    numbers = itertools.count()
    runs = [new_run(f"{one}.{kind}", f"t{next(numbers)}") for one in ids for kind in sorted(kinds)]
    elsewhere.history.queue(runs)
    try:
        found = Nights(elsewhere.databases, "reporting").seeding_ids(most=100)
        # A foreign id with a dot in it ends at the dot.
        assert sorted(found) == sorted({run.run_id.split(".")[0] for run in runs})
    finally:
        elsewhere.empty()


# --- over a long history -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def filled(postgres_url: str) -> Iterator[Platform]:
    with fresh_database(postgres_url) as url, platform_on(url) as platform:
        fill(url, jobs=200, nights=300)
        yield platform


@pytest.mark.parametrize(
    ("statement", "values"),
    [
        (SEEDING_IDS, {"before": None, "most": 50}),
        (SEEDING_IDS, {"before": "20261101T0200Z", "most": 50}),
        (COUNTS, {"seeding_ids": ["20261101T0200Z", "20261102T0200Z"]}),
        (RUNS, {"seeding_id": "20261101T0200Z"}),
    ],
)
def test_no_question_about_nights_passes_over_the_history(
    filled: Platform, statement: str, values: dict
) -> None:
    sql = Nights(filled.databases, "reporting").sql(statement)
    with filled.databases.session() as session:
        plan = json.dumps(session.row(f"explain (format json) {sql}", **values)[0])
    assert '"Index Name": "seeder_run_history_run_id_idx"' in plan
    assert not re.search(r'"Node Type": "(Parallel )?(Seq Scan|Index Only Scan)"[^{}]*"Filter"', plan), plan
    assert not re.search(
        r'"Node Type": "(?:Parallel )?Seq Scan"[^{}]*"Relation Name": "seeder_run_history"', plan
    )


def test_the_list_of_nights_reads_a_few_pages_for_each(filled: Platform) -> None:
    sql = Nights(filled.databases, "reporting").sql(SEEDING_IDS)
    with filled.databases.session() as session:
        told = session.row(f"explain (analyze, buffers, format json) {sql}", before=None, most=50)[0][0]
    plan = told["Plan"]
    assert plan["Actual Rows"] == 50
    # A step is a walk down the index, not over a night's 200 runs.
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 50 * 12
