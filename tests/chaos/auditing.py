"""Whether everything that was promised holds, as seen from outside: in the database's own catalogue, in what
bore witness there (chaos.reports), in Redis itself and in the workers' logs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import psycopg2
from redis import Redis

from chaos.place import OBSERVER, SLOTS, Place, connect
from chaos.reports import TWICE, Report
from seeder.matviews.swap.copy_names import COPY_PREFIX
from seeder.postgres.application_names import IDLE_NAME, read_application_name
from seeder.run_ids import sql_seeding_of

UNFINISHED = """
select run_id, status from reporting.seeder_run_history where status not in ('success', 'error') order by id
"""

MOVED_AGAIN = """
select distinct on (ended.run_id) ended.run_id, ended.status, later.status as became
from public.events ended
join public.events later on later.run_id = ended.run_id and later.id > ended.id
where ended.status in ('success', 'error')
order by ended.run_id, later.id
"""

ENDS = """
select run_id, table_name, status, consecutive_failures, starts_with(errors, 'Not run: ') as not_run
from public.events where status in ('success', 'error') order by id
"""

STATUS = "select table_name, consecutive_failures, last_run_id from reporting.seeder_job_status"

LAST_RUNS = "select table_name, last_run_id from reporting.seeder_job_status"

MANIFESTS = "select id, query from reporting.seeder_custom_report_manifest"

RUNS_OF = f"""
select run_id, table_name, status, errors, coalesce(starts_with(errors, 'Not run: '), false) as not_run
from reporting.seeder_run_history
where {sql_seeding_of("run_id")} = any(%s)
"""

BUGS = (
    "select distinct run_id, errors from public.events where errors like '%a bug in seeder%' order by run_id"
)

SESSIONS = """
select pid, application_name, state, query from pg_stat_activity
where datname = current_database() and backend_type = 'client backend' and application_name <> %s
"""

LOCKS = """
select l.pid, a.application_name, l.classid, l.objid
from pg_locks l left join pg_stat_activity a using (pid)
where l.locktype = 'advisory'
  and l.database = (select oid from pg_database where datname = current_database())
"""

OBJECTS = """
select n.nspname || '.' || c.relname as name
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where starts_with(c.relname, %s) or c.relpersistence = 't'
"""

MATVIEWS = "select relname from pg_class where relkind = 'm'"

#: Redis' TTL of a key (https://redis.io/docs/latest/commands/ttl/).
NEVER_EXPIRES = -1
#: What kombu keeps in Redis while nothing is on its way.
FURNITURE = (b"_kombu.binding", b"unacked_mutex")


@dataclass(frozen=True)
class Violation:
    """``run_id``: the run whose timeline tells more, if it is about one."""

    promise: str
    what: str
    run_id: str | None = None


def every_run_ended_once(place: Place) -> Iterator[Violation]:
    for row in place.sql(UNFINISHED):
        yield Violation("every queued run ends", f"{row.run_id} is {row.status}", row.run_id)
    for row in place.sql(MOVED_AGAIN):
        what = f"{row.run_id} was {row.status}, then {row.became}"
        yield Violation("a run that has ended never moves again", what, row.run_id)


def no_refreshes_overlapped(place: Place) -> Iterator[Violation]:
    """The server's log has each that did, and the session's name, which is the run's, before it."""
    for line in place.postgres.log.read_text(errors="replace").splitlines():
        prefix, separator, said = line.partition("| ")
        if separator and said.startswith("ERROR:") and TWICE in said:
            # Date, time and zone stand before it.
            run = read_application_name(" ".join(prefix.split()[3:]))
            yield Violation("no two refreshes of a view overlap", line, run and run[0])


def failures_are_counted(place: Place) -> Iterator[Violation]:
    """In the order in which the runs of a table ended: one more after an error, none after a success, and as
    before after a run that wasn't done, as what it reads had failed."""
    so_far: dict[str, int] = {}
    promise = "consecutive_failures is what the history says"
    for run in place.sql(ENDS):
        before = so_far.get(run.table_name, 0)
        expected = before if run.not_run else before + 1 if run.status == "error" else 0
        so_far[run.table_name] = expected
        if run.consecutive_failures != expected:
            what = f"{run.run_id} ended with {run.consecutive_failures} instead of {expected}"
            yield Violation(promise, what, run.run_id)
    for row in place.sql(STATUS):
        expected = so_far.get(row.table_name, 0)
        if row.consecutive_failures != expected:
            what = f"{row.table_name} shows {row.consecutive_failures} instead of {expected}"
            yield Violation(promise, what, row.last_run_id)


def calm_seedings_succeeded(
    place: Place, reports: Sequence[Report], seeding_ids: Sequence[str]
) -> Iterator[Violation]:
    """All that can, once nothing breaks any more; what reads one that can't isn't run, and nothing else."""
    expected = {
        report.table_name: ("error" if report.fails else "success", report.not_run) for report in reports
    }
    for run in place.sql(RUNS_OF, list(seeding_ids)):
        if (run.status, run.not_run) != expected[run.table_name]:
            what = f"{run.run_id} of {run.table_name} is {run.status}: {run.errors}"
            yield Violation("a seeding in which nothing breaks succeeds", what, run.run_id)


def no_run_met_a_bug(place: Place) -> Iterator[Violation]:
    """What seeder itself takes for one, in any try of any run."""
    for row in place.sql(BUGS):
        yield Violation("whatever fails is told for what it is", f"{row.run_id}: {row.errors}", row.run_id)


def matviews_are_right(place: Place, reports: Sequence[Report]) -> Iterator[Violation]:
    promise = "a matview holds what its query gives"
    there = {row.relname for row in place.sql(MATVIEWS)}
    last_runs = dict(place.sql(LAST_RUNS))
    queries = dict(place.sql(MANIFESTS))
    connection = connect(place.postgres.url)
    # What the queries write as witnesses is taken back.
    connection.autocommit = False
    for report in reports:
        run_id = last_runs.get(report.table_name)
        if (report.table_name in there) == report.fails:
            words = "exists though it always failed" if report.fails else "doesn't exist"
            yield Violation(promise, f"{report.table_name} {words}", run_id)
        elif not report.fails:
            try:
                missing, surplus = _difference(connection, queries[report.number], report.matview)
            except psycopg2.Error as error:
                connection.rollback()
                yield Violation(promise, f"{report.table_name} can't be compared: {error}", run_id)
                continue
            if missing or surplus:
                what = f"{report.table_name} lacks {missing} rows and has {surplus} others"
                yield Violation(promise, what, run_id)
    connection.rollback()
    connection.close()


def nothing_is_left(place: Place) -> Iterator[Violation]:
    """While the workers are at rest."""
    promise = "nothing is left over"
    for row in place.sql(LOCKS):
        what = f"an advisory lock ({row.classid}, {row.objid}) of {row.application_name} (pid {row.pid})"
        yield Violation(promise, what, _run_of(row.application_name))
    for row in place.sql(OBJECTS, COPY_PREFIX):
        yield Violation(promise, f"{row.name} in the catalogue")
    sessions = place.sql(SESSIONS, OBSERVER)
    for row in sessions:
        if row.state != "idle" or row.application_name != IDLE_NAME:
            what = f"a session of {row.application_name} (pid {row.pid}) is {row.state}: {row.query[:200]}"
            yield Violation(promise, what, _run_of(row.application_name))
    # A run has one session, and a second one where the first broke; the harness itself has one, too.
    most = 2 * SLOTS * len(place.workers) + 1
    if len(sessions) > most:
        yield Violation(promise, f"{len(sessions)} connections, though {most} are enough")
    with Redis.from_url(place.redis.url) as client:
        for key in client.scan_iter():
            # What expires goes by itself.
            if not key.startswith(FURNITURE) and client.ttl(key) == NEVER_EXPIRES:
                yield Violation(promise, f"{client.type(key).decode()} {key.decode()} in Redis")


def all_workers_consume(place: Place, seeding_ids: Sequence[str]) -> Iterator[Violation]:
    """Each has taken runs of the last seedings."""
    for worker in place.workers:
        said = worker.said()
        if not any(f"refresh_manifest[{seeding_id}" in said for seeding_id in seeding_ids):
            what = f"{worker.name} took no run of {' and '.join(seeding_ids)}; {_tail(said)}"
            yield Violation("all workers consume again", what)


def no_connection_outlives_its_program(place: Place) -> Iterator[Violation]:
    """After the workers have ended and the harness has closed its own."""
    for row in place.sql(SESSIONS, OBSERVER):
        yield Violation("no connection outlives its program", f"{row.application_name} (pid {row.pid})")


def _difference(connection: psycopg2.extensions.connection, query: str, matview: str) -> tuple[int, int]:
    """How many rows the matview lacks, and how many it has that it shouldn't."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"with given as materialized (\n{query}\n)\n"
            f"select (select count(*) from (table given except all table {matview}) as missing) as missing,\n"
            f"       (select count(*) from (table {matview} except all table given) as surplus) as surplus"
        )
        missing, surplus = cursor.fetchone() or (0, 0)
    return missing, surplus


def _run_of(application_name: str | None) -> str | None:
    run = read_application_name(application_name or "")
    return run and run[0]


def _tail(text: str) -> str:
    return "its log ends with:\n" + "\n".join(f"    {line}" for line in text.splitlines()[-10:])
