"""The tables in a database against the contract's own words, written out here by hand."""

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from seeder.models import ReportType, RunStatus, contract

#: Name, type, default, nullability of each column, as the contract lists them; and seeder's own two.
HISTORY = """
id                   bigint                   nextval  not null
run_id               text                     -        not null
manifest_id          integer                  -        not null
table_name           text                     -        not null
report_name          text                     -        not null
agency_id            integer                  -        not null
agency_slug          text                     -        not null
report_type          text                     -        not null
status               text                     -        not null
start_time           timestamp with time zone now()    not null
finish_time          timestamp with time zone -        null
duration_seconds     integer                  -        null
records_processed    bigint                   0        null
bytes_processed      bigint                   0        null
memory_usage_mb      integer                  -        null
cpu_percentage       integer                  -        null
consecutive_failures integer                  0        null
errors               text                     -        null
created_at           timestamp with time zone now()    not null
updated_at           timestamp with time zone now()    not null
note                 text                     -        null
attempts             integer                  -        null
"""
STATUS = """
table_name           text                     -        not null
manifest_id          integer                  -        not null
report_name          text                     -        not null
report_type          text                     -        not null
agency_id            integer                  -        not null
agency_slug          text                     -        not null
status               text                     -        not null
duration_seconds     integer                  0        null
start_time           timestamp with time zone -        null
consecutive_failures integer                  0        null
last_run_id          text                     -        null
last_errors          text                     -        null
updated_at           timestamp with time zone now()    not null
"""
COLUMNS = {"seeder_run_history": HISTORY, "seeder_job_status": STATUS}
INPUTS = {
    "seeder_custom_report_manifest": (
        "id table_name report_name agency_id agency_slug query database_id enabled"
    ),
    "seeder_canned_report_manifest": "id agency_id agency_slug canned_report_id",
    "seeder_canned_report": "id table_name report_name query database_id",
}
INDEXES = {
    "seeder_run_history": {
        "UNIQUE (id)",
        "UNIQUE (run_id)",
        "(table_name)",
        "(agency_slug)",
        "(start_time DESC)",
    },
    "seeder_job_status": {"UNIQUE (table_name)", "(agency_slug)"},
}


@pytest.mark.parametrize(
    ("table", "columns"), [("seeder_run_history", HISTORY), ("seeder_job_status", STATUS)]
)
def test_written_tables_have_exactly_the_contracts_columns(
    connection: Connection, table: str, columns: str
) -> None:
    found = connection.execute(
        text(
            "select column_name, data_type, coalesce(column_default, '-'), is_nullable "
            "from information_schema.columns where table_schema = 'reporting' and table_name = :table "
            "order by ordinal_position"
        ),
        {"table": table},
    )
    live = [
        f"{name:21}{kind:25}{'nextval' if default.startswith('nextval(') else default:9}"
        f"{'null' if nullable == 'YES' else 'not null'}"
        for name, kind, default, nullable in found
    ]
    assert live == COLUMNS[table].strip().splitlines()


@pytest.mark.parametrize("table", INDEXES)
def test_written_tables_have_exactly_the_contracts_indexes(connection: Connection, table: str) -> None:
    found = connection.execute(
        text("select indexdef from pg_indexes where schemaname = 'reporting' and tablename = :table"),
        {"table": table},
    ).scalars()
    live = {
        ("UNIQUE " if "UNIQUE" in definition else "") + definition.partition("USING btree ")[2]
        for definition in found
    }
    assert live == INDEXES[table]


@pytest.mark.parametrize("table", INPUTS)
def test_input_tables_have_the_contracts_columns_and_require_only_the_key(
    connection: Connection, table: str
) -> None:
    found = connection.execute(
        text(
            "select column_name, is_nullable from information_schema.columns "
            "where table_schema = 'reporting' and table_name = :table order by ordinal_position"
        ),
        {"table": table},
    ).all()
    assert [name for name, _ in found] == INPUTS[table].split()
    assert [name for name, nullable in found if nullable == "NO"] == ["id"]


def test_there_are_no_triggers(connection: Connection) -> None:
    assert connection.execute(text("select count(*) from pg_trigger where not tgisinternal")).scalar() == 0


@pytest.mark.parametrize("table", ["seeder_run_history", "seeder_job_status"])
@pytest.mark.parametrize("column", ["status", "report_type"])
def test_the_two_enum_like_columns_take_the_contracts_words_and_no_other(
    connection: Connection, table: str, column: str
) -> None:
    words = {"status": ["pending", "running", "success", "error"], "report_type": ["custom", "canned"]}
    row = {
        "run_id": "s.custom-1",
        "manifest_id": 1,
        "table_name": "t",
        "report_name": "r",
        "agency_id": 1,
        "agency_slug": "a",
        "report_type": "custom",
        "status": "pending",
    }
    if table == "seeder_job_status":
        del row["run_id"]

    insert = contract("reporting").metadata.tables[f"reporting.{table}"].insert()

    def taken(word: str) -> bool:
        try:
            with connection.begin_nested() as savepoint:
                connection.execute(insert, row | {column: word})
                savepoint.rollback()
        except IntegrityError:
            return False
        return True

    assert [word for word in [*words[column], "other", "Pending", ""] if taken(word)] == words[column]


def test_the_words_are_the_contracts() -> None:
    assert list(RunStatus) == ["pending", "running", "success", "error"]
    assert list(ReportType) == ["custom", "canned"]
