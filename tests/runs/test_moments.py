"""Reports of one moment agree, though somebody writes all the time, whatever happens to who holds it."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
import pytest
from support.contract import Platform, new_run
from support.processes import wait_until

from seeder.config.settings import Settings
from seeder.equipment import Equipment
from seeder.errors import SeederError
from seeder.matviews.modes import weighing
from seeder.matviews.modes.moment import NOT_SHARED, YOUNGER
from seeder.matviews.swap.copy_names import copy_of
from seeder.runs import moments as holding
from seeder.runs.claim import Claims
from seeder.runs.message import Message
from seeder.runs.moments import Moments, share_of
from seeder.sql.names import MatviewName

HOLDERS = """
select pid, application_name from pg_stat_activity
where application_name like 'seeder moment %' and datname = current_database()
"""


class Office:
    """Reports over one table that somebody writes to, refreshed by several workers' equipment in turn."""

    def __init__(self, platform: Platform) -> None:
        self.platform, self.workers = platform, list[tuple[Equipment, Moments]]()
        platform.sql("create table public.sale (id integer primary key, agency text)")
        self.write()

    def worker(self, **settings: Any) -> int:
        equipment = Equipment(Settings(**settings), self.platform.url)
        self.workers.append((equipment, Moments(equipment)))
        return len(self.workers) - 1

    def report(self, number: int, said: str = "", query: str = "", **columns: Any) -> None:
        text = query or "select count(*) as n, coalesce(max(id), 0) as last from public.sale"
        self.platform.custom(number, table_name=f"r{number}", query=f"{said}\n{text}", **columns)

    def write(self) -> None:
        self.platform.sql("insert into public.sale select count(*) + 1, 'ua' from public.sale")

    def run(self, number: int, seeding: str = "n1", worker: int = 0, agency: str = "ua") -> Any:
        equipment, its = self.workers[worker]
        message = Message(f"{seeding}.custom-{number}", 0, "custom", number, f"r{number}", None)
        self.platform.history.queue(
            [new_run(message.run_id, f"r{number}", manifest_id=number, agency_slug=agency)]
        )
        claim = Claims.of(equipment, its).claim(message)
        try:
            claim.refresh()
        except SeederError as error:
            claim.fail(str(error))
        else:
            claim.succeed()
        finally:
            claim.release()
        return self.platform.run(message.run_id)

    def pending(self, number: int, seeding: str = "n1", agency: str = "ua") -> None:
        """One that keeps the seeding from being over."""
        run = new_run(f"{seeding}.custom-{number}", f"r{number}", manifest_id=number, agency_slug=agency)
        self.platform.history.queue([run])

    def rows(self, number: int) -> int:
        found: int = self.platform.value(f"select n from reporting.r{number}")
        return found

    def there(self) -> int:
        found: int = self.platform.value("select count(*) from public.sale")
        return found

    def close(self) -> None:
        for equipment, its in self.workers:
            its.close()
            equipment.databases.dispose()


@pytest.fixture
def office(any_platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    monkeypatch.setattr(holding, "WATCH_SECONDS", 0.05)
    made = Office(any_platform)
    yield made
    made.close()
    wait_until("nobody holds a moment", lambda: not any_platform.sql(HOLDERS))


@contextmanager
def writing(office: Office) -> Iterator[None]:
    """Somebody who writes all the time."""
    over = threading.Event()

    def write() -> None:
        connection = psycopg2.connect(
            office.platform.databases.engine().url.set(drivername="postgresql").render_as_string(False)
        )
        connection.autocommit = True
        with connection.cursor() as cursor:
            while not over.is_set():
                cursor.execute("insert into public.sale select count(*) + 1, 'ua' from public.sale")
                time.sleep(0.001)
        connection.close()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


WAYS = ["", "-- seeder: unique=(n)", "-- seeder: mode=swap", "-- seeder: mode=plain expect=(rows > 0)"]


def test_reports_agree_however_they_are_made_while_somebody_writes_all_the_time(office: Office) -> None:
    for _ in range(2):
        office.worker(same_moment="seeding")
    for number, said in enumerate(WAYS, 1):
        office.report(number, said)
    with writing(office):
        for pending, seeding in enumerate(("n1", "n2", "n3"), 10):
            office.pending(pending, seeding)
            runs = [office.run(number, seeding, worker=number % 2) for number in range(1, 5)]
            assert {office.rows(number) for number in range(1, 5)} == {office.rows(1)}, seeding
            assert office.rows(1) < office.there()
            assert len({run.note for run in runs}) == 1
            assert runs[0].note.startswith("Its rows are of 20")
            assert runs[0].note.endswith(" UTC, which the reports of its seeding share.")


def test_without_it_they_dont(office: Office) -> None:
    office.worker()
    for number in (1, 2):
        office.report(number)
        assert office.run(number).note is None
        office.write()
    assert office.rows(1) == office.rows(2) - 1
    assert office.platform.sql(HOLDERS) == []


def test_a_changed_query_is_of_the_moment_too(office: Office) -> None:
    office.worker(same_moment="seeding")
    office.report(1)
    office.report(2)
    office.run(2, "n0")
    office.pending(9)
    office.run(1)
    office.write()
    office.platform.sql("""
        update reporting.seeder_custom_report_manifest
        set query = 'select count(*) as n, 1 as more from public.sale' where id = 2
    """)
    run = office.run(2)
    assert run.note.endswith("share.")
    assert (office.rows(1), office.rows(2), office.there()) == (1, 1, 2)


def test_what_reads_another_report_comes_after_and_is_of_a_later_moment(office: Office) -> None:
    office.worker(same_moment="seeding")
    office.report(1)
    office.report(2, query="select n, (select count(*) from public.sale) as later from reporting.r1")
    office.report(3, "-- seeder: after=(r1)")
    for pending, seeding in enumerate(("n1", "n2"), 10):
        office.pending(pending, seeding)
        office.run(1, seeding)
        office.write()
        assert [office.run(number, seeding).note for number in (2, 3)] == [None, None]
        assert office.rows(2) == office.rows(1) < office.there()
        assert office.platform.value("select later from reporting.r2") == office.rows(3) == office.there()


def test_rows_that_are_younger_than_the_moment_are_not_left_by_a_concurrent_refresh(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It compares the new rows with what the old snapshot sees, and commits with the newer ones in place."""
    # However busy the machine is, auto-swap takes a concurrent refresh for quick, and doesn't weigh it.
    monkeypatch.setattr(weighing, "WORTH_WEIGHING_SECONDS", 60.0)
    office.worker(same_moment="seeding")
    for number, mode in ((1, ""), (2, "unique=(id)"), (3, "unique=(id) mode=auto-swap")):
        office.report(number, f"-- seeder: {mode}" if mode else "", "select id, 1 as n from public.sale")
        office.run(number, "n0")
    office.pending(9)
    office.run(1)
    office.write()
    for number in (2, 3):
        # An ad-hoc one in between, of a later moment.
        office.run(number, "n1b")
        assert office.platform.value(f"select count(*) from reporting.r{number}") == 2
        run = office.run(number)
        assert office.platform.value(f"select count(*) from reporting.r{number}") == 1
        assert run.note.startswith(YOUNGER)
    # The next one is what it always was.
    file = "select pg_relation_filenode('reporting.r2'::regclass)"
    before = office.platform.value(file)
    assert YOUNGER not in (office.run(2, "n2").note or "")
    assert office.platform.value(file) == before


def test_what_others_did_since_the_moment_is_neither_lost_nor_in_the_way(office: Office) -> None:
    """The catalogue is as it is now, not as that moment's snapshot sees it."""
    office.worker(same_moment="seeding")
    office.report(1)
    for number, mode in ((2, "swap"), (3, "plain"), (4, "swap"), (5, "plain")):
        office.report(number, f"-- seeder: mode={mode}")
        office.run(number, "n0")
    office.pending(9)
    office.run(1)
    office.write()
    # Exchanged for a younger one, refreshed, given an index, dropped; the last wasn't there at that moment.
    office.run(2, "n1b")
    office.platform.sql("""
        create index late on reporting.r2 (n); grant select on reporting.r2 to public;
        refresh materialized view reporting.r3; grant select on reporting.r3 to public;
        create index later on reporting.r4 (n); drop materialized view reporting.r5
    """)
    office.report(6)
    for number in (2, 3, 4, 5, 6):
        run = office.run(number)
        assert (run.status, run.errors, office.rows(number)) == ("success", None, 1)
        assert run.note.endswith("share.")
        assert run.bytes_processed == office.platform.value(
            f"select pg_total_relation_size('reporting.r{number}'::regclass)"
        )
    made = "select indexname from pg_indexes where schemaname = 'reporting' and indexname like 'late%'"
    assert {row[0] for row in office.platform.sql(made)} == {"late", "later"}
    for number in (2, 3):
        assert "=r/" in office.platform.value(
            f"select relacl::text from pg_class where oid = 'reporting.r{number}'::regclass"
        )


def test_a_copy_that_a_dead_run_left_before_the_moment_is_in_nobodys_way(office: Office) -> None:
    office.worker(same_moment="seeding")
    office.report(1)
    office.report(2, "-- seeder: mode=swap")
    office.run(2, "n0")
    copy = copy_of(MatviewName("reporting", "r2")).quoted
    office.platform.sql(f"create materialized view {copy} as select 1 as one")
    office.pending(9)
    office.run(1)
    office.write()
    run = office.run(2)
    assert (run.status, run.errors, office.rows(2)) == ("success", None, 1)


def test_a_swap_that_fails_at_its_moment_leaves_no_copy_and_the_old_rows(office: Office) -> None:
    office.worker(same_moment="seeding")
    office.report(1)
    office.report(2, "-- seeder: mode=swap", "select 1 / (3 - count(*)) as n from public.sale")
    office.run(2, "n0")
    office.pending(9)
    office.write()
    office.write()
    office.run(1)
    office.platform.sql("delete from public.sale")
    run = office.run(2)
    assert (run.status, run.errors.splitlines()[0]) == ("error", "22012: division by zero")
    assert office.platform.value("select count(*) from pg_class where relname like 'seeder:copy:%'") == 0
    assert office.rows(2) == 0


def test_agencies_have_moments_of_their_own(office: Office) -> None:
    office.worker(same_moment="agency")
    other = next(slug for slug in ("ub", "uc", "ud") if share_of(slug) != share_of("ua"))
    office.report(1)
    office.report(2)
    office.report(3, agency_slug=other)
    office.pending(9)
    office.pending(10, agency=other)
    office.run(1)
    office.write()
    assert office.run(3, agency=other).note.endswith(f"which the reports of {other} share.")
    office.write()
    assert office.run(2).note.endswith("which the reports of ua share.")
    assert (office.rows(1), office.rows(2), office.rows(3)) == (1, 1, 2)
    assert len(office.platform.sql(HOLDERS)) == 2


def test_it_ends_with_the_last_run_and_vacuum_is_free_again(office: Office) -> None:
    office.worker(same_moment="seeding")
    office.report(1)
    office.pending(9)
    office.run(1)
    dead = "select n_dead_tup from pg_stat_all_tables where relid = 'public.sale'::regclass"
    office.platform.sql("select pg_stat_force_next_flush(); update public.sale set agency = 'new'")
    office.platform.sql("vacuum public.sale")
    assert office.platform.value(dead) == 1
    office.platform.sql("update reporting.seeder_run_history set status = 'error', finish_time = now()")
    wait_until("nobody holds it", lambda: not office.platform.sql(HOLDERS))
    office.platform.sql("vacuum public.sale")
    assert office.platform.value(dead) == 0


def test_when_it_has_lasted_for_its_time_the_rest_gets_the_next_one(office: Office) -> None:
    office.worker(same_moment="seeding", same_moment_max=1)
    office.report(1)
    office.report(2)
    office.pending(9)
    first = office.run(1)
    office.write()
    wait_until("the server has ended it", lambda: not office.platform.sql(HOLDERS))
    second = office.run(2)
    assert (office.rows(1), office.rows(2)) == (1, 2)
    assert second.note.endswith("share.")
    assert second.note != first.note


def test_a_run_that_finds_it_gone_takes_the_next_and_says_so(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.worker(same_moment="seeding")
    office.report(1)
    office.report(2)
    office.pending(9)
    office.run(1)
    office.write()
    found = holding._read
    ended = []

    def end_it_once(name: str | None) -> Any:
        """Between the look and the import."""
        if not ended:
            ended.extend(office.platform.sql(HOLDERS))
            office.platform.sql(f"select pg_terminate_backend({ended[0][0]}, 5000)")
        return found(name)

    monkeypatch.setattr(holding, "_read", end_it_once)
    run = office.run(2)
    assert (run.status, office.rows(2)) == ("success", 2)
    assert run.note.endswith("share, as the moment before had ended.")


HOLDER = """
import sys, time
from seeder.config.settings import Settings
from seeder.equipment import Equipment
from seeder.runs.message import Message
from seeder.runs.moments import Moments
equipment = Equipment(Settings(same_moment="seeding"), sys.argv[1])
share = Moments(equipment).of(Message("n1.custom-1", 0, "custom", 1, "r1", None), "ua")
with equipment.databases.session() as session:
    print(share(session, False).snapshot, flush=True)
time.sleep(600)
"""


def test_the_death_of_who_holds_it_ends_it(office: Office) -> None:
    office.worker(same_moment="seeding")
    office.report(1)
    office.report(2)
    office.pending(9)
    command = [sys.executable, "-c", HOLDER, office.platform.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            assert process.stdout.readline().count("-") == 2
            office.write()
            # Another process finds it.
            first = office.run(1)
            assert (office.rows(1), office.there()) == (1, 2)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(30)
    wait_until("the server has noticed", lambda: not office.platform.sql(HOLDERS))
    second = office.run(2)
    assert office.rows(2) == 2
    assert second.note != first.note


@pytest.mark.parametrize("trouble", ["no connection", "it is another role's"])
def test_where_there_is_none_to_be_had_each_has_its_own_and_says_so(
    office: Office, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    monkeypatch.setattr(holding, "PATIENCE_SECONDS", 0.1)
    office.worker(same_moment="seeding")
    office.report(1)
    office.pending(9)
    if trouble == "no connection":
        monkeypatch.setattr(holding, "BEGIN", "begin nonsense {milliseconds}")
    else:
        monkeypatch.setattr(holding, "_read", lambda _: None)
    run = office.run(1)
    assert (run.status, run.note, office.rows(1)) == ("success", NOT_SHARED, 1)
    # It isn't asked for again with each run.
    monkeypatch.setattr(Moments, "_opened", lambda *_: pytest.fail("asked again"))
    office.report(2)
    assert office.run(2).note == NOT_SHARED
