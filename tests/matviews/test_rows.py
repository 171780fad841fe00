"""Rows after a concurrent refresh: carried over from the last run where they can be, always exact."""

import json
import threading
import time
from collections.abc import Callable, Iterator

import psycopg2
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy.engine import make_url
from support.workbench import Bench

from seeder.matviews import measure
from seeder.matviews import refresh as refreshing
from seeder.matviews.result import RefreshResult
from seeder.sql.directives import RefreshMode

KEYED = "create unique index if not exists sales_id on reporting.sales (id)"


@pytest.fixture(autouse=True)
def small_views_are_worthwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refreshing, "WORTHWHILE_ROWS", 1)


@pytest.fixture
def person(bench: Bench) -> Iterator[psycopg2.extensions.connection]:
    """Somebody with psql: a session of their own."""
    connection = psycopg2.connect(
        make_url(bench.platform.url).set(drivername="postgresql").render_as_string(hide_password=False)
    )
    connection.autocommit = True
    yield connection
    connection.close()


def do(connection: psycopg2.extensions.connection, text: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(text)


def wait_until(what: str, look: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not look():
        assert time.monotonic() < deadline, f"after 30 s still not: {what}"
        time.sleep(0.02)


def carried(bench: Bench) -> int | None:
    """For how many runs the number has been carried over; None where none is remembered."""
    stamp = bench.stamp()
    return stamp.tally.carried if stamp and stamp.tally else None


def keyed(bench: Bench) -> None:
    """A matview that is refreshed concurrently and whose rows are remembered."""
    bench.refresh()
    bench.sql(KEYED)
    bench.refresh()
    assert carried(bench) == 0


def counted(bench: Bench) -> int:
    number: int = bench.value("select count(*) from reporting.sales")
    return number


def test_rows_are_carried_over_and_not_counted(bench: Bench) -> None:
    keyed(bench)
    for runs, change in enumerate(
        ["delete from sale where id <= 10", "select 1", "update sale set amount = 0 where id < 30"], 1
    ):
        bench.sql(change)
        assert bench.refresh().figures.records == counted(bench) == 90
        assert carried(bench) == runs


def test_a_concurrent_refresh_tells_how_many_rows_it_changed(bench: Bench) -> None:
    keyed(bench)
    bench.sql("update sale set amount = -1 where id <= 20; delete from sale where id > 97")
    done = bench.refresh()
    assert done.as_dict()["changed"] == 20 + 20 + 3
    assert bench.refresh().changed == 0
    assert bench.refresh(policy=bench.policy(refresh_mode=RefreshMode.PLAIN)).changed is None


def test_where_postgresql_counts_nothing_the_changes_are_unknown_and_the_rows_counted(bench: Bench) -> None:
    keyed(bench)
    bench.sql("delete from sale where id <= 10")
    with bench.claimed(bench.manifest(), bench.policy()) as (session, found):
        session.run_text("set track_counts = off")
        done = refreshing.refresh(session, bench.manifest().matview, found, bench.policy())
        session.run_text("reset track_counts")
    assert (done.records, done.changed) == (90, None)


@pytest.mark.parametrize("how", ["", "concurrently"])
def test_a_refresh_by_hand_between_two_runs_makes_the_next_count(bench: Bench, person, how: str) -> None:
    keyed(bench)
    do(person, f"begin; delete from sale where id <= 10; refresh materialized view {how} reporting.sales")
    do(person, "commit")
    assert bench.refresh().figures.records == 90
    assert carried(bench) == 0


def test_a_refresh_by_hand_that_is_rolled_back_changes_nothing(bench: Bench, person) -> None:
    keyed(bench)
    do(
        person,
        "begin; delete from sale where id <= 10; refresh materialized view concurrently reporting.sales",
    )
    do(person, "rollback")
    assert bench.refresh().figures.records == 100
    assert carried(bench) == 1


def test_a_refresh_by_hand_that_this_one_waits_for_is_seen(bench: Bench, person) -> None:
    keyed(bench)
    do(
        person,
        "begin; delete from sale where id <= 10; refresh materialized view concurrently reporting.sales",
    )
    done: list[RefreshResult] = []
    waiting = threading.Thread(target=lambda: done.append(bench.refresh()))
    waiting.start()
    wait_until(
        "the run waits for the refresh by hand",
        lambda: bench.value(
            "select count(*) from pg_stat_activity where wait_event_type = 'Lock' "
            "and datname = current_database()"
        ),
    )
    do(person, "commit")
    waiting.join()
    assert done[0].figures.records == counted(bench) == 90


def test_after_many_runs_the_rows_are_counted_all_the_same(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "LONGEST_CHAIN", 2)
    keyed(bench)
    seen = []
    for _ in range(5):
        assert bench.refresh().figures.records == 100
        seen.append(carried(bench))
    assert seen == [1, 2, 0, 1, 2]


def test_a_number_that_is_wrong_after_all_is_found_by_the_count_and_told(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(measure, "LONGEST_CHAIN", 0)
    keyed(bench)
    wrong = json.loads(bench.comment() or "")
    wrong["seeder"]["tally"]["rows"] = 7
    bench.sql(f"comment on materialized view reporting.sales is '{json.dumps(wrong)}'")
    assert bench.refresh().figures.records == 100
    assert "reporting.sales: 7 rows carried over are not the 100 counted" in caplog.text
    assert bench.stamp().tally.rows == 100  # type: ignore[union-attr]


def test_a_copy_of_the_matview_with_its_stamp_is_counted(bench: Bench) -> None:
    """As after a restored dump: the comment says what was true of another relation."""
    keyed(bench)
    comment = bench.comment()
    bench.sql("""
        delete from sale where id <= 10;
        drop materialized view reporting.sales;
        create materialized view reporting.sales as select * from public.sale
    """)
    bench.sql(f"{KEYED}; comment on materialized view reporting.sales is '{comment}'")
    assert bench.refresh().figures.records == 90
    assert carried(bench) == 0


def test_few_rows_are_not_remembered(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refreshing, "WORTHWHILE_ROWS", 101)
    bench.refresh()
    bench.sql(KEYED)
    bench.refresh()
    comment = bench.comment()
    assert bench.refresh().figures.records == 100
    assert bench.comment() == comment


def test_a_persons_comment_written_during_the_refresh_is_kept(bench: Bench, person) -> None:
    keyed(bench)
    do(person, "begin; lock table sale in access exclusive mode")
    run = threading.Thread(target=bench.refresh)
    run.start()
    blocked = "select count(*) from pg_locks where not granted and relation = '{}'::regclass"
    wait_until("the refresh waits for the table", lambda: bench.value(blocked.format("sale")))
    comment = "comment on materialized view reporting.sales is 'Ask Ann.'"
    commenting = threading.Thread(target=lambda: bench.sql(comment))
    commenting.start()
    wait_until("the comment waits for the refresh", lambda: bench.value(blocked.format("reporting.sales")))
    do(person, "rollback")
    run.join()
    commenting.join()
    assert bench.comment() == "Ask Ann."


@pytest.mark.parametrize("known", [True, False], ids=["settled", "with a stamp to be renewed"])
def test_a_role_that_may_refresh_but_not_comment_has_the_rows_counted(bench: Bench, known: bool) -> None:
    if bench.value("select current_setting('server_version_num')::int") < 170000:
        pytest.skip("MAINTAIN is new in PostgreSQL 17")
    bench.sql("create role seeder_test_maintainer")
    try:
        if known:
            keyed(bench)
        else:
            bench.refresh()
        bench.sql("""
            grant maintain on reporting.sales to seeder_test_maintainer;
            grant select on reporting.sales, sale to seeder_test_maintainer;
            grant usage on schema reporting to seeder_test_maintainer;
            delete from sale where id <= 10
        """)
        assert bench.refresh(policy=bench.policy(role="seeder_test_maintainer")).figures.records == 90
    finally:
        bench.sql("drop owned by seeder_test_maintainer; drop role seeder_test_maintainer")


class Life(RuleBasedStateMachine):
    """A matview's life among workers and people; each run must tell the truth about its rows."""

    bench: Bench
    person: psycopg2.extensions.connection

    @initialize()
    def start(self) -> None:
        do(self.person, "rollback")
        self.bench.sql("""
            drop materialized view if exists reporting.sales;
            truncate sale;
            insert into sale select n, 7, n from generate_series(1, 20) as n
        """)
        keyed(self.bench)

    @rule(first=st.integers(21, 40), count=st.integers(0, 30))
    def rows_come(self, first: int, count: int) -> None:
        self.bench.sql(
            f"insert into sale select n, 7, n from generate_series({first}, {first + count}) as n "
            "where n not in (select id from sale)"
        )

    @rule(rest=st.integers(0, 4))
    def rows_go(self, rest: int) -> None:
        self.bench.sql(f"delete from sale where id % 5 = {rest}")

    @rule(upto=st.integers(0, 70))
    def rows_change(self, upto: int) -> None:
        self.bench.sql(f"update sale set amount = amount + 1 where id < {upto}")

    @rule(mode=st.sampled_from(RefreshMode), counting=st.sampled_from(["on", "on", "off"]))
    def a_run(self, mode: RefreshMode, counting: str) -> None:
        manifest, policy = self.bench.manifest(), self.bench.policy(refresh_mode=mode)
        from seeder.matviews.upkeep import bring_up_to_date

        with self.bench.claimed(manifest, policy) as (session, found):
            session.run_text(f"set track_counts = {counting}")
            done = bring_up_to_date(session, manifest, found, policy)
            session.run_text("reset track_counts")
        assert done.figures.records == counted(self.bench)

    @rule(
        how=st.sampled_from(["", "concurrently"]),
        change=st.sampled_from(
            ["select 1", "delete from sale where id % 3 = 0", "insert into sale values (99)"]
        ),
        end=st.sampled_from(["commit", "rollback", "rollback to there; commit"]),
    )
    def a_refresh_by_hand(self, how: str, change: str, end: str) -> None:
        self.bench.sql("delete from sale where id = 99")
        refresh = f"refresh materialized view {how} reporting.sales"
        try:
            do(self.person, f"begin; savepoint there; {change}; {refresh}; {end}")
        except psycopg2.Error:
            # Concurrently without an index.
            do(self.person, "rollback")

    @rule(what=st.sampled_from(["analyze", "vacuum", "vacuum full", "vacuum pg_class --"]))
    def housekeeping(self, what: str) -> None:
        self.bench.sql(f"{what} reporting.sales")

    @rule()
    def the_counters_are_lost(self) -> None:
        self.bench.sql("select pg_stat_reset()")

    @rule()
    def it_is_restored_from_a_dump(self) -> None:
        comment = self.bench.comment()
        self.bench.sql(
            "drop materialized view reporting.sales;"
            f"create materialized view reporting.sales as select * from public.sale; {KEYED};"
            f"comment on materialized view reporting.sales is '{comment}'"
        )

    @rule(there=st.booleans())
    def an_index(self, there: bool) -> None:
        self.bench.sql(KEYED if there else "drop index if exists reporting.sales_id")

    @invariant()
    def the_stamp_never_claims_what_is_not(self) -> None:
        """Whoever finds the matview in the state that the tally names finds that many rows."""
        stamp = self.bench.stamp() if self.bench.relations() else None
        if stamp and stamp.tally:
            state = measure.STATE.replace("%(oid)s", "'reporting.sales'::regclass")
            if self.bench.value(f"select {state}") == stamp.tally.state:
                assert stamp.tally.rows == counted(self.bench)


def test_whatever_happens_between_runs_the_rows_are_exact(bench: Bench, person) -> None:
    class ThisLife(Life):
        pass

    ThisLife.bench, ThisLife.person = bench, person
    run_state_machine_as_test(
        ThisLife,
        settings=settings(
            max_examples=25, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def test_a_swap_forgets_what_was_remembered_of_the_old_rows(bench: Bench) -> None:
    keyed(bench)
    bench.sql("delete from sale where id <= 10")
    bench.refresh(policy=bench.policy(refresh_mode=RefreshMode.SWAP))
    assert carried(bench) is None
    assert bench.refresh().figures.records == counted(bench) == 90
    assert carried(bench) == 0
