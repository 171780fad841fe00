"""What PostgreSQL's errors mean for a run, and how a person reads them."""

import psycopg2
import pytest
from contract import Platform

from seeder.errors import (
    DatabaseTrouble,
    DirectiveRefused,
    PlaceholderRefused,
    QueryFailed,
    QueryRefused,
    SchemaIncomplete,
    UnknownDatabase,
)
from seeder.failures import expecting_contract, in_place, is_passing, judged, one_line, place_in, report


def error_of(platform: Platform, sql: str) -> psycopg2.Error:
    with pytest.raises(psycopg2.Error) as raised:
        platform.sql(sql)
    return raised.value


@pytest.mark.parametrize(
    ("code", "passing"),
    [
        ("08006", True), ("40001", True), ("40P01", True), ("53100", True), ("53200", True), ("53300", True),
        ("55P03", True), ("57P01", True), ("57P02", True), ("57P03", True),
        ("57014", False), ("22012", False), ("42601", False), ("42P01", False), ("40002", False),
        ("55006", False), ("57P04", False), ("XX000", False), ("42501", False),
    ],
)  # fmt: skip
def test_time_mends_what_is_about_the_server_and_nothing_else(
    platform: Platform, code: str, passing: bool
) -> None:
    error = error_of(platform, f"do $$ begin raise exception 'so it is' using errcode = '{code}'; end $$")
    assert error.pgcode == code
    assert is_passing(error) == passing
    told = judged(error)
    assert type(told) is (DatabaseTrouble if passing else QueryFailed)
    assert str(told).startswith(f"{code}: so it is\n")


def test_a_connection_that_is_refused_or_lost_may_come_back(platform: Platform) -> None:
    with pytest.raises(psycopg2.OperationalError) as refused:
        psycopg2.connect("postgresql://user@127.0.0.1:1/name")
    with platform.databases.session() as session:
        session.close()
        with pytest.raises(psycopg2.InterfaceError) as lost:
            session.row("select 1")
    for error in (refused.value, lost.value):
        assert error.pgcode is None
        assert is_passing(error)
        assert report(error).startswith("The connection to the database failed: ")
        assert report(error).endswith(".")
        assert "\n" not in report(error)
    assert not is_passing(psycopg2.ProgrammingError("can't adapt type"))


def test_a_lock_that_was_awaited_too_long_is_told_with_its_setting_and_where_to_look(
    platform: Platform,
) -> None:
    with platform.databases.session() as holder, holder.transaction():
        holder.run("lock table reporting.seeder_canned_report")
        error = error_of(platform, "set lock_timeout = '10ms'; select from reporting.seeder_canned_report")
    assert error.pgcode == "55P03"
    hint = report(error).splitlines()[1]
    assert hint.startswith("Hint: Another session holds a lock")
    assert "SEEDER_LOCK_TIMEOUT" in hint
    assert "pg_blocking_pids()" in hint


@pytest.mark.parametrize(
    ("limit", "named"), [(None, "SEEDER_STATEMENT_TIMEOUT"), ("timeout=3 s", "timeout=3 s")]
)
def test_a_statement_that_took_too_long_is_told_with_the_limit_it_ran_into(
    platform: Platform, limit: str | None, named: str
) -> None:
    error = judged(error_of(platform, "set statement_timeout = '10ms'; select pg_sleep(9)"))
    assert f"Hint: The refresh took longer than {named} allows." in str(in_place(error, None, limit))


def test_an_error_of_another_database_names_it(platform: Platform) -> None:
    missing = judged(error_of(platform, "select * from nowhere"))
    assert in_place(missing, None) is missing
    assert str(in_place(missing, "database 7")).splitlines() == [*str(missing).splitlines(), "In database 7"]
    with pytest.raises(psycopg2.OperationalError) as refused:
        psycopg2.connect("postgresql://user@127.0.0.1:1/name")
    told = in_place(judged(refused.value), "database 7")
    assert isinstance(told, DatabaseTrouble)
    assert str(told).startswith("The connection to database 7 failed: ")
    unknown = UnknownDatabase(database_id=7)
    assert in_place(unknown, "database 7", "timeout=3 s") is unknown


def test_a_report_has_detail_hint_and_context_each_on_its_line(platform: Platform) -> None:
    error = error_of(
        platform,
        "do $$ begin raise exception 'no' using errcode = '22012', detail = 'why', hint = 'how'; end $$",
    )
    lines = report(error).splitlines()
    assert lines[:3] == ["22012: no", "Detail: why", "Hint: how"]
    assert lines[3].startswith("Context: PL/pgSQL function inline_code_block line 1")


def test_a_report_says_where_in_the_manifests_own_sql(platform: Platform) -> None:
    error = error_of(platform, "select nothing_like_it")
    asked = []

    def locate(position: int) -> tuple[int, int] | None:
        asked.append(position)
        return (3, 4) if len(asked) == 1 else None

    assert report(error, locate).endswith("\nAt line 3, column 4 of the manifest's query")
    assert "At line" not in report(error, locate)
    assert "At line" not in report(error)
    assert asked == [8, 8]


@pytest.mark.parametrize(
    ("sql", "missing"),
    [
        ("select * from reporting.nowhere", 'relation "reporting.nowhere"'),
        ("select nothing from reporting.seeder_job_status", 'column "nothing"'),
    ],
)
def test_what_the_contract_promises_and_the_database_lacks_is_named(
    platform: Platform, sql: str, missing: str
) -> None:
    with pytest.raises(SchemaIncomplete) as incomplete, expecting_contract():
        platform.sql(sql)
    assert incomplete.value.facts == {"missing": missing}
    with pytest.raises(psycopg2.errors.DivisionByZero), expecting_contract():
        platform.sql("select 1 / 0")


def test_a_drivers_words_fit_into_a_sentence() -> None:
    assert one_line(ValueError(" could not\n\tconnect:  refused.\n")) == "could not connect: refused"


def test_the_place_that_an_error_names_is_read_again(platform: Platform) -> None:
    words = report(error_of(platform, "select 1,\n  amoumt"), lambda position: (2, position - 8))
    assert place_in(words) == (2, 5)
    assert place_in(str(QueryRefused(reason="it is empty", line=3, column=14))) == (3, 14)
    assert place_in(str(DirectiveRefused(reason="no such word", line=1, column=2))) == (1, 2)
    assert place_in(str(PlaceholderRefused(placeholder=":x", reason="unknown (line 4, column 5)"))) == (4, 5)


@pytest.mark.parametrize(
    "words",
    [
        "",
        "22012: division by zero",
        "At line 1, column 2 of the manifest's query, or not",
        "(line 1, column 2) in the middle",
        "At line 99999999999, column 1 of the manifest's query",
    ],
)
def test_an_error_without_a_place_has_none(words: str) -> None:
    assert place_in(words) is None
