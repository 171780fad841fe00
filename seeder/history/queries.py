"""The statements that read the record, each through an index of the contract, however long the history."""

from seeder.run_ids import sql_belongs_to, sql_is_scheduled

#: Runs queued longer ago than this are past help; their rows are still settled by hand.
WINDOW_DAYS = 7

#: A name that the inner query doesn't know is looked for in the outer one, where ``absent`` is (ABSENT).
#: So the columns that the history's owners may leave out are null there, and one statement reads both.
ATTEMPTS = """\
(select attempts::text from (select h.*) as own
 where pg_typeof(attempts) in ('integer'::regtype, 'bigint'::regtype))::integer"""

#: By the contract ``errors`` is null on a success. Rows from before there was a column ``note`` have a note
#: there, and are terminal: they are read as what they mean, not changed.
RUN_COLUMNS = """
run_id, table_name, report_name, report_type, manifest_id, agency_slug, status, start_time, finish_time,
duration_seconds, records_processed, bytes_processed, memory_usage_mb, cpu_percentage,
coalesce(consecutive_failures, 0) as consecutive_failures,
case when status <> 'success' then errors end as errors,
coalesce((select note::text from (select h.*) as own), case status when 'success' then errors end) as note,
{attempts} as attempts
"""

ABSENT = """\
(values (null::text, null::integer)) as absent (note, attempts)"""

#: The history as RUN_COLUMNS reads it.
RUNS = "{history} h cross join {absent}"

#: Of the dashboard view.
JOB_COLUMNS = """
report_type, manifest_id, table_name, report_name, agency_id, agency_slug, agency_name, enabled,
status, duration_seconds, start_time, finish_time, records_processed, bytes_processed,
consecutive_failures, last_run_id, last_errors
"""

ONE_RUN = """
select {run_columns} from {runs} where run_id = %(run_id)s
"""

RUNS_OF_TABLE = """
select {run_columns} from {runs}
where table_name = %(table_name)s
order by id desc
limit %(limit)s
"""

#: Whether any of the seedings has a run.
RECORDED = f"""
select exists (
           select
           from unnest(%(seeding_ids)s) as one (seeding_id)
           join {{history}} on {sql_belongs_to("run_id", "seeding_id")}
       ) as recorded,
       (select created_at from {{history}} order by id limit 1) as first_record
"""

#: A run of an earlier tick that has begun only since, or hasn't yet. An ad-hoc run doesn't count for a tick.
WAITED_AT = f"""
select distinct report_type, manifest_id
from {{history}}
where table_name = any(%(tables)s)
  and created_at < %(tick)s and start_time > %(tick)s - make_interval(days => %(days)s)
  and (status = 'pending' or start_time > %(tick)s)
  and {sql_is_scheduled("run_id")}
"""

ENDED = """
select {run_columns} from {runs}
where run_id = any(%(run_ids)s) and status in ('success', 'error')
"""

STILL_PENDING = """
select run_id from {history} where run_id = any(%(run_ids)s) and status = 'pending'
"""

#: The most runs that were at work at once, of the last that succeeded. Ends go before beginnings.
SIDE_BY_SIDE = """
with recent as (
    select start_time, finish_time from {history} where status = 'success' order by id desc limit %(runs)s
), moves as (
    select start_time as at, 1 as step from recent
  union all
    select finish_time, -1 from recent
)
select coalesce(max(at_work), 0)::integer as most
from (select sum(step) over (order by at, step rows unbounded preceding) as at_work from moves) as swept
"""

AT_WORK_FOR = """
select run_id, greatest(extract(epoch from clock_timestamp() - start_time), 0)::float8 as seconds
from {history} where run_id = any(%(run_ids)s) and status = 'running'
"""

#: The window keeps this a short range of the index on start_time.
UNFINISHED = """
select {run_columns} from {runs}
where start_time > now() - make_interval(days => %(days)s)
  and status in ('pending', 'running')
  and updated_at < clock_timestamp() - make_interval(secs => %(quiet_seconds)s)
order by id
"""

UNFINISHED_OF_TABLE = """
select {run_columns} from {runs}
where table_name = %(table_name)s and status in ('pending', 'running')
order by id
"""

#: How many seconds a finished run took, a part of the first one included (seeder.wording.lasted).
LASTED = """
case when duration_seconds = 1 then least(1.0, extract(epoch from finish_time - start_time))::float8
     else coalesce(duration_seconds, 0) end"""

#: How many of a table's last successes say what is usual.
USUAL_OF = 10

#: The median of a table's last successes; without any in that time, how long its last run took.
USUAL_SECONDS = """
with recent as (
    select
        table_name,
        {lasted} as seconds,
        row_number() over (partition by table_name order by id desc) as nth
    from {history}
    where start_time > now() - make_interval(days => {window_days}) and status = 'success'
      -- What wasn't done, as nothing had changed, took 0 s.
      and duration_seconds > 0
), usual as (
    select table_name, percentile_disc(0.5) within group (order by seconds) as seconds
    from recent
    where nth <= {usual_of}
    group by table_name
)
select s.table_name, coalesce(usual.seconds, s.duration_seconds, 0)::float8 as seconds
from {status} s left join usual on usual.table_name = s.table_name
"""

JOBS = """
select {job_columns}
from {dashboard}
where (%(agency_slug)s::text is null or agency_slug = %(agency_slug)s)
  and (%(report_type)s::text is null or report_type = %(report_type)s)
  and (%(table_name)s::text is null or table_name = %(table_name)s)
order by agency_slug, table_name, report_type, manifest_id
"""

#: A table's last run is never pruned: the status row points at it. A row that somebody holds is left to the
#: next time.
PRUNE = """
with old as (
    select h.id
    from {history} h
    where h.start_time < now() - make_interval(days => %(days)s)
      and h.status in ('success', 'error')
      and not exists (select from {status} s where s.last_run_id = h.run_id)
    order by h.start_time
    limit %(batch)s
    for update of h skip locked
)
delete from {history} h using old where h.id = old.id
"""
