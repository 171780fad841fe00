"""Builds a record as it is after years: manifests, many nights of history, and the last night's status."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import create_engine

from benchmarks.arena import connect
from seeder import schema
from seeder.config.urls import driver_url
from seeder.run_ids import sql_seeding_of, tick_seeding_id

#: Half of the jobs are custom, half are 50 agencies' subscriptions to canned reports.
AGENCIES = 50

MANIFESTS = f"""
insert into reporting.seeder_custom_report_manifest
    (id, table_name, report_name, agency_id, agency_slug, query, enabled)
select n, 'custom_' || n, 'Custom report ' || n, n %% {AGENCIES}, 'agency-' || n %% {AGENCIES},
       'select ' || n || ' as n', true
from generate_series(1, %(custom)s) n;
insert into reporting.seeder_canned_report (id, table_name, report_name, query)
select n, '{{agency_slug}}_report_' || n, 'Canned report ' || n, 'select :agency_id as agency'
from generate_series(1, %(canned)s / {AGENCIES} + 1) n;
insert into reporting.seeder_canned_report_manifest (id, agency_id, agency_slug, canned_report_id)
select n, n %% {AGENCIES}, 'agency-' || n %% {AGENCIES}, n / {AGENCIES} + 1
from generate_series(1, %(canned)s) n;
"""

#: Read once: without the history's indexes the view would pass over all of it for each manifest.
JOBS = """
create temporary table job as
select report_type, manifest_id, table_name, report_name, agency_id, agency_slug
from reporting.seeder_dashboard
"""

#: One night: all jobs within its first hour, one run in a hundred an error, durations of their own.
NIGHT = """
insert into reporting.seeder_run_history
    (run_id, manifest_id, table_name, report_name, agency_id, agency_slug, report_type, status, start_time,
     finish_time, duration_seconds, records_processed, bytes_processed, memory_usage_mb, cpu_percentage,
     consecutive_failures, errors, created_at, updated_at)
select %(seeding_id)s || '.' || report_type || '-' || manifest_id, manifest_id, table_name, report_name,
       agency_id, agency_slug, report_type, case when failed then 'error' else 'success' end,
       began, began + make_interval(secs => seconds), seconds, manifest_id * 10, manifest_id * 8192, 30, 50,
       failed::integer, case when failed then '22012: division by zero' end, %(tick)s, began
from (
    select *, random() < 0.01 as failed, %(tick)s + interval '1 hour' * random() as began,
           1 + manifest_id %% 40 as seconds
    from job
) job
"""

STATUS = f"""
insert into reporting.seeder_job_status
    (table_name, manifest_id, report_name, report_type, agency_id, agency_slug, status, duration_seconds,
     start_time, consecutive_failures, last_run_id, last_errors, updated_at)
select distinct on (table_name) table_name, manifest_id, report_name, report_type, agency_id, agency_slug,
       status, duration_seconds, start_time, consecutive_failures, run_id, errors, updated_at
from reporting.seeder_run_history
where {sql_seeding_of("run_id")} = %(seeding_id)s
order by table_name, id desc
"""

#: Left out while rows are loaded, and made again by the schema's own script.
INDEXES = ("run_id", "table_name", "agency_slug", "start_time")


def fill(url: str, jobs: int, nights: int) -> None:
    """Manifests and so many nights' history, up to last night's, into a database with the contract."""
    connection = connect(url)
    cursor = connection.cursor()
    cursor.execute(MANIFESTS, {"custom": jobs - jobs // 2, "canned": jobs // 2})
    cursor.execute(JOBS)
    for index in INDEXES:
        cursor.execute(f"drop index reporting.seeder_run_history_{index}_idx")
    cursor.execute("analyze")
    last = datetime.now(UTC).replace(hour=2, minute=0, second=0, microsecond=0)
    seeding_id = ""
    for night in range(nights - 1, -1, -1):
        tick = last - timedelta(days=night)
        seeding_id = tick_seeding_id(tick)
        cursor.execute(NIGHT, {"seeding_id": seeding_id, "tick": tick})
    engine = create_engine(driver_url(url))
    with engine.connect() as open_connection:
        schema.apply(open_connection, "reporting", "public.agency")
    engine.dispose()
    cursor.execute(STATUS, {"seeding_id": seeding_id})
    cursor.execute("vacuum analyze")
    # What was loaded is on the disk, as it is after a while; readers would else have to write it.
    cursor.execute("checkpoint")
    connection.close()
