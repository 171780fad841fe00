"""Ending a run in the database, without any worker: who is told, who isn't, and what the record says."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg2
import pytest
from support.contract import Platform, new_run
from support.emptied import fresh_database
from support.processes import wait_until

from seeder.cli.cancel import sentence
from seeder.errors import DatabaseUnreachable, UnknownRunOrTable
from seeder.history import HistoryRepository
from seeder.matviews import Limits
from seeder.matviews.locks.lock import take
from seeder.postgres.application_names import application_name
from seeder.postgres.databases import Databases
from seeder.runs.cancelling import Cancellation, Ending
from seeder.sql.names import matview_name

LIMITS = Limits(0, 0, ("pg_catalog",))
RUN = "20261125T0200Z.custom-1"


@pytest.fixture(scope="module")
def other_url(postgres_url: str) -> Iterator[str]:
    with fresh_database(postgres_url) as url:
        yield url


@pytest.fixture
def databases(platform: Platform, other_url: str) -> Iterator[Databases]:
    """The reporting database, another one as number 7, and number 8, which is down."""
    made = Databases(platform.url, {7: other_url, 8: "postgresql://someone:hush@127.0.0.1:1/nowhere"})
    yield made
    made.dispose()


@pytest.fixture
def cancellation(platform: Platform, databases: Databases) -> Cancellation:
    history = HistoryRepository(databases, "reporting")
    return Cancellation(databases, history, platform.manifests, "reporting")


class Holder:
    """A session that holds a matview's lock in a run's name, and may be in the middle of a statement."""

    def __init__(self, databases: Databases, run_id: str, database_id: int | None = None) -> None:
        self.databases = databases
        self.database_id = database_id
        self.session = databases.open(database_id)
        take(self.session, matview_name("sales", "reporting"), application_name(run_id, 2), LIMITS)
        self.error: psycopg2.Error | None = None
        self._thread = threading.Thread(target=self._work)

    def _work(self) -> None:
        try:
            self.session.run_text("select pg_sleep(60)")
        except psycopg2.Error as error:
            self.error = error
            self.session.close()

    @contextmanager
    def at_work(self) -> Iterator["Holder"]:
        pid = self.session.backend_pid
        self._thread.start()
        with self.databases.session(self.database_id) as looker:
            asleep = "select pid from pg_stat_activity where pid = %(pid)s and wait_event = 'PgSleep'"
            wait_until("it is at work", lambda: self.error or looker.row(asleep, pid=pid))
            try:
                yield self
            finally:
                looker.row("select pg_cancel_backend(%(pid)s)", pid=pid)
                self._thread.join()

    def let_go(self) -> None:
        if not self.session.closed:
            self.session.close()
            self.databases.give_back(self.session, self.database_id)


@pytest.fixture
def holder(databases: Databases) -> Iterator[Any]:
    made: list[Holder] = []

    def make(*arguments: Any) -> Holder:
        made.append(Holder(databases, *arguments))
        return made[-1]

    yield make
    for one in made:
        one.let_go()


@pytest.fixture
def running(platform: Platform) -> None:
    platform.custom(1, table_name="sales", query="select 1 as one")
    platform.history.queue([new_run(RUN)])
    platform.history.start(RUN, "sales")


@pytest.mark.parametrize("database_id", [None, 7])
def test_the_statement_ends_in_whichever_database_it_runs(
    platform: Platform, cancellation: Cancellation, holder: Any, running: None, database_id: int | None
) -> None:
    platform.sql(f"update reporting.seeder_custom_report_manifest set database_id = {database_id or 'null'}")
    with holder(RUN, database_id).at_work() as one:
        (stopped,) = cancellation.cancel_named("sales", "anna")
        assert (stopped.moved, stopped.ended, stopped.run.status) == (True, True, "running")
    assert one.error is not None
    assert one.error.pgcode == "57014"
    row = platform.run(RUN)
    assert (row.status, row.errors) == ("error", "Cancelled by anna in the middle of the run.")
    status = platform.status("sales")
    assert (status.status, status.consecutive_failures, status.last_errors) == ("error", 1, row.errors)


def test_where_the_manifest_is_gone_every_database_is_looked_at(
    platform: Platform, databases: Databases, cancellation: Cancellation, holder: Any, running: None
) -> None:
    platform.sql("delete from reporting.seeder_custom_report_manifest")
    del databases._urls[8]
    with holder(RUN, 7).at_work() as one:
        (stopped,) = cancellation.cancel_named(RUN, "anna")
        assert stopped.ended
    assert one.error is not None


@pytest.mark.parametrize("other", ["20261125T0200Z.custom-10", "20261126T0200Z.custom-1"])
def test_the_statement_of_another_run_is_left_alone(
    cancellation: Cancellation, holder: Any, running: None, other: str
) -> None:
    with holder(other).at_work() as one:
        (stopped,) = cancellation.cancel_named(RUN, "anna")
        assert (stopped.moved, stopped.ended) == (True, True)
        assert one.error is None


def test_a_session_between_two_statements_is_not_taken_for_ended(
    cancellation: Cancellation, holder: Any, running: None
) -> None:
    holder(RUN)
    stopped = cancellation.stop(RUN, Ending.CANCELLED, "Enough.", [None], patience=0.2)
    assert stopped is not None
    assert (stopped.moved, stopped.ended) == (True, False)


def test_a_session_that_begins_its_next_statement_meanwhile_is_ended_too(
    platform: Platform, cancellation: Cancellation, holder: Any, running: None
) -> None:
    one = holder(RUN)
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(cancellation.stop, RUN, Ending.CANCELLED, "Enough.", [None])
        wait_until("it was told while it did nothing", lambda: platform.run(RUN).status == "error")
        with one.at_work():
            assert answer.result().ended
    assert one.error is not None


def test_a_database_out_of_reach_leaves_the_run_as_it_was(
    platform: Platform, cancellation: Cancellation, running: None
) -> None:
    platform.sql("update reporting.seeder_custom_report_manifest set database_id = 8")
    with pytest.raises(DatabaseUnreachable, match=r"someone:\*\*\*@127.0.0.1:1"):
        cancellation.cancel_named(RUN, "anna")
    assert platform.run(RUN).status == "running"


def test_a_run_of_a_manifest_that_is_switched_off_is_looked_for_where_its_row_says(
    platform: Platform, cancellation: Cancellation, holder: Any, running: None
) -> None:
    platform.sql("update reporting.seeder_custom_report_manifest set enabled = false")
    with holder(RUN).at_work():
        (stopped,) = cancellation.cancel_named(RUN, "anna")
    assert (stopped.moved, stopped.ended, stopped.unreachable) == (True, True, ())


def test_a_run_of_a_manifest_that_is_gone_is_ended_where_it_can_be_and_the_rest_is_told(
    platform: Platform, cancellation: Cancellation, holder: Any, running: None
) -> None:
    platform.sql("delete from reporting.seeder_custom_report_manifest")
    with holder(RUN).at_work() as one:
        (stopped,) = cancellation.cancel_named(RUN, "anna")
    assert one.error is not None
    assert (stopped.moved, stopped.ended, stopped.unreachable) == (True, False, (8,))
    assert platform.run(RUN).status == "error"
    assert "database 8 (SEEDER_DATABASES) can't be reached" in sentence(stopped)


def test_a_run_handed_back_is_pending_with_its_failures_as_they_were(
    platform: Platform, cancellation: Cancellation, holder: Any, running: None
) -> None:
    with holder(RUN).at_work():
        stopped = cancellation.stop(RUN, Ending.HANDED_BACK, "Again.", [None])
        assert stopped is not None
        assert (stopped.moved, stopped.ended) == (True, True)
    row = platform.run(RUN)
    assert (row.status, row.errors, row.consecutive_failures) == ("pending", "Again.", 0)


@pytest.mark.parametrize("status", ["success", "error"])
def test_what_is_over_is_neither_cancelled_nor_handed_back(
    platform: Platform, cancellation: Cancellation, running: None, status: str
) -> None:
    platform.sql(f"update reporting.seeder_run_history set status = '{status}'")
    before = platform.run(RUN)
    for ending in Ending:
        stopped = cancellation.stop(RUN, ending, "Enough.", [None])
        assert stopped is not None
        assert (stopped.moved, stopped.run.status) == (False, status)
    assert platform.run(RUN) == before


def test_what_never_was_is_an_error_for_a_person_and_nothing_for_a_worker(
    platform: Platform, cancellation: Cancellation
) -> None:
    with pytest.raises(UnknownRunOrTable, match="no run and no table 'nothing'"):
        cancellation.cancel_named("nothing", "anna")
    assert cancellation.stop("nothing", Ending.CANCELLED, "Enough.", [None]) is None
    platform.custom(1, table_name="sales", query="select 1 as one")
    assert cancellation.cancel_named("sales", "anna") == []


def test_a_tables_queued_runs_are_ended_before_the_one_at_work(
    platform: Platform, cancellation: Cancellation, running: None
) -> None:
    platform.history.queue([new_run("20261125T0300Z.custom-1")])
    stopped = cancellation.cancel_named("sales", "anna")
    assert [one.run.status for one in stopped] == ["pending", "running"]
    assert platform.status("sales").consecutive_failures == 2
