"""Audits: what is called unchanged is compared with its query, and what is wrong is mended."""

import re
from collections.abc import Iterator

import psycopg2
import pytest
from sqlalchemy.engine import make_url
from structlog.testing import capture_logs
from support.contract import ON_EACH_VERSION, Platform
from support.night import Night
from support.stillness import Reports
from support.workbench import Bench

from seeder.broker.queues import REFRESH_QUEUE, RUN_PRIORITIES
from seeder.errors import DatabaseUnreachable, ManifestError, MatviewBusy, UnknownTable
from seeder.maintenance.audit import Audit, audit, audit_night, refresh_wrong, trust_again
from seeder.matviews import stamp
from seeder.matviews.freshness import audit as freshness
from seeder.matviews.freshness.audit import Audited, Case, Verdict
from seeder.matviews.freshness.distrust import Difference
from seeder.matviews.freshness.why import Kind
from seeder.postgres.session import Session
from seeder.seedings.fan_out import seed
from seeder.seedings.planning import Selection

SALES = "select id, agency_id, amount from public.sale"


@pytest.fixture
def night(platform: Platform, broker_url: str) -> Iterator[Night]:
    night = Night(platform, broker_url, skip_unchanged="true", lock_timeout="1")
    yield night
    night.close()


@pytest.fixture
def reports(platform: Platform) -> Reports:
    return Reports(Bench(platform))


def put(reports: Reports, name: str = "sales", query: str = SALES, number: int = 1) -> None:
    """A report that is skipped from now on."""
    reports.bench.platform.custom(number, table_name=name, query=query)
    reports.report(query, name, number)


def behind_the_counters_back(platform: Platform, *statements: str) -> None:
    """As only a superuser can."""
    plain = make_url(platform.url).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = psycopg2.connect(plain)
    with connection, connection.cursor() as cursor:
        cursor.execute("set track_counts = off")
        for statement in statements:
            cursor.execute(statement)
    connection.close()


def audited(night: Night, most: int = 20, **selection: str) -> Audit:
    return audit(night.equipment, Selection(**selection), most, pause=lambda _: None)


def verdicts(done: Audit) -> dict[str, Verdict]:
    return {one.case.manifest.table_name: one.verdict for one in done.audited}


@ON_EACH_VERSION
def test_what_is_written_behind_the_counters_back_is_found_refreshed_and_not_skipped(
    night: Night, reports: Reports
) -> None:
    put(reports)
    put(reports, "totals", "select sum(amount) as total from reporting.sales", 2)
    put(reports, "others", "select count(*) as n from public.sale where agency_id = 8", 3)
    assert verdicts(audited(night)) == dict.fromkeys(("sales", "totals", "others"), Verdict.EQUAL)

    behind_the_counters_back(
        reports.bench.platform, "insert into sale values (101, 7, 1)", "delete from sale where id < 3"
    )
    assert reports.decision().unchanged
    with capture_logs() as logs:
        done = audited(night)

    assert verdicts(done) == {"sales": Verdict.WRONG, "totals": Verdict.EQUAL, "others": Verdict.EQUAL}
    (wrong,) = done.wrong
    assert (wrong.difference.missing, wrong.difference.extra) == (1, 2)
    (told,) = [one for one in logs if one["log_level"] == "error"]
    assert (told["table_name"], told["agency_slug"]) == ("sales", "ua")
    assert "seeder audit --trust" in told["event"]
    # With what reads it.
    seeding = refresh_wrong(night.app, night.equipment, done)
    assert seeding is not None
    assert {night.equipment.history.run(one).table_name for one in seeding.run_ids} == {"sales", "totals"}
    assert not seeding.unchanged

    for _ in range(2):
        run = reports.refresh()
        assert run.outcome == "refreshed"
        assert run.note is not None
        assert re.fullmatch(
            r"Not skipped: an audit found it wrong on 20\d\d-\d\d-\d\d \d\d:\d\d UTC: 1 row missing, "
            r"2 rows that its query does not give\.",
            run.note,
        )
        assert reports.kinds() == {Kind.DISTRUSTED}
    assert reports.bench.value("select count(*) from reporting.sales") == 99
    after = audited(night)
    assert "sales" not in verdicts(after)
    assert [one.manifest.table_name for one in after.distrusted] == ["sales"]
    # One that is compared by its name is compared all the same.
    assert verdicts(audited(night, table_name="sales")) == {"sales": Verdict.EQUAL}


def test_a_person_may_trust_it_again(night: Night, reports: Reports) -> None:
    put(reports)
    behind_the_counters_back(reports.bench.platform, "delete from sale where id < 3")
    assert verdicts(audited(night)) == {"sales": Verdict.WRONG}
    assert trust_again(night.equipment, "sales")
    assert not trust_again(night.equipment, "sales")
    # Nothing is proved of the rows that there are.
    assert reports.kinds() == {Kind.NO_EVIDENCE}
    assert [reports.refresh().outcome for _ in range(2)] == ["refreshed", "unchanged"]


@pytest.mark.parametrize(
    ("query", "is_trusted"),
    [(SALES + " where id > 0", True), ("-- Laid out anew.\n" + SALES.replace(",", ",\n"), False)],
    ids=["other SQL", "other layout"],
)
def test_other_sql_is_another_matter(night: Night, reports: Reports, query: str, *, is_trusted: bool) -> None:
    put(reports)
    behind_the_counters_back(reports.bench.platform, "delete from sale where id < 3")
    assert verdicts(audited(night)) == {"sales": Verdict.WRONG}
    reports.made["sales"] = reports.bench.manifest(query, "sales")
    outcomes = [reports.refresh().outcome for _ in range(3)]
    assert outcomes[-1] == ("unchanged" if is_trusted else "refreshed")


def test_a_rebuild_of_the_same_sql_keeps_it_and_so_does_a_persons_comment(
    night: Night, reports: Reports
) -> None:
    put(reports, query="select * from public.sale")
    bench = reports.bench
    behind_the_counters_back(bench.platform, "delete from sale where id < 3")
    assert verdicts(audited(night)) == {"sales": Verdict.WRONG}
    there = stamp.read(comment := bench.value("select obj_description('reporting.sales'::regclass)"))
    assert there is not None
    assert there.distrust is not None
    assert (there.distrust.missing, there.distrust.extra, there.evidence) == (0, 2, None)
    bench.sql(f"comment on materialized view reporting.sales is 'A person''s.\n{comment}'")
    # The star means more now.
    bench.sql("alter table sale add column region text")
    assert [reports.refresh().outcome for _ in range(3)] == ["rebuilt", "refreshed", "refreshed"]
    assert reports.kinds() == {Kind.DISTRUSTED}
    assert bench.value("select obj_description('reporting.sales'::regclass)").startswith("A person's.\n")


def test_what_was_written_to_since_is_no_fault(night: Night, reports: Reports) -> None:
    put(reports)
    platform = reports.bench.platform
    # Its session has yet to tell.
    plain = make_url(platform.url).set(drivername="postgresql").render_as_string(hide_password=False)
    writer = psycopg2.connect(plain)
    with writer, writer.cursor() as cursor:
        cursor.execute("select pg_stat_force_next_flush()")
    with writer, writer.cursor() as cursor:
        cursor.execute("insert into sale values (101, 7, 1)")
    assert reports.decision().unchanged

    def pause(_: float) -> None:
        with writer, writer.cursor() as cursor:
            cursor.execute("select pg_stat_force_next_flush()")

    done = audit(night.equipment, Selection(), 20, pause=pause)
    writer.close()
    assert verdicts(done) == {"sales": Verdict.BEHIND}
    assert "was written to: 1 row" in done.audited[0].reason
    assert reports.kinds() == {Kind.WRITTEN}


def test_what_is_refreshed_meanwhile_is_no_fault(night: Night, reports: Reports) -> None:
    put(reports)
    behind_the_counters_back(reports.bench.platform, "delete from sale where id < 3")

    def pause(_: float) -> None:
        reports.bench.sql("update sale set id = id where id = 50")
        reports.tell()
        reports.refresh()

    done = audit(night.equipment, Selection(), 20, pause=pause)
    assert verdicts(done) == {"sales": Verdict.BEHIND}
    assert "refreshed meanwhile" in done.audited[0].reason


def test_what_is_being_refreshed_is_left_alone(night: Night, reports: Reports) -> None:
    put(reports)
    behind_the_counters_back(reports.bench.platform, "delete from sale where id < 3")
    with reports.bench.claimed(reports.made["sales"], reports.policy()):
        done = audited(night)
        with pytest.raises(MatviewBusy):
            trust_again(night.equipment, "sales")
    assert verdicts(done) == {"sales": Verdict.BEHIND}
    assert "is being refreshed" in done.audited[0].reason
    assert verdicts(audited(night)) == {"sales": Verdict.WRONG}


def test_rows_that_are_others_each_time_prove_nothing(
    night: Night, reports: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with an order that nobody asked for, which is chance."""
    put(reports)
    between = freshness._between

    def by_chance(session: Session, case: Case, kept: str) -> Difference:
        return Difference(1, 1) if kept == case.manifest.query.text else between(session, case, kept)

    monkeypatch.setattr(freshness, "_between", by_chance)
    behind_the_counters_back(reports.bench.platform, "delete from sale where id < 3")
    done = audited(night)
    assert verdicts(done) == {"sales": Verdict.UNKNOWN}
    assert "other rows each time" in done.audited[0].reason
    assert reports.decision().unchanged


def test_one_that_can_not_be_compared_costs_no_other(night: Night, reports: Reports) -> None:
    put(reports)
    put(reports, "others", "select count(*) as n from public.sale", 2)
    told: list[Audited] = []
    with reports.bench.platform.databases.session() as holder, holder.transaction():
        holder.run_text("alter materialized view reporting.others owner to current_user")
        done = audit(night.equipment, Selection(), 20, told.append, pause=lambda _: None)
    assert verdicts(done) == {"sales": Verdict.EQUAL, "others": Verdict.UNKNOWN}
    assert set(told) == set(done.audited)


def test_a_sample_is_as_large_as_it_may_be_and_a_table_is_compared_in_any_case(
    night: Night, reports: Reports
) -> None:
    for number, name in enumerate(("a", "b", "c"), start=1):
        put(reports, name, SALES, number)
    put(reports, "by_the_clock", "select now() as at", 4)
    assert len(audited(night, most=2).audited) == 2
    assert verdicts(audited(night)) == dict.fromkeys(("a", "b", "c"), Verdict.EQUAL)
    assert verdicts(audited(night, table_name="by_the_clock")) == {"by_the_clock": Verdict.BEHIND}
    with pytest.raises(UnknownTable):
        audited(night, table_name="none")
    reports.bench.platform.custom(5, table_name="refused", query="select 1 as one; select 2")
    assert verdicts(audited(night, table_name="refused")) == {"refused": Verdict.UNKNOWN}
    reports.bench.platform.custom(6, table_name="other", query="-- seeder: role=nobody\nselect 1 as one")
    with pytest.raises(ManifestError):
        audited(night, table_name="other")


def test_a_night_is_audited_once_and_when_it_is_over(night: Night, reports: Reports) -> None:
    put(reports)
    assert audit_night(night.app, night.equipment) == {}
    seeding = seed(night.app, night.equipment, Selection(), scheduled=True)
    # Its one run was skipped, and is over with that.
    assert len(seeding.unchanged) == 1
    done = audit_night(night.app, night.equipment)
    assert done == {"equal": 1, "behind": 0, "wrong": 0, "unknown": 0}
    assert audit_night(night.app, night.equipment) == {}
    night.redis.flushall()
    assert audit_night(night.app, night.equipment) == done


def test_a_night_that_goes_on_is_not_audited_yet(night: Night, reports: Reports) -> None:
    put(reports)
    night._numbers["sales"] = 1
    night.report("clock", "select now() as at")
    seeding = seed(night.app, night.equipment, Selection(), scheduled=True)
    assert (len(seeding.unchanged), seeding.queued) == (1, 1)
    assert audit_night(night.app, night.equipment) == {}
    night.end(seeding, "clock", "division by zero")
    assert audit_night(night.app, night.equipment)["equal"] == 1


def test_an_audit_can_be_switched_off(platform: Platform, broker_url: str, reports: Reports) -> None:
    off = Night(platform, broker_url, skip_unchanged="true", audit="0")
    put(reports)
    seed(off.app, off.equipment, Selection(), scheduled=True)
    assert audit_night(off.app, off.equipment) == {}
    off.close()


def test_an_audit_comes_after_all_refreshes_and_keeps_no_sweep_waiting(night: Night) -> None:
    night.app.send_task("seeder.audit")
    with night.app.connection_for_read() as connection, connection.channel() as channel:
        last = channel._q_for_pri(REFRESH_QUEUE, RUN_PRIORITIES[-1])
        assert channel.client.llen(last) == 1


def test_a_report_whose_database_is_down_is_unknown_and_not_all_right(
    platform: Platform, broker_url: str
) -> None:
    nowhere = {7: "postgresql://nobody@127.0.0.1:1/nothing"}
    night = Night(platform, broker_url, skip_unchanged="true", databases=nowhere)  # type: ignore[arg-type]
    platform.custom(1, table_name="away", query=SALES, database_id=7)
    done = audited(night, table_name="away")
    assert verdicts(done) == {"away": Verdict.UNKNOWN}
    with pytest.raises(DatabaseUnreachable, match="Database 7"):
        trust_again(night.equipment, "away")
    night.close()
