"""What was begun too early, or skipped wrongly, is found: each is planted once."""

import random
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from chaos import auditing, nights
from chaos.place import Place, connect, place
from chaos.reports import Report, reports, sources
from chaos.sources import Writer
from seeder.seedings.graph import Graph

QUIET = Report(1, source="public.source_0", quiet=True)
READER = Report(2, "-- seeder: unique=(id)\n", "reporting.report_1", quiet=True, reads=(1,))
LOUD = Report(3, source="reporting.report_1", reads=(1,))
REPORTS = [QUIET, READER, LOUD]

SEEDING = "20261125T0000Z"
NOTE = "Unchanged since 2026-11-24 00:00:00 UTC: none of its 1 sources was written to."

RECORD = """
insert into reporting.seeder_run_history
    (run_id, manifest_id, table_name, report_name, agency_id, agency_slug, report_type, status)
values (%s, 1, %s, 'A report', 1, 'agency', 'custom', 'pending')
"""
MOVE = "update reporting.seeder_run_history set status = %s, note = %s, errors = %s where run_id = %s"
LAST_HELD = (
    "select digest from public.held where name = %s order by pg_xact_commit_timestamp(xmin) desc limit 1"
)
HOW_OFTEN = "select count(*) from public.held where name = %s"


@pytest.fixture(scope="module")
def whole_place() -> Iterator[Place]:
    with place() as made:
        made.put_in(REPORTS)
        yield made


@pytest.fixture
def here(whole_place: Place) -> Iterator[Place]:
    """The matviews hold what their sources do."""
    for report in (QUIET, READER):
        whole_place.sql(f"create materialized view {report.matview} as {report.query(0)}")
    whole_place.sql(f"create unique index on {READER.matview} (id)")
    yield whole_place
    whole_place.sql("drop materialized view reporting.report_1 cascade")
    whole_place.sql("truncate reporting.seeder_run_history, public.events")


def record(here: Place, number: int, seeding_id: str = SEEDING) -> str:
    run_id = f"{seeding_id}.custom-{number}"
    here.sql(RECORD, run_id, f"report_{number}")
    return run_id


def move(here: Place, run_id: str, *statuses: str, note: str | None = None) -> None:
    for status in statuses:
        here.sql(MOVE, status, note, "42: wrong" if status == "error" else None, run_id)


def skip(here: Place, number: int, seconds: int = 0) -> str:
    """A run that is told as unchanged so many seconds from now."""
    run_id = record(here, number)
    move(here, run_id, "running", "success", note=NOTE)
    here.sql("update public.events set at = at + make_interval(secs => %s)", seconds)
    return run_id


def order(here: Place) -> list[str | None]:
    return [one.run_id for one in nights.nobody_went_before_what_they_read(here, REPORTS)]


def stale(here: Place) -> list[str | None]:
    return [one.run_id for one in nights.what_was_unchanged_was_right(here, REPORTS)]


def test_who_begins_after_what_they_read_has_succeeded_keeps_the_order(here: Place) -> None:
    source, reader = record(here, 1), record(here, 2)
    move(here, source, "running", "pending", "running", "success")
    move(here, reader, "running", "success")
    assert order(here) == []


def test_who_begins_before_is_found_whether_or_not_what_they_read_ends(here: Place) -> None:
    source, reader = record(here, 1), record(here, 3)
    move(here, source, "running")
    move(here, reader, "running", "success")
    assert order(here) == [reader]
    move(here, source, "success")
    assert order(here) == [reader]


def test_who_is_run_although_what_they_read_has_failed_is_found(here: Place) -> None:
    source, reader = record(here, 1), record(here, 2)
    move(here, source, "running", "error")
    move(here, reader, "error")
    assert order(here) == []
    move(here, reader, "running", "success")
    assert order(here) == [reader]


def test_other_seedings_and_what_was_recorded_later_need_not_be_waited_for(here: Place) -> None:
    record(here, 1, "20261124T0000Z")
    reader = record(here, 2)
    move(here, reader, "running", "success")
    record(here, 1)
    assert order(here) == []


def test_what_was_written_to_more_than_a_minute_before_is_not_unchanged(here: Place) -> None:
    run_id = skip(here, 1, seconds=70)
    assert stale(here) == []
    here.sql(
        "update public.source_0 set value = value + 1; select public.note('source_0', 'public.source_0')"
    )
    assert stale(here) == [run_id]
    here.sql("refresh materialized view reporting.report_1")
    assert stale(here) == []


def test_what_was_written_to_within_the_minute_may_be_told_as_unchanged(here: Place) -> None:
    here.sql(
        "update public.source_0 set value = value + 1; select public.note('source_0', 'public.source_0')"
    )
    skip(here, 1, seconds=50)
    assert stale(here) == []


def test_a_reader_is_held_against_what_it_reads(here: Place) -> None:
    run_id = skip(here, 2, seconds=70)
    here.sql(
        "update public.source_0 set value = value + 1; select public.note('source_0', 'public.source_0')"
    )
    assert stale(here) == []
    here.sql("refresh materialized view reporting.report_1")
    assert stale(here) == [run_id]
    here.sql("refresh materialized view concurrently reporting.report_2")
    assert stale(here) == []


def test_what_calls_a_function_that_nobody_knows_is_never_unchanged(here: Place) -> None:
    assert stale(here) == []
    run_id = skip(here, 3)
    assert stale(here) == [run_id]


def test_what_is_built_beside_it_counts_from_the_exchange_on_and_not_if_that_is_rolled_back(
    here: Place,
) -> None:
    before = here.value(HOW_OFTEN, "report_1")
    here.sql(f'create materialized view reporting."seeder:copy:01" as {QUIET.query(1)}')
    assert here.value(HOW_OFTEN, "report_1") == before
    exchange = (
        'alter materialized view reporting.report_1 rename to "seeder:old:01";'
        ' alter materialized view reporting."seeder:copy:01" rename to report_1;'
    )
    here.sql(f"begin; {exchange} rollback")
    assert here.value(HOW_OFTEN, "report_1") == before
    here.sql(f"begin; {exchange} commit")
    assert here.value(HOW_OFTEN, "report_1") == before + 1
    here.sql('drop materialized view reporting."seeder:old:01" cascade')


def test_what_rested_and_was_done_all_the_same_is_found(here: Place) -> None:
    skipped = record(here, 1)
    move(here, skipped, "running", "success", note=NOTE)
    assert list(nights.what_rested_was_skipped(here, REPORTS, SEEDING)) == []
    move(here, skipped, "success", note="Refreshed: source_0 was written to: 3 rows.")
    (found,) = nights.what_rested_was_skipped(here, REPORTS, SEEDING)
    assert found.run_id == skipped
    move(here, skipped, "success")
    assert len(list(nights.what_rested_was_skipped(here, REPORTS, SEEDING))) == 1


def test_each_write_leaves_its_digest_and_one_that_is_rolled_back_does_not(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chaos.sources.OPEN", (0.0, 0.0))
    monkeypatch.setattr("chaos.sources.PAUSE", 0.0)
    writer = Writer(lambda: connect(here.postgres.url), ["source_0"], seed=1)
    committed = set()
    for _ in range(60):
        with closing(connect(here.postgres.url)) as session:
            committed.add(writer.once(session, "source_0"))
        held = here.value(LAST_HELD, "source_0")
        here.sql("select public.note('as it is', 'public.source_0')")
        assert held == here.value(LAST_HELD, "as it is")
    assert committed == {True, False}


def test_each_twenty_reports_have_chains_that_are_in_no_circle() -> None:
    made = reports(300, 60)
    graph = Graph({str(one.number): frozenset(map(str, one.reads)) for one in made if one.reads})
    levels = graph.levels(str(one.number) for one in made)
    assert len(levels) == 300
    assert max(levels.values()) == 2
    assert len(sources(made)) == 15
    known = {one.number for one in made}
    chosen = random.Random(1).sample([one for one in made if one.reads], 20)
    assert all(source in known for one in chosen for source in one.reads)


def test_a_run_that_was_not_done_counts_as_no_failure_and_is_right_where_it_must_be_so(here: Place) -> None:
    words = "Not run: report_1 (agency ua), which it reads, ended in an error"
    run_id = record(here, 2)
    here.sql(MOVE, "error", None, words, run_id)
    made = [QUIET, replace(READER, fails=True, not_run=True), LOUD]
    assert list(auditing.failures_are_counted(here)) == []
    assert list(auditing.calm_seedings_succeeded(here, made, [SEEDING])) == []
    (found,) = auditing.calm_seedings_succeeded(here, REPORTS, [SEEDING])
    assert found.what == f"{run_id} of report_2 is error: {words}"
    here.sql("update reporting.seeder_run_history set consecutive_failures = 1")
    assert [one.run_id for one in auditing.failures_are_counted(here)] == [run_id]
    # Nor is a failure of its own what is asked for there.
    here.sql("update reporting.seeder_run_history set errors = '42P01: no such relation'")
    (found,) = auditing.calm_seedings_succeeded(here, made, [SEEDING])
    assert found.run_id == run_id
