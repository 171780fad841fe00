"""``check``: each damage is found, nothing else is, and the SQL that comes with it mends it."""

import secrets

import pytest
from sqlalchemy import Connection, Engine, text
from support.scripts import run_script

from seeder.models import contract
from seeder.schema import Difference, check

HISTORY = "reporting.seeder_run_history"
STATUS = "reporting.seeder_job_status"
CUSTOM = "reporting.seeder_custom_report_manifest"
CANNED = "reporting.seeder_canned_report_manifest"
VIEW = "reporting.seeder_dashboard"
FREE = f"drop view {VIEW};"
VIEW_MISSING = (VIEW, "the view is missing")


def found(connection: Connection) -> list[tuple[str, str]]:
    return [(one.where, one.what) for one in check(connection, "reporting", "public.agency")]


def mend(connection: Connection, differences: list[Difference]) -> None:
    for one in differences:
        run_script(connection, one.mend)


#: What is done to the database, and what check then says.
DAMAGES: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "view dropped": (FREE, [VIEW_MISSING]),
    "table dropped": (
        f"{FREE} drop table {STATUS}",
        [(STATUS, "the table is missing"), VIEW_MISSING],
    ),
    "input table dropped": (
        f"{FREE} drop table {CANNED}",
        [(CANNED, "the table is missing"), VIEW_MISSING],
    ),
    "input column dropped": (
        f"alter table {CUSTOM} drop column query",
        [(f"{CUSTOM}.query", "the column is missing")],
    ),
    "input column of another kind": (
        f"alter table {CUSTOM} alter column database_id type text",
        [(f"{CUSTOM}.database_id", "the type is text, not integer")],
    ),
    "input text column of another kind": (
        f"alter table {CUSTOM} alter column query type integer using null",
        [(f"{CUSTOM}.query", "the type is integer, not text")],
    ),
    "a sequence in an input's place": (
        f"{FREE} drop table {CANNED}; create sequence {CANNED}",
        [(CANNED, "this is a sequence, not a table"), VIEW_MISSING],
    ),
    "a view in an output's place": (
        f"{FREE} drop table {STATUS}; create view {STATUS} as select 1 as one",
        [(STATUS, "this is a view, not a table"), VIEW_MISSING],
    ),
    "column dropped": (
        f"alter table {HISTORY} drop column memory_usage_mb",
        [(f"{HISTORY}.memory_usage_mb", "the column is missing")],
    ),
    "column dropped that a check, an index and the view use": (
        f"alter table {HISTORY} drop column run_id cascade",
        [
            (f"{HISTORY}.run_id", "the column is missing"),
            (HISTORY, "the unique index on (run_id) is missing"),
            VIEW_MISSING,
        ],
    ),
    "wider type": (
        f"alter table {HISTORY} alter column cpu_percentage type bigint",
        [(f"{HISTORY}.cpu_percentage", "the type is bigint (seeder works with it), not integer")],
    ),
    "narrower type": (
        f"{FREE} alter table {HISTORY} alter column records_processed type integer",
        [(f"{HISTORY}.records_processed", "the type is integer, not bigint"), VIEW_MISSING],
    ),
    "bounded text": (
        f"alter table {STATUS} alter column agency_slug type varchar(50)",
        [(f"{STATUS}.agency_slug", "the type is character varying(50), not text")],
    ),
    "no time zone": (
        f"{FREE} alter table {STATUS} alter column updated_at type timestamp",
        [
            (f"{STATUS}.updated_at", "the type is timestamp without time zone, not timestamp with time zone"),
            VIEW_MISSING,
        ],
    ),
    "extra not null": (
        f"alter table {HISTORY} alter column finish_time set not null",
        [
            (
                f"{HISTORY}.finish_time",
                "the column is not null, but seeder leaves it empty where there is nothing to say",
            )
        ],
    ),
    "not null dropped": (
        f"alter table {HISTORY} alter column agency_id drop not null",
        [(f"{HISTORY}.agency_id", "the column is nullable (seeder works with it)")],
    ),
    "unknown column that must be filled": (
        f"alter table {STATUS} add column region text not null",
        [(f"{STATUS}.region", "seeder doesn't know the column, which is not null and has no default")],
    ),
    "default dropped": (
        f"alter table {HISTORY} alter column created_at drop default",
        [(f"{HISTORY}.created_at", "the default is missing; the contract says now()")],
    ),
    "another default": (
        f"alter table {STATUS} alter column duration_seconds set default 1",
        [(f"{STATUS}.duration_seconds", "the default is 1; the contract says 0")],
    ),
    "a default too many": (
        f"alter table {HISTORY} alter column finish_time set default now()",
        [(f"{HISTORY}.finish_time", "the column has the default now(), and the contract has none")],
    ),
    "rows without a number": (
        f"alter table {HISTORY} alter column id drop default",
        [(f"{HISTORY}.id", "the column does not number its rows")],
    ),
    "primary key dropped": (
        f"alter table {STATUS} drop constraint seeder_job_status_pkey",
        [(STATUS, "the primary key (table_name) is missing")],
    ),
    "another primary key": (
        (
            f"alter table {STATUS} drop constraint seeder_job_status_pkey, "
            "add primary key (table_name, report_type)"
        ),
        [(STATUS, "the primary key is (table_name, report_type), not (table_name)")],
    ),
    "index dropped": (
        "drop index reporting.seeder_run_history_table_name_idx",
        [(HISTORY, "the index on (table_name) is missing")],
    ),
    "index in the other direction": (
        (
            "drop index reporting.seeder_run_history_start_time_idx; "
            f"create index seeder_run_history_start_time_idx on {HISTORY} (start_time)"
        ),
        [(HISTORY, "the index on (start_time desc) is missing")],
    ),
    "index over some rows": (
        (
            "drop index reporting.seeder_job_status_agency_slug_idx; "
            f"create index seeder_job_status_agency_slug_idx on {STATUS} (agency_slug) where agency_id > 0"
        ),
        [(STATUS, "the index on (agency_slug) is missing")],
    ),
    "index that can only find equals": (
        (
            "drop index reporting.seeder_job_status_agency_slug_idx; "
            f"create index on {STATUS} using hash (agency_slug)"
        ),
        [(STATUS, "the index on (agency_slug) is missing")],
    ),
    "run_id no longer unique": (
        (
            "drop index reporting.seeder_run_history_run_id_idx; "
            f"create index seeder_run_history_run_id_idx on {HISTORY} (run_id)"
        ),
        [(HISTORY, "the unique index on (run_id) is missing")],
    ),
    "run_id unique only at commit": (
        (
            "drop index reporting.seeder_run_history_run_id_idx; "
            f"alter table {HISTORY} add constraint seeder_run_history_run_id_idx unique (run_id) deferrable"
        ),
        [(HISTORY, "the unique index on (run_id) is missing")],
    ),
    "unique what isn't": (
        f"create unique index theirs on {STATUS} (manifest_id)",
        [(STATUS, "the unique index theirs on (manifest_id) refuses what the contract allows")],
    ),
    "a constraint that makes unique what isn't": (
        f"alter table {HISTORY} add constraint theirs unique (table_name, start_time)",
        [(HISTORY, "the unique index theirs on (table_name, start_time) refuses what the contract allows")],
    ),
    "check dropped": (
        f"alter table {HISTORY} drop constraint seeder_run_history_status_check",
        [
            (
                f"{HISTORY}.status",
                "the check that holds it to 'pending', 'running', 'success', 'error' is missing",
            )
        ],
    ),
    "check that checks nothing": (
        (
            f"alter table {STATUS} drop constraint seeder_job_status_report_type_check, "
            "add constraint seeder_job_status_report_type_check check (report_type <> '')"
        ),
        [(f"{STATUS}.report_type", "the check that holds it to 'custom', 'canned' is missing")],
    ),
    "check that refuses a word": (
        f"alter table {STATUS} add constraint theirs check (status in ('running', 'success', 'error'))",
        [(f"{STATUS}.status", "the check theirs refuses 'pending'")],
    ),
    "check that allows a word more": (
        (
            f"alter table {STATUS} drop constraint seeder_job_status_status_check, "
            "add check (status = any (array['pending', 'running', 'success', 'error', 'lost']))"
        ),
        [
            (
                f"{STATUS}.status",
                "the check allows 'lost' beside 'pending', 'running', 'success', 'error'",
            )
        ],
    ),
    "check that fails on a word": (
        f"alter table {HISTORY} add constraint theirs check (1 / (length(status) - 5) >= 0)",
        [(f"{HISTORY}.status", "the check theirs refuses 'error'")],
    ),
    "another view": (
        f"{FREE} create view {VIEW} as select 1 as one",
        [(VIEW, "the view is not the one that this version makes for these tables")],
    ),
    "another view, which can't be read again": (
        f"""
        create function is_small(integer) returns boolean immutable return true;
        create domain small as integer check (is_small(value)); create type pair as (a small, b small);
        {FREE} create view {VIEW} as select ('(1,2)'::pair).a;
        create or replace function is_small(integer) returns boolean immutable return false;
        -- With it the session forgets the checks that it has read.
        create domain forgetful as integer check (value > 0)
        """,
        [(VIEW, "the view is not the one that this version makes for these tables")],
    ),
    "another view, without columns": (
        f"{FREE} create view {VIEW} as select",
        [(VIEW, "the view is not the one that this version makes for these tables")],
    ),
    "a materialized view in the view's place": (
        f"{FREE} create materialized view {VIEW} as select 1 as one",
        [(VIEW, "this is a materialized view, not a view")],
    ),
    "an agency table since": (
        "create table public.agency (id bigint primary key, name text)",
        [(VIEW, "the view is not the one that this version makes for these tables")],
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damage_is_found_and_mended(connection: Connection, damage: str) -> None:
    sql, expected = DAMAGES[damage]
    assert found(connection) == []
    run_script(connection, sql)
    assert found(connection) == expected
    mend(connection, check(connection, "reporting", "public.agency"))
    assert found(connection) == []


#: What is lost without the columns that owners may leave out.
OPTIONAL = {
    f"{HISTORY}.note": "what a person should know of a success is written nowhere",
    f"{HISTORY}.attempts": "how often a run was tried is counted in Redis alone, which may be emptied",
}


def missing(where: str) -> tuple[str, str]:
    lost = OPTIONAL.get(where)
    what = (
        f"the optional column is missing (seeder works without it): {lost}"
        if lost
        else "the column is missing"
    )
    return where, what


def test_what_is_lost_without_an_optional_column_is_worth_knowing_and_no_fault(
    connection: Connection,
) -> None:
    run_script(connection, f"alter table {HISTORY} drop column note, drop column attempts")
    told = check(connection, "reporting", "public.agency")
    assert {(one.where, one.what) for one in told} == {missing(where) for where in OPTIONAL}
    assert [one.failure for one in told] == [False, False]
    mend(connection, told)
    assert found(connection) == []


#: What owners may do to their tables without any difference from the contract.
LIBERTIES = {
    "columns more": f"alter table {HISTORY} add column host text, "
    "add column kept boolean not null default false",
    "columns more in the inputs": f"alter table {CANNED} add column enabled boolean not null default true",
    "wider inputs": f"{FREE} alter table {CUSTOM} alter column id type bigint, "
    "alter column agency_slug type varchar(80), alter column enabled set not null",
    "identity in place of serial": f"alter table {HISTORY} alter column id drop default, "
    "alter column id add generated always as identity",
    "names of their own": "drop index reporting.seeder_run_history_run_id_idx; "
    f"alter table {HISTORY} add constraint one_row_per_run unique (run_id) include (status); "
    f"alter table {HISTORY} drop constraint seeder_run_history_status_check, "
    "add constraint words check (status ~ '^(pending|running|success|error)$')",
    "checks of their own": f"alter table {HISTORY} add check (duration_seconds >= 0), "
    "add check (finish_time >= start_time)",
    "indexes of their own": f"create index on {HISTORY} (created_at); "
    f"create unique index on {HISTORY} (id, run_id)",
    "other words for now()": f"alter table {STATUS} alter column updated_at set default current_timestamp",
    "a foreign key": f"create table public.agencies (id integer primary key); alter table {STATUS} "
    "add foreign key (agency_id) references public.agencies",
    "an agency table without columns": "create table public.agency ()",
    "triggers": f"create trigger t before insert on {STATUS} "
    "for each row execute function suppress_redundant_updates_trigger()",
}


@pytest.mark.parametrize("liberty", LIBERTIES)
def test_what_does_no_harm_is_no_difference(connection: Connection, liberty: str) -> None:
    run_script(connection, LIBERTIES[liberty])
    differences = found(connection)
    # Where the view was in the way, it is missing now and nothing else is.
    assert differences == ([VIEW_MISSING] if FREE in LIBERTIES[liberty] else [])
    mend(connection, check(connection, "reporting", "public.agency"))
    assert found(connection) == []


def test_a_type_under_the_view_is_mended_in_two_steps(connection: Connection) -> None:
    run_script(connection, f"{FREE} alter table {HISTORY} alter column errors type varchar")
    mend(connection, check(connection, "reporting", "public.agency"))
    run_script(connection, f"{FREE} alter table {HISTORY} alter column errors type varchar")
    mend(connection, [one for one in check(connection, "reporting", "public.agency") if one.where == VIEW])
    (difference,) = check(connection, "reporting", "public.agency")
    assert difference.what == "the type is character varying (seeder works with it), not text"
    mend(connection, [difference])
    assert found(connection) == [VIEW_MISSING]
    mend(connection, check(connection, "reporting", "public.agency"))
    assert found(connection) == []


@pytest.mark.parametrize("table", ["history", "status"])
def test_every_column_is_looked_at(connection: Connection, table: str) -> None:
    wanted = getattr(contract("reporting"), table)
    for column in [column.name for column in wanted.columns]:
        with connection.begin_nested() as savepoint:
            run_script(connection, f"alter table {wanted} drop column {column} cascade")
            assert missing(f"{wanted}.{column}") in found(connection), column
            savepoint.rollback()


@pytest.mark.parametrize(
    "table", ["custom_manifest", "canned_manifest", "canned_report", "history", "status"]
)
def test_a_table_without_columns_is_mended_like_any_other(connection: Connection, table: str) -> None:
    wanted = getattr(contract("reporting"), table)
    run_script(connection, f"{FREE} drop table {wanted} cascade; create table {wanted} ()")
    gone = {missing(f"{wanted}.{column.name}") for column in wanted.columns}
    assert gone < set(found(connection))
    # The keys and checks of columns that aren't there come after them.
    for _ in range(2):
        mend(connection, check(connection, "reporting", "public.agency"))
    assert found(connection) == []


def test_an_empty_database_is_mended_to_the_whole_contract(engine: Engine) -> None:
    with engine.connect() as connection:
        differences = check(connection, "reporting", "public.agency")
        assert [(one.where, one.what) for one in differences] == [
            ("reporting", "the schema is missing"),
            (CUSTOM, "the table is missing"),
            (CANNED, "the table is missing"),
            ("reporting.seeder_canned_report", "the table is missing"),
            (HISTORY, "the table is missing"),
            (STATUS, "the table is missing"),
            VIEW_MISSING,
        ]
        mend(connection, differences)
        assert found(connection) == []


def test_a_view_that_can_be_replaced_keeps_its_grants(connection: Connection) -> None:
    connection.execute(text("create table public.agency (id integer primary key)"))
    (difference,) = check(connection, "reporting", "public.agency")
    assert "drop view" not in difference.mend
    run_script(connection, f"{FREE} create view {VIEW} as select 1 as one")
    (difference,) = check(connection, "reporting", "public.agency")
    assert difference.mend.startswith("drop view reporting.seeder_dashboard;")


@pytest.mark.parametrize(
    "agency",
    [
        "create table public.agency (id uuid primary key, name text)",
        "create table public.agency (code text, name text)",
        "create view public.agency as select 1::numeric as id",
    ],
)
def test_an_agency_table_that_can_not_be_joined_is_left_alone(connection: Connection, agency: str) -> None:
    connection.execute(text(agency))
    assert found(connection) == []


def test_the_agency_key_is_missed_only_where_it_is_asked_for(connection: Connection) -> None:
    run_script(connection, f"create table public.agency (id integer primary key); {FREE}")
    mend(connection, check(connection, "reporting", "public.agency"))
    assert found(connection) == []
    differences = check(connection, "reporting", "public.agency", agency_fk=True)
    assert [(one.where, one.what) for one in differences] == [
        (f"{HISTORY}.agency_id", "the foreign key to public.agency is missing"),
        (f"{STATUS}.agency_id", "the foreign key to public.agency is missing"),
    ]
    mend(connection, differences)
    assert check(connection, "reporting", "public.agency", agency_fk=True) == []


# --- what the role may do ---------------------------------------------------------------------------------


@pytest.fixture
def role(connection: Connection) -> str:
    name = f"role_{secrets.token_hex(4)}"
    connection.execute(text(f"create role {name}"))
    return name


def found_as(connection: Connection, role: str) -> list[Difference]:
    connection.execute(text(f"set local role {role}"))
    try:
        return check(connection, "reporting", "public.agency")
    finally:
        connection.execute(text("reset role"))


def test_what_the_role_may_not_do_is_granted_by_the_remedy(connection: Connection, role: str) -> None:
    differences = found_as(connection, role)
    assert [(one.where, one.what.removeprefix(f"the role {role} may not ")) for one in differences] == [
        ("reporting", "use the schema"),
        (CUSTOM, "select"),
        (CANNED, "select"),
        ("reporting.seeder_canned_report", "select"),
        (HISTORY, "select, insert, update, delete"),
        (f"{HISTORY}.id", "use the sequence that numbers the rows"),
        (STATUS, "select, insert, update"),
        (VIEW, "select"),
    ]
    mend(connection, differences)
    assert found_as(connection, role) == []
    connection.execute(text(f"set local role {role}"))
    connection.execute(contract("reporting").history.insert(), RUN)
    connection.execute(text(f"select * from {VIEW}"))


def test_where_the_view_can_not_be_compared_a_note_says_so(connection: Connection, role: str) -> None:
    mend(connection, found_as(connection, role))
    database = connection.execute(text("select current_database()")).scalar()
    connection.execute(text(f"revoke temporary on database {database} from public"))
    (note,) = found_as(connection, role)
    assert not note.failure
    assert "the view can't be compared: permission denied" in note.what
    mend(connection, [note])
    assert found_as(connection, role) == []


def test_a_read_only_server_is_checked_but_for_the_view(connection: Connection) -> None:
    connection.execute(text("set transaction read only"))
    (note,) = check(connection, "reporting", "public.agency")
    assert not note.failure
    assert "read-only" in note.what


# --- orphans ----------------------------------------------------------------------------------------------

RUN = {
    "run_id": "s.custom-1",
    "manifest_id": 1,
    "table_name": "t",
    "report_name": "r",
    "agency_id": 1,
    "agency_slug": "a",
    "report_type": "custom",
    "status": "success",
}


def test_rows_of_manifests_that_are_gone_are_notes(connection: Connection) -> None:
    tables = contract("reporting")
    # Ids collide between the two types: a canned manifest 1 is no parent of a custom run 1.
    connection.execute(tables.canned_manifest.insert(), {"id": 1})
    connection.execute(tables.custom_manifest.insert(), {"id": 2})
    connection.execute(tables.history.insert(), [RUN, RUN | {"run_id": "t.custom-1"}])
    connection.execute(tables.history.insert(), RUN | {"run_id": "t.canned-1", "report_type": "canned"})
    connection.execute(tables.status.insert(), {key: RUN[key] for key in RUN if key != "run_id"})
    notes = check(connection, "reporting", "public.agency")
    assert [(one.where, one.what, one.failure) for one in notes] == [
        (HISTORY, "2 rows belong to manifests that are gone; `seeder prune` deletes old ones in time", False),
        (STATUS, "1 rows belong to manifests that are gone; the dashboard leaves them out", False),
    ]
    mend(connection, notes)
    assert found(connection) == []
    assert connection.execute(text(f"select run_id from {HISTORY}")).scalars().all() == ["t.canned-1"]


def test_check_leaves_nothing_behind(connection: Connection) -> None:
    before = connection.execute(text("select count(*), max(oid) from pg_class")).one()
    check(connection, "reporting", "public.agency")
    assert connection.execute(text("select count(*), max(oid) from pg_class")).one() == before
