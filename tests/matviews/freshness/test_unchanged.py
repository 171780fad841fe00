"""What is told as unchanged is so: every way of changing it that PostgreSQL has is tried."""

from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest
from support.company import connection
from support.stillness import Reports

from seeder.errors import Rejected
from seeder.matviews import measure, upkeep
from seeder.matviews.freshness.audit import difference
from seeder.matviews.freshness.why import Kind, Why

WHOLE = """
create type public.mood as enum ('sad', 'glad');
create domain public.positive as integer check (value > 0);
create table public.base (id integer, name text, feeling mood, size positive, spare integer);
insert into public.base values (1, 'a', 'sad', 3);
create table public.heir () inherits (public.base);
create table public.other (id integer, name text, feeling mood, size positive, spare integer);
create table public.part (id integer) partition by range (id);
create table public.part_1 partition of public.part for values from (0) to (10);
create table public.lone (id integer);
create schema near;
create table near.thing (id integer);
create function public.count_parts() returns bigint language sql stable
    begin atomic select count(*) from public.part; end;
create function public.plus(a integer, b integer) returns integer language sql immutable
    begin atomic select a + b; end;
create function public.sum_of(a integer, b integer) returns integer language sql immutable
    begin atomic select a + b; end;
create operator public.|+| (function = public.sum_of, leftarg = integer, rightarg = integer);
create aggregate public.total (integer) (sfunc = public.plus, stype = integer, initcond = '0');
create view public.inner_view as select id, name, feeling, size from public.base;
create view public.outer_view as
    select v.id, v.name, v.feeling::text as feeling, v.size, count_parts() as parts, v.id |+| 1 as next
    from public.inner_view as v;
"""
QUERY = """
select v.*, (select total(id) from base) as total, (select string_agg(base::text, ',') from base) as whole,
    (select count(*) from near.thing) as things
from outer_view as v
"""

SET_ZONE = "do $$ begin execute format('alter database %I {change}', current_database()); end $$"

#: What a person does, and as what it shows.
CHANGES = {
    "insert": ("insert into base values (2)", Kind.WRITTEN),
    "update": ("update base set id = id", Kind.WRITTEN),
    "delete": ("delete from base", Kind.WRITTEN),
    "merge": (
        "merge into base using (values (1)) as v (id) on v.id = base.id when matched then delete",
        Kind.WRITTEN,
    ),
    "truncate": ("truncate base", Kind.REWRITTEN),
    "into an heir": ("insert into heir values (2)", Kind.WRITTEN),
    "into a partition": ("insert into part_1 values (2)", Kind.WRITTEN),
    "through a partitioned table": ("insert into part values (2)", Kind.WRITTEN),
    "a new partition": (
        "create table part_2 partition of part for values from (10) to (20)",
        Kind.REWRITTEN,
    ),
    "attached": ("alter table part attach partition lone for values from (10) to (20)", Kind.REWRITTEN),
    "detached": ("alter table part detach partition part_1", Kind.REWRITTEN),
    "a new heir": ("create table heir_2 () inherits (base)", Kind.REWRITTEN),
    "no heir any more": ("alter table heir no inherit base", Kind.REWRITTEN),
    "a column more": ("alter table base add more integer default 7", Kind.REWRITTEN),
    "a column less": ("alter table base drop column spare", Kind.REWRITTEN),
    "rewritten": ("vacuum full base", Kind.REWRITTEN),
    "renamed": ("alter table base rename to was_base", Kind.REWRITTEN),
    "two that change names": (
        "alter table base rename to b; alter table other rename to base; alter table b rename to other",
        Kind.REWRITTEN,
    ),
    "moved to another schema": ("alter table base set schema reporting", Kind.REWRITTEN),
    "its schema renamed": ("alter schema near rename to far", Kind.REWRITTEN),
    "another owner": ("alter table base owner to pg_monitor", Kind.REWRITTEN),
    "a namesake earlier on the path": ("create table reporting.base (id integer)", Kind.REWRITTEN),
    "a view's namesake": ("create view reporting.outer_view as select 1", Kind.DEFINITION),
    "unlogged": ("alter table base set unlogged", Kind.UNLOGGED),
    "row security": ("alter table base enable row level security", Kind.ROW_SECURITY),
    "revoked": ("revoke select on base from current_user", Kind.REWRITTEN),
    "a view": ("create or replace view inner_view as select 2 as id, name, feeling, size from base",
               Kind.DEFINITION),
    "a function in a view": (
        "create or replace function count_parts() returns bigint begin atomic select 0; end",
        Kind.DEFINITION,
    ),
    "an operator's function": (
        "create or replace function sum_of(a int, b int) returns int begin atomic select a * b; end",
        Kind.DEFINITION,
    ),
    "an operator moved to another schema": (
        "alter operator |+| (integer, integer) set schema near",
        Kind.DEFINITION,
    ),
    "a view's options": ("alter view inner_view set (security_invoker = true)", Kind.DEFINITION),
    "an aggregate's function": (
        "create or replace function plus(a int, b int) returns int begin atomic select a * b; end",
        Kind.DEFINITION,
    ),
    "a label": ("alter type mood rename value 'sad' to 'blue'", Kind.DEFINITION),
    "a domain": ("alter domain positive add check (value < 100)", Kind.DEFINITION),
    "a setting": (
        SET_ZONE.format(change="set timezone = ''Asia/Tokyo''"),
        Kind.SETTINGS,
    ),
    "how dates are written": (
        SET_ZONE.format(change="set datestyle = ''German''"),
        Kind.SETTINGS,
    ),
    "its counters alone begin anew": (
        "select pg_stat_reset_single_table_counters('base'::regclass)",
        Kind.EPOCH,
    ),
    "all counters begin anew": ("select pg_stat_reset()", Kind.EPOCH),
    "refreshed by hand": ("refresh materialized view reporting.sales", Kind.TOUCHED),
    "emptied by hand": ("refresh materialized view reporting.sales with no data", Kind.NOT_THERE),
    "its stamp lost": ("comment on materialized view reporting.sales is 'mine'", Kind.SQL),
}  # fmt: skip


@pytest.fixture
def whole(reports: Reports) -> Iterator[Reports]:
    reports.write(WHOLE)
    reports.report(QUERY)
    yield reports
    reports.bench.sql(
        "drop type if exists public.mood cascade; drop domain if exists public.positive cascade"
    )
    reports.bench.sql("drop schema if exists near cascade; drop schema if exists far cascade")
    reports.bench.sql("drop function if exists public.plus (integer, integer) cascade")
    reports.bench.sql("drop function if exists public.sum_of (integer, integer) cascade")
    reports.bench.sql(SET_ZONE.format(change="reset timezone"))
    reports.bench.sql(SET_ZONE.format(change="reset datestyle"))
    reports.bench.platform.databases.dispose()


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changes_is_seen(whole: Reports, change: str) -> None:
    assert whole.decision().unchanged, whole.decision()

    statement, kind = CHANGES[change]
    whole.write(statement)
    whole.bench.platform.databases.dispose()

    assert kind in whole.kinds(), whole.decision()


def test_nothing_that_changes_nothing_counts(whole: Reports) -> None:
    whole.write(
        "analyze base",
        "vacuum base",
        "create index on base (id)",
        "create table unrelated (id integer)",
        "insert into unrelated values (1)",
        "create view unrelated_view as select 1",
    )

    assert whole.decision().unchanged, whole.decision()


def test_a_write_is_told_with_its_rows(reports: Reports) -> None:
    reports.report()

    reports.write("insert into sale values (101, 7, 1), (102, 7, 2); delete from sale where id = 1")

    assert str(reports.decision()) == "Not unchanged: sale was written to: 3 rows."


def test_what_is_unchanged_says_since_when(reports: Reports) -> None:
    reports.report()
    done = reports.decision()

    assert done.note.startswith("Unchanged since 20")
    assert done.note.endswith("UTC: its source wasn't written to.")
    assert done.evidence
    assert (done.evidence.records, done.evidence.count) == (100, 1)


@pytest.mark.parametrize("mode", ["plain", "concurrently", "swap"])
def test_every_mode_keeps_its_evidence(reports: Reports, mode: str) -> None:
    reports.report(f"-- seeder: mode={mode} unique=(id)\nselect * from sale")
    assert reports.decision().unchanged, reports.decision()

    reports.write("insert into sale values (101, 7, 1)")
    assert reports.kinds() == {Kind.WRITTEN}
    assert reports.refresh().figures.records == 101

    assert reports.decision().unchanged, reports.decision()


def test_what_reads_a_report_that_did_not_change_is_unchanged_too(reports: Reports) -> None:
    reports.report("-- seeder: unique=(id)\nselect id, amount > 50.5 as large from sale")
    reports.report("select count(*) from reporting.sales where large", "on_top", 2)
    reports.write("update sale set amount = amount + 0.1")

    assert reports.refresh().changed == 0

    assert reports.decision("on_top").unchanged, reports.decision("on_top")
    reports.write("update sale set amount = 0 where id = 70")
    assert reports.refresh().changed == 2
    assert str(reports.decision("on_top")) == "Not unchanged: reporting.sales was written to: 2 rows."


def test_rows_made_under_an_older_snapshot_are_noticed(reports: Reports) -> None:
    reports.report()
    with connection(reports.bench) as person:
        person.execute("begin isolation level repeatable read; select 1 from sale limit 1")
        reports.write("insert into sale values (101, 7, 1)")
        reports.refresh()
        person.execute("refresh materialized view reporting.sales; commit")

    assert reports.bench.value("select count(*) from reporting.sales") == 100
    assert reports.kinds() == {Kind.TOUCHED}


def test_a_refresh_by_somebody_else_that_changes_no_row_and_no_file_is_noticed(reports: Reports) -> None:
    reports.report("-- seeder: unique=(id)\nselect * from sale")
    assert reports.decision().unchanged, reports.decision()

    reports.bench.sql("refresh materialized view concurrently reporting.sales")

    assert reports.kinds() == {Kind.TOUCHED}


def test_a_commit_between_evidence_and_rows_is_a_change_and_not_missed(reports: Reports) -> None:
    reports.report()
    real = upkeep.refresh

    def late(*arguments: Any) -> Any:
        reports.write("insert into sale values (101, 7, 1)")
        return real(*arguments)

    reports.write("delete from sale where id = 1")
    with patch.object(upkeep, "refresh", late):
        reports.refresh()

    assert str(reports.decision()) == "Not unchanged: sale was written to: 1 row."


def test_a_role_with_repeatable_read_misses_nothing(reports: Reports) -> None:
    """The refresh's snapshot is then that of its transaction's first statement."""
    reports.report()
    with reports.bench.platform.databases.session() as session:
        session.run_text("set default_transaction_isolation = 'repeatable read'")
    real = measure.after_plain

    def meanwhile(*arguments: Any) -> str:
        reports.write("insert into sale values (101, 7, 1)")
        return real(*arguments)

    reports.write("delete from sale where id = 1")
    with patch.object(measure, "after_plain", meanwhile):
        reports.refresh()
    reports.bench.platform.databases.dispose()

    rows = reports.bench.value("select count(*) from reporting.sales")
    assert rows == 100 or not reports.decision().unchanged


def test_an_exchange_of_its_source_is_a_change(reports: Reports) -> None:
    reports.report("-- seeder: mode=swap\nselect * from sale")
    reports.report("select count(*) from reporting.sales", "on_top", 2)
    with reports.bench.platform.databases.session() as session:
        below = session.row("select 'reporting.sales'::regclass::oid as oid").oid

    reports.write("vacuum full sale")
    reports.refresh()

    with reports.bench.platform.databases.session() as session:
        assert session.row("select 'reporting.sales'::regclass::oid as oid").oid != below
    assert not reports.decision("on_top").unchanged


def test_a_stamp_stays_small_however_many_partitions(reports: Reports) -> None:
    names = [f"t{number}" for number in range(40)]
    reports.write(
        "create table many (id integer) partition by list (id);"
        "do $$ begin for i in 1..120 loop"
        " execute format('create table many_%s partition of many for values in (%s)', i, i);"
        " end loop; end $$;" + ";".join(f"create table {name} (id integer)" for name in names)
    )
    query = " union all ".join(f"select id from {name}" for name in ["many", *names])
    reports.report(query)
    comment = reports.bench.comment() or ""

    assert reports.decision().unchanged
    assert len(comment) < 2000

    reports.write("insert into many values (77)")
    assert str(reports.decision()) == "Not unchanged: many was written to: 1 row."
    reports.refresh()
    reports.write("insert into t39 values (1)")
    assert reports.kinds() == {Kind.SOURCES}
    reports.bench.sql("drop table many cascade")


def test_without_skipping_nothing_is_noted(reports: Reports) -> None:
    reports.made["sales"] = reports.bench.manifest()
    for _ in range(2):
        reports.bench.refresh()

    stamp = reports.bench.stamp()
    assert stamp
    assert stamp.evidence is None
    assert reports.kinds() == {Kind.NO_EVIDENCE}


def test_a_change_of_what_is_expected_is_one(reports: Reports) -> None:
    reports.report()

    assert reports.decision(expect="rows > 5").why == (Why(Kind.SETTINGS),)
    assert reports.kinds() == set()


def test_a_run_that_is_not_needed_is_not_done(reports: Reports) -> None:
    reports.report()
    made = reports.bench.rewritten()

    done = reports.refresh()

    assert (done.outcome, done.figures.records) == ("unchanged", 100)
    assert (done.note or "").startswith("Unchanged since ")
    assert reports.bench.rewritten() == made
    assert reports.refresh().note == done.note

    reports.write("delete from sale where id = 1")
    assert (reports.refresh().outcome, reports.refresh().outcome) == ("refreshed", "unchanged")


@pytest.mark.parametrize(("setting", "word"), [(True, "refresh"), (False, "skip")])
def test_a_manifest_says_otherwise(reports: Reports, setting: bool, word: str) -> None:
    manifest = reports.bench.manifest(f"-- seeder: unchanged={word}\nselect * from sale")
    reports.tell()
    outcomes = [
        reports.bench.refresh(manifest, reports.bench.policy(skip_unchanged=setting)).outcome
        for _ in range(3)
    ]

    assert outcomes == ["created", "refreshed", {"refresh": "refreshed", "skip": "unchanged"}[word]]


def test_unchanged_and_no_longer_fresh_is_an_error(reports: Reports) -> None:
    reports.write("create table seen (day timestamptz); insert into seen values (now() - interval '1 hour')")
    reports.report("-- seeder: expect=(fresh(day, 3602 s))\nselect day from seen")
    assert reports.refresh().outcome == "unchanged"

    reports.bench.sql("select pg_sleep(2)")

    with pytest.raises(Rejected, match="old data kept: wanted fresh"):
        reports.refresh()


def test_what_no_counter_shows_a_comparison_finds(reports: Reports) -> None:
    manifest = reports.report()
    with connection(reports.bench) as person:
        person.execute("set track_counts = off; insert into sale values (101, 7, 1)")
        person.execute("delete from sale where id < 3")
        person.execute("commit")

    assert reports.decision().unchanged
    with reports.bench.platform.databases.session() as session:
        found = difference(session, manifest, reports.policy())
    assert (found.missing, found.extra) == (1, 2)
    reports.write("update sale set id = id")
    reports.refresh()
    with reports.bench.platform.databases.session() as session:
        assert not difference(session, manifest, reports.policy())
