"""``ddl`` and ``apply``: all of the contract or nothing, any number of times, over what is there."""

import secrets
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import IntegrityError
from support.scripts import run_script

from seeder.errors import SchemaNotApplied
from seeder.models import contract
from seeder.schema import apply, check, ddl

#: The two tables as their owners would type them from the contract.
OWNERS_TABLES = """
create schema reporting;
create table reporting.seeder_run_history (
    id bigserial primary key, run_id text not null, manifest_id integer not null, table_name text not null,
    report_name text not null, agency_id integer not null, agency_slug text not null,
    report_type text not null, status text not null, start_time timestamptz not null default now(),
    finish_time timestamptz, duration_seconds integer, records_processed bigint default 0,
    bytes_processed bigint default 0, memory_usage_mb integer, cpu_percentage integer,
    consecutive_failures integer default 0, errors text, created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index on reporting.seeder_run_history (table_name);
create index on reporting.seeder_run_history (agency_slug);
create index on reporting.seeder_run_history (start_time desc);
create table reporting.seeder_job_status (
    table_name text primary key, manifest_id integer not null, report_name text not null,
    report_type text not null, agency_id integer not null, agency_slug text not null, status text not null,
    duration_seconds integer default 0, start_time timestamptz, consecutive_failures integer default 0,
    last_run_id text, last_errors text, updated_at timestamptz not null default now()
);
create index on reporting.seeder_job_status (agency_slug);
"""

RELATIONS = """
select relname, relkind::text, oid from pg_class
where relnamespace = (select oid from pg_namespace where nspname = 'reporting')
order by relname
"""


def test_applying_twice_changes_nothing_the_second_time(connection: Connection) -> None:
    before = connection.execute(text(RELATIONS)).all()
    connection.rollback()
    apply(connection, "reporting", "public.agency")
    assert connection.execute(text(RELATIONS)).all() == before


def test_owners_tables_are_completed_and_keep_their_rows(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text(OWNERS_TABLES))
        connection.execute(
            text(
                "insert into reporting.seeder_run_history (run_id, manifest_id, table_name, report_name, "
                "agency_id, agency_slug, report_type, status) "
                "values ('s.custom-1', 1, 't', 'r', 1, 'a', 'custom', 'success')"
            )
        )
        connection.commit()
        apply(connection, "reporting", "public.agency")
        differences = check(connection, "reporting", "public.agency")
        assert [one for one in differences if one.failure or "missing" in one.what] == []
        indexes = connection.execute(
            text("select count(*) from pg_indexes where tablename = 'seeder_run_history'")
        )
        assert indexes.scalar() == 5, "the owners' indexes aren't made a second time"
        assert connection.execute(text("select count(*) from reporting.seeder_run_history")).scalar() == 1


@pytest.mark.parametrize(
    "schema", ["odd schema", "Reporting", "lateral", 'q"uote', "$do$", "$view$", "100%s", ":x", "ä" * 31]
)
def test_any_schema_name_works(connection: Connection, schema: str) -> None:
    connection.execute(text("create table public.agency (id integer primary key, name text)"))
    for _ in range(2):
        run_script(connection, ddl(schema, "public.agency", agency_fk=True))
    assert check(connection, schema, "public.agency", agency_fk=True) == []
    assert schema in connection.execute(text("select nspname from pg_namespace")).scalars().all()


def test_whatever_fails_nothing_was_changed(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("create schema reporting; create table reporting.seeder_dashboard ()"))
        connection.commit()
        with pytest.raises(SchemaNotApplied, match=r"seeder_dashboard.* is not a view.*seeder schema check"):
            apply(connection, "reporting", "public.agency")
        assert connection.execute(text("select to_regclass('reporting.seeder_job_status')")).scalar() is None


def test_it_works_on_a_connection_in_autocommit(connection: Connection) -> None:
    connection.rollback()
    connection.execution_options(isolation_level="AUTOCOMMIT")
    apply(connection, "reporting", "public.agency")
    assert check(connection, "reporting", "public.agency") == []
    # Whatever check tried out is undone there too.
    assert connection.execute(text("select to_regclass('pg_temp.seeder_dashboard_probe')")).scalar() is None
    assert connection.execute(text("select txid_current_if_assigned()")).scalar() is None


def test_several_may_apply_at_once(engine: Engine) -> None:
    def once(_: int) -> None:
        with engine.connect() as connection:
            apply(connection, "reporting", "public.agency")

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(once, range(4))) == [None] * 4


def test_the_script_is_what_apply_runs(engine: Engine) -> None:
    with engine.connect() as connection:
        script = ddl("reporting", "public.agency")
        for _ in range(2):
            run_script(connection, script)
        assert check(connection, "reporting", "public.agency") == []


def test_a_schemas_owner_needs_no_right_to_create_schemas(connection: Connection) -> None:
    owner = f"owner_{secrets.token_hex(4)}"
    connection.execute(text(f"create role {owner}; create schema theirs authorization {owner}"))
    connection.execute(text(f"set local role {owner}"))
    run_script(connection, ddl("theirs", "public.agency"))
    assert check(connection, "theirs", "public.agency") == []


# --- the foreign key to the agencies ----------------------------------------------------------------------


@pytest.fixture
def agencies(connection: Connection) -> Connection:
    connection.execute(
        text(
            "create table public.agency (id integer primary key, name text);"
            "insert into public.agency values (1, 'Ours'), (2, 'Gone soon')"
        )
    )
    return connection


def insert_run(connection: Connection, agency_id: int) -> None:
    connection.execute(
        contract("reporting").history.insert(),
        {
            "run_id": f"s.custom-{agency_id}",
            "manifest_id": 1,
            "table_name": "t",
            "report_name": "r",
            "agency_id": agency_id,
            "agency_slug": "a",
            "report_type": "custom",
            "status": "pending",
        },
    )


def test_without_the_key_history_outlives_an_agency(agencies: Connection) -> None:
    run_script(agencies, ddl("reporting", "public.agency"))
    insert_run(agencies, 2)
    agencies.execute(text("delete from public.agency where id = 2"))
    assert agencies.execute(text("select count(*) from reporting.seeder_run_history")).scalar() == 1


def test_with_the_key_new_runs_need_an_agency_and_old_ones_may_stay(agencies: Connection) -> None:
    insert_run(agencies, 99)
    for _ in range(2):
        run_script(agencies, ddl("reporting", "public.agency", agency_fk=True))
    keys = agencies.execute(text("select conrelid::regclass::text from pg_constraint where contype = 'f'"))
    assert sorted(keys.scalars()) == ["reporting.seeder_job_status", "reporting.seeder_run_history"]
    with pytest.raises(IntegrityError, match="foreign key"), agencies.begin_nested():
        insert_run(agencies, 98)
    insert_run(agencies, 1)
    with pytest.raises(IntegrityError, match="foreign key"), agencies.begin_nested():
        agencies.execute(text("delete from public.agency where id = 1"))


def test_a_key_that_the_owners_made_is_kept(agencies: Connection) -> None:
    agencies.execute(
        text(
            "alter table reporting.seeder_run_history add constraint theirs "
            "foreign key (agency_id) references public.agency (id) on delete cascade"
        )
    )
    run_script(agencies, ddl("reporting", "public.agency", agency_fk=True))
    keys = agencies.execute(
        text("select conname from pg_constraint where contype = 'f' and conrelid = cast(:t as regclass)"),
        {"t": "reporting.seeder_run_history"},
    )
    assert list(keys.scalars()) == ["theirs"]
    differences = check(agencies, "reporting", "public.agency", agency_fk=True)
    assert "foreign key" not in " ".join(one.what for one in differences)


def test_the_key_without_an_agency_table_is_refused_in_words(connection: Connection) -> None:
    connection.rollback()
    with pytest.raises(SchemaNotApplied, match="there is no agency table"):
        apply(connection, "reporting", "public.agency", agency_fk=True)
