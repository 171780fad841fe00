"""Limits how many refreshes run on one database at a time: each holds one of so many advisory locks.

The slots are locks of that database, so the limit holds over all workers and machines, and a slot that a dead
worker held is free as soon as PostgreSQL has ended its session.
https://www.postgresql.org/docs/current/view-pg-locks.html
"""

from seeder.postgres.session import Session

#: The first half of a slot's key; the second is its number. A matview's lock has a key of one 64-bit number,
#: which is another kind.
CLASS = 24301

#: The first slot that is free, if the matview's lock was taken. LIMIT stops at the first row that passes, so
#: no second slot is locked on the way.
TRY_SLOT = f"""
select set_config('seeder.slot', coalesce((
    select number::text
    from generate_series(1, %(slots)s::integer) as number
    where current_setting('seeder.locked')::boolean and pg_try_advisory_lock({CLASS}, number)
    limit 1
), ''), false)
"""

#: An expression that gives the session's slot back, where it has one.
UNLOCK = f"""case when current_setting('seeder.slot', true) <> ''
            then pg_advisory_unlock({CLASS}, current_setting('seeder.slot')::integer) end,
       set_config('seeder.slot', '', false)"""

GIVE_BACK = f"select {UNLOCK}"

SLOTS_TAKEN = f"""
select count(*) from pg_locks
where locktype = 'advisory' and granted and objsubid = 2 and classid = {CLASS} and objid <= %(slots)s
  and database = (select oid from pg_database where datname = current_database())
"""


def give_back(session: Session) -> None:
    """Release the slot that the session holds, if any."""
    session.run(GIVE_BACK)


def is_one_free(session: Session, most: int) -> bool:
    return bool(session.row(SLOTS_TAKEN, slots=most).count < most)
