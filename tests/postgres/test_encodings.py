"""Databases in other encodings than UTF-8, and everything that would have a connection speak another one."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import psycopg2
import pytest
from sqlalchemy.engine import make_url
from support.contract import Platform, as_it_is, new_run, platform_on
from support.emptied import fresh_database
from support.homes import ask_postgres
from support.running import run

from seeder.config.settings import Settings
from seeder.errors import DatabaseUnreachable, FieldUnreadable, QueryFailed
from seeder.history import Refusal
from seeder.matviews import bring_up_to_date, policy_of
from seeder.matviews.locks import lock
from seeder.postgres.databases import Databases
from seeder.postgres.encoding import UNREADABLE, codec_of, writable

IN = "encoding '{0}' locale_provider libc lc_collate 'C' lc_ctype 'C'"


@contextmanager
def platform_in(encoding: str, postgres_url: str) -> Iterator[Platform]:
    with fresh_database(postgres_url, IN.format(encoding)) as url, platform_on(url) as platform:
        yield platform


@pytest.fixture(scope="module", params=["postgres_url", "postgres15_url"], ids=["pg18", "pg15"])
def latin1(request: pytest.FixtureRequest) -> Iterator[Platform]:
    with platform_in("LATIN1", request.getfixturevalue(request.param)) as platform:
        yield platform


@pytest.fixture(scope="module")
def any_bytes(postgres_url: str) -> Iterator[Platform]:
    """SQL_ASCII: PostgreSQL keeps bytes and asks nothing."""
    with platform_in("SQL_ASCII", postgres_url) as platform:
        yield platform


def spoken(databases: Databases) -> str:
    with databases.session() as session:
        return str(session.row("show client_encoding").client_encoding)


@pytest.mark.parametrize(
    "how", ["the environment", "the role", "the database", "the URL", "options in the URL"]
)
def test_a_connection_speaks_utf8_whatever_says_otherwise(
    how: str, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = make_url(database_url)
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    person = psycopg2.connect(plain)
    person.autocommit = True
    with person.cursor() as cursor:
        match how:
            case "the environment":
                monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
            case "the role":
                cursor.execute("create role latin login superuser password 'x'")
                cursor.execute("alter role latin set client_encoding = 'LATIN1'")
                url = url.set(username="latin", password="x")
            case "the database":
                cursor.execute(f"alter database \"{url.database}\" set client_encoding = 'LATIN1'")
            case "the URL":
                url = url.update_query_dict({"client_encoding": "LATIN1"})
            case _:
                url = url.update_query_dict({"options": "-c client_encoding=LATIN1"})
    databases = Databases(url.render_as_string(hide_password=False))
    try:
        assert spoken(databases) == "UTF8"
        with databases.bare_connection() as bare:
            assert bare.encoding == "UTF8"
        with databases.session() as session:
            assert session.row("select %(word)s as word", word="größer als €").word == "größer als €"
    finally:
        databases.dispose()
        with person.cursor() as cursor:
            cursor.execute("drop role if exists latin")
        person.close()


def test_what_a_database_cant_hold_is_recorded_with_a_question_mark(latin1: Platform) -> None:
    latin1.history.queue([new_run("n2.custom-1", "sum")])
    latin1.history.fail(as_it_is(latin1.history, "n2.custom-1"), "größer als 5 € … 日本")
    assert latin1.run("n2.custom-1").errors == "größer als 5 ? ? ??"
    refusal = Refusal(new_run("n3.custom-2", "other"), "near „größe…“")
    assert latin1.history.refuse([refusal]) == []
    assert latin1.run("n3.custom-2").errors == "near ?größe??"


def test_one_manifest_that_is_no_text_hurts_no_other(any_bytes: Platform) -> None:
    any_bytes.custom(1)
    any_bytes.custom(2, report_name="größer")
    for number, (column, said) in enumerate(
        {"query": "select ''caf\\351''", "report_name": "caf\\351", "agency_slug": "\\377"}.items(), 11
    ):
        any_bytes.custom(number)
        any_bytes.sql(
            f"update reporting.seeder_custom_report_manifest set {column} = e'{said}' where id = {number}"
        )
    manifests = {one.manifest_id: one for one in any_bytes.all_manifests()}
    assert manifests[2].report_name == "größer"
    for number in (1, 2):
        manifests[number].verify()
    for number, field in {11: "query", 12: "report_name", 13: "agency_slug"}.items():
        with pytest.raises(FieldUnreadable, match=f"{field} holds bytes that are no text"):
            manifests[number].verify()
    assert manifests[12].report_name == f"caf{UNREADABLE}"
    # And the connection speaks UTF-8 again.
    assert spoken(any_bytes.databases) == "UTF8"
    # What is shown of it can be read, too.
    assert UNREADABLE in {job.manifest_id: job for job in any_bytes.history.jobs()}[12].report_name


def test_bytes_that_mean_nothing_in_the_databases_encoding_are_no_text_either(postgres_url: str) -> None:
    with platform_in("WIN1252", postgres_url) as platform:
        platform.custom(1)
        platform.custom(2)
        platform.sql(
            "update reporting.seeder_custom_report_manifest set query = query || e' -- \\201' where id = 2"
        )
        good, bad = platform.all_manifests()
        good.verify()
        with pytest.raises(FieldUnreadable):
            bad.verify()


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII", "EUC_JP", "WIN1252"])
def test_a_report_is_refreshed_and_its_error_has_its_place(encoding: str, postgres_url: str) -> None:
    with platform_in(encoding, postgres_url) as platform:
        platform.sql("create table public.k as select 1 as id")
        platform.custom(1, table_name="with_error", query="select größe from public.k")
        platform.custom(2, table_name="without_error", query="select id, 'größe' as what from public.k")
        wrong = run(platform, 1)
        assert wrong.status == "error"
        assert wrong.errors.splitlines()[0] == '42703: column "größe" does not exist'
        assert wrong.errors.splitlines()[-1] == "At line 1, column 8 of the manifest's query"
        for seeding in ("n2", "n3"):
            assert (run(platform, 2, seeding).status, platform.sql("table reporting.without_error")) == (
                "success",
                [(1, "größe")],
            )


def test_in_an_environment_of_latin1_an_error_is_recorded_at_once(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    platform.databases.dispose()
    platform.sql("create table public.k as select 1 as id")
    platform.custom(1, query="select größe from public.k")
    assert run(platform, 1).errors.startswith('42703: column "größe" does not exist')


def test_a_query_that_a_database_cant_hold_is_an_error_of_its_run(latin1: Platform) -> None:
    latin1.custom(1, table_name="plain")
    manifest = replace(latin1.all_manifests()[0], raw_query="select '日本' as land")
    policy = policy_of(Settings())
    with latin1.databases.session() as session:
        found = lock.take(session, manifest.matview, "seeder n4.custom-1 0", policy.limits)
        with pytest.raises(QueryFailed, match=r'22P05: .*has no equivalent in encoding "LATIN1"'):
            bring_up_to_date(session, manifest, found, policy)
        lock.release(session, manifest.matview)


def test_an_encoding_that_cant_be_had_as_utf8_is_refused_in_one_line(postgres_url: str) -> None:
    ask_postgres(postgres_url, f"create database mule template template0 {IN.format('MULE_INTERNAL')}")
    try:
        databases = Databases(
            make_url(postgres_url).set(database="mule").render_as_string(hide_password=False)
        )
        with pytest.raises(DatabaseUnreachable, match=r"conversion between .* is not supported"):
            databases.verify()
        databases.dispose()
    finally:
        ask_postgres(postgres_url, "drop database mule")


def test_what_psycopg2_calls_python_is_there_for_every_encoding_of_a_server(postgres_url: str) -> None:
    """One that isn't counts as ASCII: nothing breaks, and letters beyond it are lost."""
    names = ask_postgres(
        postgres_url, "select string_agg(pg_encoding_to_char(n), ' ') from generate_series(0, 34) n"
    )
    unknown = {name for name in names.split() if codec_of(name) == "ascii"}
    assert unknown == {"EUC_TW", "MULE_INTERNAL"}
    assert writable(["é", 1, None], "SQL_ASCII") == ["é", 1, None]
