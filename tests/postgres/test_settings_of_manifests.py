"""What is set for statements of our own reaches no manifest: its text and its functions run as in psql."""

import pytest
from support.contract import Platform
from support.running import run

#: What a manifest's session has set, and why it should: whose run it is, where its names are found, how long
#: it may take, how its strings are read, whether its client lives, and what the backend used.
WANTED = {
    "application_name", "client_connection_check_interval", "client_min_messages", "lock_timeout",
    "log_statement_stats", "search_path", "seeder.deleted_before", "seeder.inserted_before", "seeder.locked",
    "seeder.state_before", "standard_conforming_strings", "statement_timeout",
}  # fmt: skip

#: Set by REFRESH and CREATE MATERIALIZED VIEW themselves.
POSTGRESQLS = {"transaction_isolation", "transaction_read_only", "transaction_deferrable", "role"}

TO_FUNCTIONS = """
create table public.source (day date);
insert into public.source values ('2026-12-24');
create function public.settings() returns text language plpgsql stable as $$ begin
    return (select string_agg(name, ' ') from pg_catalog.pg_settings where source = 'session');
end $$;
create function public.german(day date) returns text language plpgsql stable as 'begin return day; end';
"""

WAYS = {
    "created and refreshed plain": "",
    "refreshed concurrently": "-- seeder: unique=(day)\n",
    "checked and swapped": "-- seeder: mode=swap expect=(rows >= 1)\n",
}


@pytest.mark.parametrize("directives", WAYS.values(), ids=WAYS)
def test_a_manifest_runs_with_the_settings_of_psql(any_platform: Platform, directives: str) -> None:
    any_platform.sql(TO_FUNCTIONS)
    name = any_platform.value("select current_database()")
    any_platform.sql(f"alter database \"{name}\" set datestyle = 'German'")
    any_platform.databases.dispose()
    query = "select day, day::text as text, german(day) as by_function, public.settings() as set from source"
    any_platform.custom(1, table_name="settings_seen", query=directives + query)

    def look() -> None:
        ((text, by_function, names),) = any_platform.sql(
            "select text, by_function, set from reporting.settings_seen"
        )
        assert (text, by_function) == ("24.12.2026", "24.12.2026")
        assert set(names.split()) <= WANTED | POSTGRESQLS
        assert {"search_path", "statement_timeout"} <= set(names.split())

    try:
        for seeding in ("n1", "n2", "n3"):
            row = run(any_platform, 1, seeding, statement_timeout=60)
            assert row.status == "success", row.errors
            look()
        any_platform.sql(
            "update reporting.seeder_custom_report_manifest set query = query || ' where true' where id = 1"
        )
        assert run(any_platform, 1, "n4", statement_timeout=60).errors is None
        look()
    finally:
        any_platform.sql(f'alter database "{name}" reset datestyle')
        any_platform.databases.dispose()
