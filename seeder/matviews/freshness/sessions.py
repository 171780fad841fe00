"""Sessions whose writes may not have been counted yet, however long ago these were committed.

A session tells of the rows it has written when it comes to rest after a transaction, but not within a second
of the last time it told; then 10 s later, if it is still at rest (pgstat.c, PGSTAT_MIN_INTERVAL and
PGSTAT_IDLE_INTERVAL). If it begins something long instead, it tells when that ends: an INSERT, committed, and
then a query of an hour is an INSERT that nobody can see in the counters for an hour, and no lock on the table
tells of it. So does a procedure that commits midway. What such a session wrote can be known only of matviews
that were refreshed after it had: their evidence was taken when it was at work already.

Hence all other sessions of the database are looked at before the counters are. Those that have come to rest
in the last 45 s have told all that they had committed a minute before the look: the rest is the 10 s, and a
second, and some reserve.
"""

import math
from dataclasses import dataclass

from seeder.matviews.freshness.why import Kind, Why
from seeder.postgres.session import Session

#: How long a session may be at work before what it wrote may be older than a minute.
BUSY_SECONDS = 45.0

#: `since` is from when on all that the session commits may be uncounted. It is the beginning of its one
#: transaction where that can be known: it began with the statement that is at work, which is one alone, so
#: that nothing was committed since (a procedure's later transactions begin later). A walsender that streams
#: commits nothing. Other background workers than those of logical replication are nobody's to judge, but for
#: pg_cron's launcher, which writes to its own tables. Seeder's own sessions tell what they refreshed at once
#: (seeder.matviews.measure.TELL), and its record is nobody's source. Autovacuum changes no rows.
SESSIONS = """
with other as (
    select a.*, least(a.xact_start, case when a.state <> 'idle' then a.query_start end) as busy_from
    from pg_stat_activity as a
    where a.datid = (select oid from pg_database where datname = current_database())
      and a.pid <> pg_backend_pid() and a.leader_pid is null and a.usesysid is not null
      and not (a.usename = session_user and split_part(a.application_name, ' ', 1) = 'seeder')
      and a.backend_type is distinct from 'pg_cron launcher'
), judged as (
    select other.*,
           case
               when backend_type is null then 'hidden'
               when backend_type not in ('client backend', 'walsender')
                    and not starts_with(backend_type, 'logical replication ') then 'busy'
               when state is null or state = 'disabled' then 'busy'
               when state = 'idle' and xact_start is null then null
               when busy_from is null then 'busy'
               when busy_from < clock_timestamp() - make_interval(secs => %(busy_seconds)s) then 'busy'
           end as verdict
    from other
)
select verdict, pid,
       concat_ws(' of ', coalesce(nullif(application_name, ''), backend_type, 'session'), usename) as name,
       extract(epoch from case
           when backend_type = 'walsender' and xact_start is null and starts_with(query, 'START_REPLICATION')
               then query_start
           when state = 'active' and xact_start = query_start and query !~ ';\\s*\\S'
                and octet_length(query) < pg_size_bytes(current_setting('track_activity_query_size')) - 1
               then xact_start
       end)::float8 as since
from judged
where verdict is not null
order by since desc nulls first
"""

#: A superuser can have writes not counted, for all or for some.
COUNTED = """
select case when not current_setting('track_counts')::boolean then 'here' end as here,
       (
           select string_agg('for ' || case s.setrole when 0 then 'all' else r.rolname end, ', ')
           from pg_db_role_setting as s left join pg_roles as r on r.oid = s.setrole
           where strpos(array_to_string(s.setconfig, ' '), 'track_counts=') > 0
             and s.setdatabase in (0, (select oid from pg_database where datname = current_database()))
       ) as for_roles,
       (
           select string_agg('in ' || p.oid::regprocedure, ', ')
           from pg_proc as p where strpos(array_to_string(p.proconfig, ' '), 'track_counts=') > 0
       ) as in_functions,
       session_user as me
"""


@dataclass(frozen=True)
class Others:
    """What the other sessions of a database say of its counters."""

    #: Evidence that was taken no later proves nothing now. In seconds since 1970.
    doubtful_until: float = -math.inf
    why: tuple[Why, ...] = ()


def others(session: Session) -> Others:
    """Asked before the counters are looked at."""
    counted = session.row(COUNTED)
    off = ", ".join(filter(None, (counted.here, counted.for_roles, counted.in_functions)))
    if off:
        return Others(math.inf, (Why(Kind.NOT_COUNTED, off),))
    rows = session.rows(SESSIONS, busy_seconds=BUSY_SECONDS)
    if any(row.verdict == "hidden" for row in rows):
        return Others(math.inf, (Why(Kind.HIDDEN, counted.me),))
    if not rows:
        return Others()
    until = max(math.inf if row.since is None else float(row.since) for row in rows)
    return Others(until, tuple(Why(Kind.BUSY, f"{row.name} (pid {row.pid})") for row in rows))
