"""The statements of a fan-out: the locks that it takes, and how it records many runs at once.

The pieces are those of seeder.history.transitions.
"""

from seeder.run_ids import sql_is_scheduled

#: The key of the lock that lets one fan-out at a time record its runs: a table that has never run has no
#: status row that could be locked.
QUEUEING = "hashtextextended('seeder queueing ' || %(schema)s, 0)"

LOCK_QUEUEING = f"""
select pg_advisory_xact_lock({QUEUEING})
"""

#: Many at once, but none that somebody else holds: these are what it returns. A run that moves holds its row
#: for a millisecond, a person in psql for as long as they like. The locks are taken in one order by everyone.
LOCK_STATUSES = """
with locked as (
    select table_name from {status}
    where table_name = any(%(tables)s)
    order by table_name
    for update skip locked
)
select table_name from {status}
where table_name = any(%(tables)s) and table_name not in (select table_name from locked)
"""

#: What writing takes anyway. With this in hand, whatever is still waited for is about single rows.
LOCK_TABLES = """
lock table {status}, {history} in row exclusive mode
"""

#: The key of the lock that a seeding's fan-outs take one after the other.
FAN_OUT = "hashtextextended('seeder fan-out ' || %(schema)s || ' ' || %(seeding_id)s, 0)"

#: Held by a session for as long as a fan-out lasts. SET LOCAL ends with this text, which is one transaction.
LOCK_FAN_OUT = f"""
set local lock_timeout = '30s';
select pg_advisory_lock({FAN_OUT})
"""

UNLOCK_FAN_OUT = f"""
select pg_advisory_unlock({FAN_OUT})
"""

#: After these locks. Returns for which of the runs another waits already, and which (the last of several: it
#: waits for the most); those aren't recorded. A
#: pending run has yet to begin its reading, as a success is recorded of a running one only; so it does the
#: same work if it is of the same manifest. One queued longer ago than the sweep looks back is past help. For
#: a scheduled seeding only an earlier tick's run will do (docs/decisions/overlap.md), and not for a run that
#: reads what another run of this seeding, or one queued after it, has yet to refresh. A run_id that is there
#: already is left as it is: a fan-out may be repeated after a crash half-way.
#:
#: Where somebody holds the status row the run is recorded all the same and shown later, at the latest when it
#: starts. Another run that is pending there, as far as can be seen without the lock, will do too: it reads
#: nothing before this statement, whatever its start is recorded as.
#:
#: All tables as one array beside the join would be gone through for each of the runs (PostgreSQL 18): most of
#: the time of a fan-out of 10,000.
QUEUE = f"""
with recursive asked as (
    select *
    from jsonb_to_recordset(%(runs)s) as h
        (run_id text, manifest_id integer, table_name text, report_name text, agency_id integer,
         agency_slug text, report_type text)
), edge as (
    select * from jsonb_to_recordset(%(edges)s) as edge (run_id text, upstream text)
), found as (
    select distinct on (asked.run_id) asked.run_id as asked_run_id, h.table_name, h.run_id, h.created_at
    from asked
    join {{history}} h using (table_name, report_type, manifest_id)
    where h.status = 'pending' and h.run_id <> asked.run_id
      and h.start_time > now() - make_interval(days => %(days)s)
      and (not %(scheduled)s or {sql_is_scheduled("h.run_id")})
      and not exists (select from {{history}} own where own.run_id = asked.run_id)
    order by asked.run_id, h.id desc
), anew (run_id) as (
    select run_id from asked where run_id not in (select asked_run_id from found)
  union
    select edge.run_id
    from edge
    left join found mine on mine.asked_run_id = edge.run_id
    left join found its on its.asked_run_id = edge.upstream
    where its.created_at > mine.created_at
       or exists (select from {{history}} there where there.run_id = edge.upstream)
  union
    select edge.run_id from anew join edge on edge.upstream = anew.run_id
), waiting as (
    select * from found where asked_run_id not in (select run_id from anew)
), recorded as (
    insert into {{history}}
        (run_id, manifest_id, table_name, report_name, agency_id, agency_slug, report_type, status,
         records_processed, bytes_processed, consecutive_failures)
    select run_id, manifest_id, table_name, report_name, agency_id, agency_slug, report_type, 'pending',
           null, null, {{failures_so_far}}
    from asked as h
    where run_id not in (select asked_run_id from waiting)
    order by table_name
    on conflict (run_id) do nothing
    returning *
), moved as (
    select * from recorded where run_id = any(%(shown)s)
){{instead}}, shown as ({{shown}})
select table_name, run_id from waiting
"""

#: Runs that were recorded while somebody held their status row, and haven't begun since. After LOCK_STATUSES.
SHOW_QUEUED = """
with moved as (
    update {history} h
    set consecutive_failures = {failures_so_far},
        updated_at = clock_timestamp()
    where run_id = any(%(run_ids)s) and status = 'pending' and table_name <> all(%(held)s)
    returning h.*
){show}
"""

#: Runs whose manifest can't be used are born terminal. The failures in a row of a manifest whose table
#: belongs to another are counted over its own history rows.
REFUSE = """
with recorded as (
    insert into {history}
        (run_id, manifest_id, table_name, report_name, agency_id, agency_slug, report_type, status,
         finish_time, duration_seconds, records_processed, bytes_processed, errors, consecutive_failures)
    select run_id, manifest_id, table_name, report_name, agency_id, agency_slug, report_type, 'error',
           now(), 0, null, null, errors,
           1 + case when shown then {failures_so_far}
               else coalesce((select own.consecutive_failures from {history} own
                              where own.table_name = h.table_name and own.report_type = h.report_type
                                and own.manifest_id = h.manifest_id
                              order by own.id desc limit 1), 0) end
    from jsonb_to_recordset(%(runs)s) as h
        (run_id text, manifest_id integer, table_name text, report_name text, agency_id integer,
         agency_slug text, report_type text, errors text, shown boolean)
    order by table_name
    on conflict (run_id) do nothing
    returning *
), moved as (
    select * from recorded where run_id = any(%(shown)s)
){show}
returning last_run_id
"""

TABLES = """
select distinct table_name from {history} where run_id = any(%(run_ids)s)
"""

#: Pending runs that are not done, as what they read has failed; after LOCK_STATUSES. A history row that
#: somebody holds isn't waited for either. No failures, and they say nothing of a duration: the one shown
#: stays that of the last run.
NOT_RUN = """
with asked as (
    select * from jsonb_to_recordset(%(runs)s) as asked (run_id text, errors text)
), free as (
    select run_id from {history}
    where run_id in (select run_id from asked) and status = 'pending' and table_name <> all(%(held)s)
    order by run_id
    for update skip locked
), moved as (
    update {history} h
    set status = 'error',
        finish_time = clock_timestamp(),
        errors = asked.errors,
        consecutive_failures = {failures_so_far},
        updated_at = clock_timestamp()
    from asked
    where h.run_id = asked.run_id and h.run_id in (select run_id from free) and h.status = 'pending'
    returning h.*
){instead}, shown as ({shown})
select run_id from moved
"""

#: Pending runs that needn't be done, as nothing has changed; after LOCK_STATUSES. They took 0 s, which no run
#: takes that was done.
UNCHANGED = """
with asked as (
    select * from jsonb_to_recordset(%(runs)s) as asked
        (run_id text, records bigint, total_bytes bigint, note text)
), free as (
    select run_id from {history}
    where run_id in (select run_id from asked) and status = 'pending' and table_name <> all(%(held)s)
    order by run_id
    for update skip locked
), moved as (
    update {history} h
    set status = 'success',
        finish_time = clock_timestamp(),
        duration_seconds = 0,
        records_processed = asked.records,
        bytes_processed = asked.total_bytes,
        consecutive_failures = 0,
        errors = null,
        {set_note}
        updated_at = clock_timestamp()
    from asked
    where h.run_id = asked.run_id and h.run_id in (select run_id from free) and h.status = 'pending'
    returning h.*
){instead}, shown as ({shown})
select run_id from moved
"""

#: In UNCHANGED, where the column is there.
NOTE_OF_EACH = "note = asked.note,"
