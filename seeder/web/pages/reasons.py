"""Explains in words why a run hasn't ended yet."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from seeder.diagnosis.inspection import Unknown
from seeder.history.watching import WatchedJob
from seeder.matviews.insight.activity import Person, Step, Worker
from seeder.models import RunStatus
from seeder.postgres.application_names import names_of, read_application_name
from seeder.runs.waiting import Turn, Whereabouts
from seeder.wording import number

#: What a session is at by pg_stat_activity.wait_event_type; with no event it is on a processor.
#: https://www.postgresql.org/docs/current/monitoring-stats.html#WAIT-EVENT-TABLE
AT_WORK = {
    None: "PostgreSQL is computing",
    "IO": "PostgreSQL is reading or writing files",
    "IPC": "PostgreSQL is waiting for its parallel workers or another of its processes",
    "LWLock": "PostgreSQL is waiting for other sessions inside the server",
    "BufferPin": "PostgreSQL is waiting for a page that others use",
    "Client": "PostgreSQL has answered and seeder is about to send the next statement",
    "Timeout": "PostgreSQL is pausing",
}


#: Tables in a sentence.
MOST_NAMED = 8


@dataclass(frozen=True)
class Reason:
    """``kind``: "queue", "lock", "work" or "unknown"; ``since`` is when that began."""

    kind: str
    words: str
    since: datetime | None = None
    #: When the next try begins, or whatever else is awaited.
    until: datetime | None = None
    #: Who is in the way.
    blockers: tuple[Person, ...] = ()
    step: Step | None = None


def of_pending(
    job: WatchedJob,
    where: Whereabouts | Unknown,
    running: int,
    limit: int,
    upstreams: Sequence[str] = (),
    foremost: Sequence[str] = (),
) -> Reason:
    """``running``: how many runs are at work; ``limit``: how many may be on its database (0: any number);
    ``upstreams``: the tables of those that it waits for; ``foremost``: of those that these wait for."""
    if isinstance(where, Unknown):
        return Reason("unknown", f"It waits; where, Redis can't tell now: {where.reason}", job.start_time)
    if upstreams:
        words = f"It waits until what it reads is refreshed: {_named(upstreams)}."
        if foremost:
            words = f"{words} At the head of what that waits for: {_named(foremost)}."
        return Reason("queue", words, job.start_time)
    first = f" {number(where.before)} that wait for the same go first." if where.before else ""
    if where.turn is Turn.DATABASE:
        words = (
            f"It waits for a slot of its database: {limit} refreshes run there at a time "
            f"(SEEDER_MAX_PER_DATABASE).{first}"
        )
    elif where.turn is Turn.MATVIEW:
        words = f"It waits for the run that works on its materialized view now.{first}"
    elif where.until is not None:
        return Reason(
            "queue", "Its last try failed in a way that may pass; it is tried again.", None, where.until
        )
    elif where.queued:
        words = (
            f"It waits for a worker: {number(where.queued)} in its queue, itself among them, while "
            f"{number(running)} {'is' if running == 1 else 'are'} at work."
        )
    elif where.queued == 0:
        words = (
            "It is in no queue: a worker is taking it up just now, or its message was lost and the next "
            "sweep queues it again."
        )
    else:
        words = "It waits for another run, which works on a matview that reads it."
    return Reason("queue", words, job.start_time)


def _named(tables: Sequence[str]) -> str:
    more = f" and {number(len(tables) - MOST_NAMED)} more" if len(tables) > MOST_NAMED else ""
    return f"{', '.join(tables[:MOST_NAMED])}{more}"


def of_running(job: WatchedJob, worker: Worker | Unknown | None) -> Reason:
    if isinstance(worker, Unknown):
        return Reason("unknown", f"What it is at can't be known now. {worker.reason}", job.start_time)
    if worker is None:
        return Reason(
            "unknown",
            "No session works on it: it is beginning or ending just now, or its worker died; then the sweep "
            "settles it within minutes.",
            job.start_time,
        )
    person = worker.person
    if job.last_run_id and not person.application_name.startswith(names_of(job.last_run_id)):
        known = read_application_name(person.application_name)
        whose = f"run {known[0]}" if known else f"{person.application_name or 'a session'} (pid {person.pid})"
        return Reason(
            "unknown", f"Its materialized view's lock is held by {whose}, not by this run.", person.since
        )
    if worker.awaited is not None:
        on = worker.awaited.relation or f"a lock of the kind {worker.awaited.what}"
        return Reason(
            "lock",
            f"It waits for {worker.awaited.mode} on {on}, which others hold.",
            worker.awaited.since or worker.statement_since,
            blockers=worker.blockers,
        )
    words = AT_WORK.get(worker.wait_event_type, f"PostgreSQL is waiting ({worker.wait_event_type})")
    if worker.wait_event and worker.wait_event_type != "Client":
        words = f"{words} ({worker.wait_event})"
    if worker.helpers:
        helped = "one parallel worker" if worker.helpers == 1 else f"{worker.helpers} parallel workers"
        words = f"{words}, with {helped}"
    return Reason("work", f"{words}. Backend {person.pid}.", job.start_time, step=worker.step)


def is_unfinished(job: WatchedJob) -> bool:
    return job.status in (RunStatus.PENDING, RunStatus.RUNNING)
