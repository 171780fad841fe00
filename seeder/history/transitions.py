"""The statements that move a run, each with LOCK_STATUS before it in one round trip and one transaction.

The status row's lock serialises the writers of one table. It is a statement of its own, because at READ
COMMITTED only the *next* statement sees what the lock's last holder wrote. In all the others
`moved` changes the history row, and only if the change goes forward: a row already terminal, or moved by a
twin, makes `moved` empty, and with it nothing else happens. That is what makes every transition safe to
repeat, and what counts a failure once.

`start_time` is when the run was queued until it starts, then when its latest attempt did. So it names the
attempt, for which the contract has no column: a mover says which status and which `start_time` it knows of
the run, and where the row has others by now the run isn't its own to move.

The contract's columns for rows and bytes are 0 by default; here they are null until a run has succeeded, as a
run that failed says nothing of what lies in the matview.
"""

LOCK_STATUS = """
select from {status} where table_name = %(table_name)s for update
"""

#: The run that the status row shows where that isn't the one that moved. Of a table's runs that is the one at
#: work, else one that waits (unless the sweep has given up looking for it), else the newest. The others leave
#: it there until it ends; then the next is looked for. What is still recorded as running when a run has ended
#: that held the lock after it is dead, and not at work.
#:
#: Materialized: of how many runs move at once PostgreSQL knows nothing and takes it for one, so it would work
#: all of this out anew for each of them (3 s for 400, and 25 times as much for 2,000).
INSTEAD = """
, instead as materialized (
    select m.run_id as moved_run_id, other.*
    from moved m
    join {status} s on s.table_name = m.table_name
    cross join lateral (
        select h.*
        from {history} h
        where h.run_id = s.last_run_id and h.run_id <> m.run_id and m.status <> 'running'
          and (h.status = 'running'
               or h.status = 'pending' and h.start_time > now() - interval '{window_days} days'
                  and (m.status <> 'pending' or h.id > m.id)
               or h.status not in ('pending', 'running') and m.status <> 'pending' and h.id > m.id)
        union all
        (select h.*
         from {history} h
         where m.status in ('success', 'error') and s.last_run_id = m.run_id
           and h.table_name = m.table_name and h.run_id <> m.run_id
           and (h.status = 'running' and m.start_time <= m.created_at
                or h.status = 'pending' and h.start_time > now() - interval '{window_days} days')
         order by h.status = 'running' desc, h.id desc
         limit 1)
    ) other
)
"""

#: What the run that moved has counted, taken and failed with is told beside the one that shows.
SHOWN = """
insert into {status} as s
    (table_name, manifest_id, report_name, report_type, agency_id, agency_slug, status, duration_seconds,
     start_time, consecutive_failures, last_run_id, last_errors, updated_at)
select m.table_name,
       coalesce(instead.manifest_id, m.manifest_id),
       coalesce(instead.report_name, m.report_name),
       coalesce(instead.report_type, m.report_type),
       coalesce(instead.agency_id, m.agency_id),
       coalesce(instead.agency_slug, m.agency_slug),
       coalesce(instead.status, m.status),
       -- Until a run has ended, the duration shown is that of the last one; one that never began took none.
       case when instead.run_id is null or m.status = 'success'
            then coalesce(m.duration_seconds, before.duration_seconds)
            else before.duration_seconds end,
       coalesce(instead.start_time, m.start_time),
       m.consecutive_failures,
       coalesce(instead.run_id, m.run_id),
       case when instead.status in ('success', 'error') then before.last_errors else {last_errors} end,
       m.updated_at
from moved m
left join instead on instead.moved_run_id = m.run_id
left join {status} before on before.table_name = m.table_name
on conflict (table_name) do update
set manifest_id = excluded.manifest_id,
    report_name = excluded.report_name,
    report_type = excluded.report_type,
    agency_id = excluded.agency_id,
    agency_slug = excluded.agency_slug,
    status = excluded.status,
    duration_seconds = excluded.duration_seconds,
    start_time = excluded.start_time,
    consecutive_failures = excluded.consecutive_failures,
    last_run_id = excluded.last_run_id,
    last_errors = excluded.last_errors,
    updated_at = excluded.updated_at
"""

SHOW = INSTEAD + SHOWN

FAILURES_SO_FAR = """\
coalesce((select consecutive_failures from {status} s where s.table_name = h.table_name), 0)"""

#: Where somebody holds the rows of one table, the worker goes on to another soon.
START_SOON = """
set local lock_timeout to '1s';
"""

#: The run as its mover knows it.
AS_SEEN = """\
status in ('pending', 'running') and status = %(status)s and start_time = %(start_time)s"""

#: An attempt may be unknown to the record: a crash or a failover that loses START leaves what was before.
AS_SEEN_OR_BEFORE = """\
({as_seen} or status = 'pending' and %(status)s = 'running' and start_time < %(start_time)s)"""

#: The commit of START doesn't wait for the disk where the refresh is in the same database: a crash that loses
#: START ends the refresh, too, and a refresh that is committed has brought START to the disk.
START_UNFLUSHED = """
set local synchronous_commit to off;
"""

START = """
with moved as (
    update {history} h
    set status = 'running',
        start_time = clock_timestamp(),
        consecutive_failures = {failures_so_far},
        updated_at = clock_timestamp()
    where run_id = %(run_id)s and table_name = %(table_name)s
      and status in ('pending', 'running') and {only_if}
    returning h.*
){show}
"""

#: The run as it is now, which optional columns are there, and beside it a row of something else that its
#: start needs. ``attempts`` is null where the column isn't there (queries.RUN_COLUMNS).
STARTED = """
select h.status, h.start_time, kept.*, {attempts} as attempts, beside.*
from (values (null::integer)) as absent (attempts)
cross join ({kept}) as kept
left join {history} h on h.run_id = %(run_id)s and h.table_name = %(table_name)s
left join lateral ({beside}) as beside on true
"""

#: Returns a row if the run is the mover's: it has moved now, or did when this was said before and the
#: connection was lost over the answer.
RETRY = """
with moved as (
    update {history} h
    set status = 'pending',
        errors = %(errors)s,
        {set_attempts}
        consecutive_failures = {failures_so_far},
        updated_at = clock_timestamp()
    where run_id = %(run_id)s and {as_seen_or_before}
    returning h.*
){instead}, shown as ({shown})
select from moved
union all
select from {history}
where run_id = %(run_id)s and status = 'pending' and start_time = %(start_time)s and errors = %(errors)s
"""

#: By the sweep: only if the run is still as it was seen, and nobody has written it since.
REQUEUE = """
with moved as (
    update {history} h
    set status = 'pending',
        errors = %(errors)s,
        {set_attempts}
        consecutive_failures = {failures_so_far},
        updated_at = clock_timestamp()
    where run_id = %(run_id)s and {as_seen}
      and updated_at < clock_timestamp() - make_interval(secs => %(quiet_seconds)s)
    returning h.*
){show}
"""

REQUEUED = """
select status = 'pending' and updated_at >= now() as done from {history} where run_id = %(run_id)s
"""

#: Where START was lost this doesn't count: who asked meanwhile was told of a run that had yet to begin.
SUCCEED = """
with moved as (
    update {history} h
    set status = 'success',
        finish_time = clock_timestamp(),
        duration_seconds = case when %(worked)s
                                then ceil(extract(epoch from clock_timestamp() - start_time)) else 0 end,
        records_processed = %(records)s,
        bytes_processed = %(total_bytes)s,
        memory_usage_mb = %(memory_mb)s,
        cpu_percentage = %(cpu_percentage)s,
        consecutive_failures = 0,
        errors = null,
        {set_note}
        {set_attempts}
        updated_at = clock_timestamp()
    where run_id = %(run_id)s and {as_seen}
    returning h.*
){show}
"""

FAIL = """
with moved as (
    update {history} h
    set status = 'error',
        finish_time = clock_timestamp(),
        -- Of one that waits: until its latest try was over; that of one that never began is nothing.
        duration_seconds = ceil(extract(epoch from
            case when status = 'running' then clock_timestamp()
                 when start_time > created_at then updated_at
                 else start_time end - start_time)),
        consecutive_failures = {failures_so_far} + 1,
        errors = %(errors)s,
        {set_attempts}
        updated_at = clock_timestamp()
    where run_id = %(run_id)s and {as_seen_or_before}
    returning h.*
){show}
"""
