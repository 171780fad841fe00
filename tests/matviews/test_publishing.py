"""Checks before publishing: bad data never replaces good data, and nobody waits while it is found out."""

import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
import structlog
from hypothesis import example, given
from hypothesis import strategies as st
from support.workbench import Bench

from seeder.config.settings import OnQueryChange
from seeder.errors import DirectiveUnfit, QueryFailed, Rejected
from seeder.manifests import Manifest
from seeder.matviews import checks
from seeder.matviews.checks import percentage
from seeder.matviews.result import Outcome
from seeder.sql.directives import RefreshMode, read_expectations

QUERY = "select id, agency_id, amount, current_date - id as sold_on from sale"


@given(st.integers(0, 10**9), st.integers(1, 10**9), st.decimals(0, 1000, places=3, allow_nan=False))
@example(52001, 104001, Decimal(50))
@example(1, 3, Decimal("33.33333333333333333333333333333333333333"))
@example(1, 2, Decimal(50))
@example(9999, 1, Decimal(50))
def test_the_figure_found_is_on_the_same_side_of_the_one_wanted_as_what_it_stands_for(
    part: int, whole: int, wanted: Decimal
) -> None:
    shown = percentage(part, whole, wanted)
    exact = Fraction(part * 100, whole)
    assert re.fullmatch(r"\d+(\.\d+)?", shown)
    assert (Fraction(shown) > Fraction(wanted)) == (exact > Fraction(wanted))
    assert (Fraction(shown) < Fraction(wanted)) == (exact < Fraction(wanted))
    assert abs(Fraction(shown) - exact) <= exact / 1000


def test_a_figure_has_no_more_digits_than_it_needs() -> None:
    assert percentage(52001, 104001, Decimal(50)) == "50.0005"
    assert percentage(1, 3, Decimal(10)) == "33.33"
    assert percentage(60, 100, Decimal(30)) == "60"


def expecting(bench: Bench, expect: str, more: str = "unique=(id)", query: str = QUERY) -> Manifest:
    return bench.manifest(f"-- seeder: {more} expect=({expect})\n{query}")


def rejected(bench: Bench, manifest: Manifest, **settings: Any) -> str:
    """What the run's record would say, up to the advice."""
    with pytest.raises(Rejected) as error:
        bench.refresh(manifest, bench.policy(**settings))
    return str(error.value).partition(". Mend")[0]


@pytest.mark.parametrize(
    ("expect", "change", "found"),
    [
        ("rows > 0", "delete from sale", "wanted rows > 0, found 0"),
        ("rows >= 100", "delete from sale where id = 7", "wanted rows >= 100, found 99"),
        ("rows < 101", "insert into sale values (101, 7, 1)", "wanted rows < 101, found 101"),
        ("rows <= 100", "insert into sale values (101, 7, 1)", "wanted rows <= 100, found 101"),
        ("rows = 100", "delete from sale where id = 7", "wanted rows = 100, found 99"),
        (
            "rows_change < 10%",
            "delete from sale where id <= 10",
            "wanted rows_change < 10%, found 10% (100 rows before, 90 now)",
        ),
        (
            "rows_change <= 0.5%",
            "insert into sale values (101, 7, 1)",
            "wanted rows_change <= 0.5%, found 1% (100 rows before, 101 now)",
        ),
        (
            "not_null(amount)",
            "update sale set amount = null where id < 4",
            "wanted not_null(amount), found 3 NULLs in amount (of 100 rows)",
        ),
        (
            "not_null(id, agency_id, amount)",
            "update sale set amount = null where id < 4; update sale set agency_id = null where id = 9",
            (
                "wanted not_null(id, agency_id, amount), found 1 NULL in agency_id, 3 NULLs in amount "
                "(of 100 rows)"
            ),
        ),
        (
            "fresh(sold_on, 2 days)",
            "delete from sale where id < 4",
            "wanted fresh(sold_on, 2 days), found {day} as the latest",
        ),
        ("fresh(sold_on, 49 h)", "delete from sale", "wanted fresh(sold_on, 49 h), found no value at all"),
    ],
)
@pytest.mark.parametrize("mode", [RefreshMode.CONCURRENTLY, RefreshMode.PLAIN, RefreshMode.SWAP])
def test_rows_that_arent_as_expected_never_replace_the_old_ones(
    bench: Bench, mode: RefreshMode, expect: str, change: str, found: str
) -> None:
    manifest = expecting(bench, expect)
    assert bench.refresh(manifest).outcome is Outcome.CREATED
    assert bench.refresh(manifest, bench.policy(refresh_mode=mode)).figures.records == 100
    before, good = (
        bench.rewritten(),
        "select md5(string_agg(s::text, ',' order by id)) from reporting.sales s",
    )
    rows = bench.value(good)
    bench.sql(change)
    told = found.format(day=bench.value("select cast(current_date - 4 as text)"))
    assert rejected(bench, manifest, refresh_mode=mode) == f"Rejected, old data kept: {told}"
    assert (bench.value(good), bench.rewritten()) == (rows, before)
    bench.sql("truncate sale; insert into sale select n, 7, n from generate_series(1, 100) as n")
    assert bench.refresh(manifest, bench.policy(refresh_mode=mode)).figures.records == 100


def test_every_figure_that_failed_is_told_and_no_other(bench: Bench) -> None:
    manifest = expecting(bench, "rows > 50, not_null(id), not_null(amount), rows_change < 30%")
    bench.refresh(manifest)
    bench.sql("delete from sale where id <= 60; update sale set amount = null where id = 77")
    assert rejected(bench, manifest) == (
        "Rejected, old data kept: wanted rows > 50, found 40; "
        "wanted not_null(amount), found 1 NULL in amount (of 40 rows); "
        "wanted rows_change < 30%, found 60% (100 rows before, 40 now)"
    )


def test_a_first_creation_is_checked_and_leaves_nothing(bench: Bench) -> None:
    manifest = expecting(bench, "rows > 100, rows_change < 1%", more="unique=(id) index=(amount)")
    assert rejected(bench, manifest) == "Rejected, nothing created: wanted rows > 100, found 100"
    assert bench.relations() == set()
    bench.sql("insert into sale values (101, 7, 1)")
    assert bench.refresh(manifest).outcome is Outcome.CREATED


def test_an_unpopulated_matview_has_no_rows_to_compare_with(bench: Bench) -> None:
    manifest = expecting(bench, "rows_change < 1%, rows > 0", more="mode=auto")
    bench.refresh(manifest)
    bench.sql("refresh materialized view reporting.sales with no data")
    assert bench.refresh(manifest).figures.records == 100


def test_from_no_rows_to_some_there_is_no_percentage(bench: Bench) -> None:
    bench.sql("delete from sale")
    manifest = expecting(bench, "rows_change < 1%")
    bench.refresh(manifest)
    bench.sql("insert into sale values (1, 7, 1)")
    assert bench.refresh(manifest).figures.records == 1


@pytest.mark.parametrize("kind", ["timestamp", "timestamptz", "date"])
def test_freshness_is_known_of_dates_and_timestamps(bench: Bench, kind: str) -> None:
    query = f"select id, cast(now() - id * interval '1 day' as {kind}) as at from sale"
    bench.refresh(expecting(bench, "fresh(at, 49 h)", query=query))
    bench.sql("delete from sale where id < 4")
    assert "as the latest" in rejected(bench, expecting(bench, "fresh(at, 49 h)", query=query))


def test_odd_column_names_are_quoted(bench: Bench) -> None:
    query = 'select amount as "50% ""off""", now() as "%(oid)s" from sale'
    manifest = expecting(bench, 'not_null("50% ""off"""), fresh("%(oid)s", 1 day)', "mode=auto", query)
    bench.refresh(manifest)
    bench.sql("update sale set amount = null where id = 1")
    assert rejected(bench, manifest).endswith('found 1 NULL in 50% "off" (of 100 rows)')


# --- the setting for all -----------------------------------------------------------------------------------


def test_the_setting_holds_for_all_and_a_manifests_own_of_the_kind_instead(bench: Bench) -> None:
    general = {"expect": "rows > 100, not_null(amount)"}
    assert "wanted rows > 100, found 100" in rejected(bench, bench.manifest(QUERY), **general)
    own = expecting(bench, "rows > 10")
    bench.refresh(own, bench.policy(**general))
    bench.sql("update sale set amount = null where id = 1")
    assert rejected(bench, own, **general).endswith("found 1 NULL in amount (of 100 rows)")


def test_an_expectation_that_doesnt_fit_is_named_at_creation_and_later(bench: Bench) -> None:
    with pytest.raises(DirectiveUnfit, match=r"not_null\(colour\) doesn't fit .* it has no column colour"):
        bench.refresh(expecting(bench, "not_null(colour)"))
    with pytest.raises(DirectiveUnfit, match="amount is of type numeric, neither a date nor a timestamp"):
        bench.refresh(expecting(bench, "fresh(amount, 1 day)"))
    bench.refresh()
    for expect in ("not_null(colour)", "fresh(amount, 1 day)"):
        for manifest, policy in (
            (bench.manifest(), bench.policy(expect=expect)),
            (expecting(bench, expect, query="select * from sale"), bench.policy()),
        ):
            with pytest.raises(DirectiveUnfit, match="doesn't fit the query"):
                bench.refresh(manifest, policy)
    assert bench.value("select count(*) from reporting.sales") == 100


def test_all_that_do_not_fit_are_named_at_once(bench: Bench) -> None:
    manifest = expecting(bench, "fresh(amount, 1 day), rows > 0, not_null(id, nope)")
    with pytest.raises(DirectiveUnfit) as error:
        bench.refresh(manifest)
    assert "directive fresh(amount, 1 day) doesn't fit the query: amount is of type numeric, " in str(
        error.value
    )
    assert "; nor does not_null(id, nope): it has no column nope; its columns are " in str(error.value)


def test_a_kept_matview_that_lacks_a_column_is_said_to(bench: Bench) -> None:
    bench.refresh(bench.manifest("select id from sale"))
    keep = bench.policy(on_query_change=OnQueryChange.KEEP)
    with pytest.raises(DirectiveUnfit) as error:
        bench.refresh(expecting(bench, "not_null(amount)"), keep)
    assert (
        "The directive not_null(amount) doesn't fit sales, which keeps its old definition "
        "(SEEDER_ON_QUERY_CHANGE=keep): it has no column amount; its columns are id. "
    ) in str(error.value)
    # The indexes that belong to the new SQL aren't looked at.
    assert "keeps its old" in str(bench.refresh(expecting(bench, "rows > 0", "index=(amount)"), keep).note)


def test_a_query_that_fails_says_so_whatever_is_expected(bench: Bench) -> None:
    manifest = expecting(bench, "rows > 0", query="select id, 100 / amount as share from sale")
    bench.refresh(manifest)
    bench.sql("update sale set amount = 0 where id = 50")
    with pytest.raises(QueryFailed, match=r"^22012: division by zero"):
        bench.refresh(manifest)


# --- what others see and what stays ------------------------------------------------------------------------


@contextmanager
def pausing(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, threading.Event]]:
    """The checks wait between the refresh and the verdict: events for 'is there' and 'go on'."""
    there, go_on = threading.Event(), threading.Event()
    judge = checks.failures

    def paused(*arguments: Any) -> Any:
        there.set()
        assert go_on.wait(60)
        return judge(*arguments)

    monkeypatch.setattr(checks, "failures", paused)
    try:
        yield there, go_on
    finally:
        go_on.set()


@pytest.mark.parametrize("emptied", [True, False], ids=["rejected", "accepted"])
def test_a_reader_never_waits_and_sees_the_old_rows_until_the_verdict(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, emptied: bool
) -> None:
    manifest = expecting(bench, "rows > 0")
    bench.refresh(manifest)
    bench.sql("delete from sale" + ("" if emptied else " where id > 50"))
    count = "set lock_timeout = '1ms'; select count(*) from reporting.sales"
    with ThreadPoolExecutor(1) as worker, pausing(monkeypatch) as (there, go_on):
        run = worker.submit(bench.refresh, manifest)
        assert there.wait(60)
        assert bench.value(count) == 100
        go_on.set()
        if emptied:
            with pytest.raises(Rejected):
                run.result(60)
        else:
            assert run.result(60).figures.records == 50
        assert bench.value(count) == (100 if emptied else 50)


@pytest.mark.parametrize(
    ("mode", "note"),
    [
        (RefreshMode.AUTO, None),
        (RefreshMode.CONCURRENTLY, "Swapped, not concurrently: it has no usable unique index."),
        (RefreshMode.AUTO_SWAP, None),
    ],
)
def test_without_a_key_they_are_swapped_in_and_no_reader_waits_either(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, mode: RefreshMode, note: str | None
) -> None:
    manifest, policy = expecting(bench, "rows > 0", more=""), bench.policy(refresh_mode=mode)
    bench.refresh(manifest)
    count = "set lock_timeout = '1ms'; select count(*) from reporting.sales"
    for change, rows in (("delete from sale where id > 50", 50), ("delete from sale", None)):
        bench.sql(change)
        with ThreadPoolExecutor(1) as worker, pausing(monkeypatch) as (there, go_on):
            run = worker.submit(bench.refresh, manifest, policy)
            assert there.wait(60)
            assert bench.value(count) == (100 if rows else 50)
            go_on.set()
            if rows:
                assert run.result(60).note == note
                assert run.result(60).outcome is Outcome.SWAPPED
            else:
                with pytest.raises(Rejected):
                    run.result(60)
        monkeypatch.undo()
        assert bench.value("select count(*) from reporting.sales") == 50
        assert bench.relations() == {"sales"}


@pytest.mark.parametrize("more", ["", "unique=(id)"])
def test_a_rebuild_is_checked_too(bench: Bench, more: str) -> None:
    bench.refresh(expecting(bench, "rows > 0", more))
    less = expecting(bench, "rows > 10, rows_change < 50%", more, QUERY + " where id <= 10")
    assert rejected(bench, less) == (
        "Rejected, old data kept: wanted rows > 10, found 10; "
        "wanted rows_change < 50%, found 90% (100 rows before, 10 now)"
    )
    assert bench.value("select count(*) from reporting.sales") == 100
    assert bench.relations() == {"sales"}
    with pytest.raises(DirectiveUnfit, match="it has no column colour"):
        bench.refresh(expecting(bench, "not_null(colour)", more, QUERY + " where id <= 60"))
    done = bench.refresh(expecting(bench, "rows > 10", more, QUERY + " where id <= 60"))
    assert (done.outcome, done.figures.records) == (Outcome.REBUILT, 60)


def test_what_a_rejected_refresh_wrote_doesnt_pile_up(bench: Bench) -> None:
    bench.sql("truncate sale; insert into sale select n, 7, n from generate_series(1, 5000) as n")
    manifest = expecting(bench, "not_null(amount)")
    bench.refresh(manifest)
    size = "select pg_relation_size('reporting.sales')"
    clean = bench.value(size)
    sizes = []
    for _ in range(3):
        bench.sql("update sale set amount = null, agency_id = agency_id + 1")
        rejected(bench, manifest)
        sizes.append(bench.value(size))
    assert max(sizes) < 1.5 * clean


def test_without_the_right_to_clean_up_it_is_rejected_all_the_same(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seeder.matviews.modes.vacuum.VACUUM", "vacuum (nonsense) {matview}")
    manifest = expecting(bench, "rows > 0")
    bench.refresh(manifest)
    bench.sql("delete from sale")
    with structlog.testing.capture_logs() as lines:
        assert rejected(bench, manifest).startswith("Rejected, old data kept")
    assert [(line["event"], line["table_name"]) for line in lines] == [
        ("not vacuumed; autovacuum does it", "reporting.sales")
    ]


def test_all_that_is_expected_takes_one_scan(bench: Bench) -> None:
    bench.refresh(bench.manifest(QUERY))
    expect = read_expectations("rows > 0, rows < 1000, not_null(id, amount), fresh(sold_on, 2 days)")
    scans = "select pg_stat_get_xact_numscans('reporting.sales'::regclass) as number"
    with bench.platform.databases.session() as session, session.transaction():
        before = session.row(scans).number
        assert checks.failures(session, "reporting.sales", expect, 100) == []
        assert session.row(scans).number == before + 1
