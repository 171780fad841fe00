"""What PostgreSQL's errors mean for a run, and how a person reads them."""

from concurrent.futures import ThreadPoolExecutor

import psycopg2
import pytest
from support.contract import Platform
from support.processes import wait_until

from seeder.errors import (
    DatabaseTrouble,
    DirectiveRefused,
    ManifestError,
    PlaceholderRefused,
    Position,
    QueryFailed,
    QueryPlaceholderRefused,
    QueryRefused,
    Report,
    SchemaIncomplete,
    UnknownDatabase,
)
from seeder.matviews.query.rights import with_reader
from seeder.postgres.failures import (
    TOO_LONG,
    TOO_LONG_OR_CANCELLED,
    expecting_contract,
    in_place,
    judged,
    one_line,
    report,
)
from seeder.postgres.sqlstates import is_passing
from seeder.tasks import FAN_OUT, UPKEEP


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
        ("25006", True), ("53400", False), ("25P03", False), ("25P04", False), ("57P05", True),
        ("HV00N", True), ("40003", True), ("58030", False), ("XX001", False), ("0A000", False),
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
        said = str(report(error))
        assert said.startswith("The connection to the database failed: ")
        assert said.endswith(".")
        assert "\n" not in said
    assert not is_passing(psycopg2.ProgrammingError("can't adapt type"))


def test_a_lock_that_was_awaited_too_long_is_told_with_its_setting_and_where_to_look(
    platform: Platform,
) -> None:
    with platform.databases.session() as holder, holder.transaction():
        holder.run("lock table reporting.seeder_canned_report")
        error = error_of(platform, "set lock_timeout = '10ms'; select from reporting.seeder_canned_report")
    assert error.pgcode == "55P03"
    hint = str(report(error)).splitlines()[1]
    assert hint.startswith("Hint: Another session holds a lock")
    assert "SEEDER_LOCK_TIMEOUT" in hint
    assert "pg_blocking_pids()" in hint


@pytest.mark.parametrize(
    ("own", "ran", "limit", "hint"),
    [
        (None, 3.1, 3, "The refresh took longer than SEEDER_STATEMENT_TIMEOUT allows."),
        ("timeout=3 s", 3.1, 3, "The refresh took longer than timeout=3 s allows."),
        ("timeout=3 s", 2.9, 3, "Somebody ended the statement in the database."),
        (None, 99, 0, "Somebody ended the statement in the database."),
        (
            None,
            None,
            0,
            "It took longer than SEEDER_STATEMENT_TIMEOUT or a limit of its own allows, or somebody",
        ),
    ],
)
@pytest.mark.parametrize("words", ["canceling statement", "storniere Anfrage wegen Zeitüberschreitung"])
def test_a_statement_that_was_ended_is_told_by_how_long_it_ran_and_not_by_its_words(
    platform: Platform, own: str | None, ran: float | None, limit: float, hint: str, words: str
) -> None:
    error = judged(error_of(platform, f"do $$ begin raise '{words}' using errcode = '57014'; end $$"))
    assert f"57014: {words}\nHint: {hint}" in str(in_place(error, None, own, ran=ran, limit=limit))


def test_a_limit_that_is_configured_is_named_and_final(platform: Platform) -> None:
    error = error_of(
        platform,
        "set temp_file_limit = '1MB'; set work_mem = '64kB';"
        "select md5(g::text) from generate_series(1, 100000) g order by 1",
    )
    assert (error.pgcode, is_passing(error)) == ("53400", False)
    assert "temp_file_limit. Make the query cheaper, or raise it." in str(judged(error))


@pytest.mark.parametrize(
    "statement", ["refresh materialized view reporting.held", "drop materialized view reporting.held"]
)
def test_a_grant_that_is_committed_meanwhile_is_tried_again(any_platform: Platform, statement: str) -> None:
    any_platform.sql("create materialized view reporting.held as select 1 as one")
    with any_platform.databases.session() as person, any_platform.databases.session() as worker:
        person.run("begin")
        person.run("grant select on all tables in schema reporting to public")
        pid = worker.backend_pid
        with ThreadPoolExecutor(1) as threads:
            refreshed = threads.submit(worker.run, statement)
            wait_until(
                "it waits for the grant",
                lambda: any_platform.value(
                    f"select wait_event_type = 'Lock' from pg_stat_activity where pid = {pid}"
                ),
            )
            person.run("commit")
            error = refreshed.exception(10)
    any_platform.sql("revoke select on all tables in schema reporting from public")
    assert isinstance(error, psycopg2.Error)
    assert error.pgcode == "XX000"
    assert is_passing(error)
    assert type(judged(error)) is DatabaseTrouble


def test_a_database_that_is_read_only_for_a_while_passes(platform: Platform) -> None:
    error = error_of(platform, "set local transaction_read_only = on; create table public.t (i int)")
    assert is_passing(error)
    assert isinstance(error, FAN_OUT["autoretry_for"])
    assert isinstance(error, UPKEEP["throws"])


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
    lines = str(report(error)).splitlines()
    assert lines[:3] == ["22012: no", "Detail: why", "Hint: how"]
    assert lines[3].startswith("Context: PL/pgSQL function inline_code_block line 1")


def test_a_report_says_where_in_the_manifests_own_sql(platform: Platform) -> None:
    error = error_of(platform, "select nothing_like_it")
    asked = []

    def locate(position: int) -> Position | None:
        asked.append(position)
        return Position(3, 4) if len(asked) == 1 else None

    told = judged(error, locate)
    assert isinstance(told, QueryFailed)
    assert told.position == (3, 4)
    assert str(told).endswith("\nAt line 3, column 4 of the manifest's query")
    assert "At line" not in str(judged(error, locate))
    assert "At line" not in str(judged(error))
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


def test_a_drivers_words_fit_into_a_sentence(platform: Platform) -> None:
    assert one_line(ValueError(" could not\n\tconnect:  refused.\n")) == "could not connect: refused"
    pointed = error_of(platform, "select 1 as one,\n  amoumt from pg_class")
    assert "^" in str(pointed)
    assert one_line(pointed) == 'column "amoumt" does not exist'
    hinted = error_of(platform, "select relnme from pg_class")
    assert one_line(hinted).startswith('column "relnme" does not exist HINT: ')


def test_what_is_added_to_an_error_changes_its_facts_and_nothing_that_postgresql_said(
    platform: Platform,
) -> None:
    """The words of ours that a message is made of may stand in what PostgreSQL quotes, too."""
    quoted = f"The connection to the database failed. {TOO_LONG_OR_CANCELLED}\nAt line 1, column 1"
    error = error_of(
        platform,
        f"do $$ begin raise '%', $m${quoted}$m$ using errcode = '57014', detail = $m${quoted}$m$; end $$",
    )
    first = judged(error, lambda _: Position(7, 2))
    told = in_place(first, "database 7", "timeout=3 s", ran=4, limit=3)
    assert isinstance(told, QueryFailed)
    assert (told.report.message, told.report.detail) == (quoted, quoted)
    assert told.report.database == "database 7"
    assert told.report.advice == TOO_LONG.format(limit="timeout=3 s")
    assert str(told).count(quoted) == 2
    assert str(told).endswith("\nIn database 7")
    # The error that it was made from is as it was.
    assert first.report.database is None
    assert "database 7" not in str(first)


def test_the_advice_gives_way_to_a_hint_of_postgresqls_own(platform: Platform) -> None:
    error = error_of(platform, "do $$ begin raise 'no' using errcode = '57014', hint = 'Ask Ann.'; end $$")
    told = in_place(judged(error), None, ran=4, limit=3)
    assert "\nHint: Ask Ann." in str(told)
    assert "SEEDER_STATEMENT_TIMEOUT" not in str(told)


def test_who_lacks_a_right_and_where_the_error_is_from_are_told_each_once(platform: Platform) -> None:
    denied = error_of(platform, "do $$ begin raise 'no' using errcode = '42501'; end $$")
    with pytest.raises(QueryFailed) as failed:
        raise judged(denied) from denied
    told = in_place(with_reader(failed.value, "bi"), "database 7")
    assert told.__cause__ is denied
    assert str(told).splitlines()[-2:] == ["The query is run with the rights of bi.", "In database 7"]


@pytest.mark.parametrize(
    "error",
    [
        QueryRefused(reason="it is empty", position=Position(3, 14)),
        DirectiveRefused(reason="no such word", position=Position(3, 14)),
        QueryPlaceholderRefused(placeholder=":x", reason="unknown", position=Position(3, 14)),
        QueryFailed(report=Report("42703", "no such column", position=Position(3, 14))),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_about_a_place_in_the_query_knows_it_and_tells_it(error: ManifestError) -> None:
    assert error.position == (3, 14)
    assert str(error).count("line 3, column 14") == 1


def test_an_error_that_only_speaks_of_a_place_has_none() -> None:
    words = "At line 1, column 2 of the manifest's query"
    assert QueryFailed(report=Report("P0001", words)).position is None
    assert PlaceholderRefused(placeholder=words, reason="(line 1, column 2).").position is None
