"""A trial from its first seeding to its verdict: so many minutes of faults, calm, and the audit."""

import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace

import psycopg2

from chaos import auditing, nights
from chaos.auditing import Violation
from chaos.faults import Kind, draw
from chaos.injecting import Injector
from chaos.place import TOO_SLOW_SECONDS, Place, connect, place
from chaos.reports import reports, sources
from chaos.sources import Writer
from chaos.timeline import timeline
from seeder.errors import SeederError
from seeder.run_ids import sql_seeding_of
from seeder.runs.waiting import TROUBLE
from seeder.seedings.fan_out import seed
from seeder.seedings.planning import Selection

#: The sweep takes up what was lost within two minutes, and then it has to be run; more than one round may be
#: needed for a run whose message is lost again. The machine may be a slow one.
SETTLE_SECONDS = 300.0
#: For everybody to start, for faults to end, or for a seeding in which nothing breaks.
CALM_SECONDS = 180.0

#: For the last messages and sessions of runs that have ended.
REST_SECONDS = 30.0

#: So that faults always meet work, everything is asked for again and again: what waits already isn't queued
#: twice, what is being refreshed is, and so has to wait for its turn.
FEED_SECONDS = 3.0

#: When a fault that found nothing to hit is tried again.
AGAIN_SECONDS = 1.0

CALM = "insert into public.calm default values"

UNFINISHED_BEFORE = """
select count(*) from reporting.seeder_run_history
where status not in ('success', 'error') and created_at <= (select max(since) from public.calm)
"""

UNFINISHED_OF = f"""
select count(*) from reporting.seeder_run_history
where status not in ('success', 'error') and {sql_seeding_of("run_id")} = %s
"""

COUNTS = """
select count(*) filter (where status = 'success') as success,
       count(*) filter (where status = 'error' and not starts_with(errors, 'Not run: ')) as error,
       count(*) filter (where status = 'error' and starts_with(errors, 'Not run: ')) as not_run,
       count(*) filter (where starts_with(note, 'Unchanged since ')) as unchanged,
       (select count(*) from public.witnessed) as refreshes
from reporting.seeder_run_history
"""

Say = Callable[[str], None]


@dataclass
class Verdict:
    """What was done and what was found. ``timelines``: of the runs that violations are about."""

    faults: dict[Kind, int]
    success: int = 0
    error: int = 0
    #: Of the runs neither done nor failed themselves, and of the successes those that weren't done.
    not_run: int = 0
    unchanged: int = 0
    #: Of sources, that were committed.
    writes: int = 0
    refreshes: int = 0
    violations: list[Violation] = field(default_factory=list)
    timelines: dict[str, list[str]] = field(default_factory=dict)
    #: Where the logs are, if there was a violation.
    folder: str | None = None


def trial(seed_number: int, minutes: float, manifests: int, say: Say) -> Verdict:
    """Raises SeederError where it can't even begin."""
    made = reports(manifests, TOO_SLOW_SECONDS)
    with place() as here, ExitStack() as stack:
        here.put_in(made)
        here.start(stack)
        injector = Injector(here, made)
        # Whatever happens, nobody stays stopped: its keeper could not end it.
        stack.callback(injector.end_what_is_over, everything=True)
        _wait("all programs run", lambda: _all_run(here), CALM_SECONDS, say)
        say(f"{minutes:g} minutes of faults")
        with Writer(lambda: connect(here.postgres.url), sources(made), seed_number) as writer:
            _break(here, injector, seed_number, minutes * 60, say)
        say("calm")
        seeding_ids = _calm_down(here, injector, say)
        verdict = _verdict(here, injector)
        verdict.writes = writer.writes
        verdict.violations = [
            *_lasting_unrest(here, say),
            *auditing.no_refreshes_overlapped(here),
            *auditing.failures_are_counted(here),
            *auditing.no_run_met_a_bug(here),
            *auditing.calm_seedings_succeeded(here, made, seeding_ids),
            *auditing.matviews_are_right(here, made),
            *nights.nobody_went_before_what_they_read(here, made),
            *nights.what_was_unchanged_was_right(here, made),
            *nights.what_rested_was_skipped(here, made, seeding_ids[-1]),
            *auditing.all_workers_consume(here, seeding_ids),
        ]
        for run_id in dict.fromkeys(one.run_id for one in verdict.violations if one.run_id):
            verdict.timelines[run_id] = timeline(here, run_id, injector.done)
        here.equipment.databases.dispose()
        here.stop_workers()
        with suppress(TimeoutError):
            outlived = auditing.no_connection_outlives_its_program
            _wait("all connections are gone", lambda: not list(outlived(here)), 10, say)
        verdict.violations += auditing.no_connection_outlives_its_program(here)
        if verdict.violations:
            here.keep, verdict.folder = True, str(here.folder)
        return verdict


def _break(here: Place, injector: Injector, seed_number: int, seconds: float, say: Say) -> None:
    began = time.monotonic()
    faults = draw(seed_number, seconds)
    fed = float("-inf")
    while (now := time.monotonic() - began) < seconds:
        injector.end_what_is_over()
        for fault in [one for one in faults if one.at <= now]:
            faults.remove(fault)
            if hit := injector.inject(fault):
                say(f"{now:6.1f} s  {fault.kind}: {hit}")
            else:
                faults.append(replace(fault, at=now + AGAIN_SECONDS))
        if now - fed > FEED_SECONDS:
            fed = now
            _feed(here)
        time.sleep(0.1)


def _feed(here: Place) -> None:
    with suppress(*TROUBLE):
        here.app.send_task("seeder.refresh_all")


def _calm_down(here: Place, injector: Injector, say: Say) -> list[str]:
    """End all faults, see everything settled by workers and beats alone, and seed twice: in the second one,
    what a matview reads from others is what it was in the first. Returns the seedings."""

    def is_over() -> bool:
        injector.end_what_is_over(everything=True)
        return not injector.lasting

    _wait("all faults are over", is_over, CALM_SECONDS, say)
    _wait("the database is told", lambda: here.sql(CALM) == [], CALM_SECONDS, say)
    beats = {beat.name: _ticks(beat.said()) for beat in here.beats}
    settled_by = time.monotonic() + SETTLE_SECONDS
    for what, look in {
        "all runs have ended": lambda: not here.value(UNFINISHED_BEFORE),
        "both beats send again": lambda: all(_ticks(beat.said()) > beats[beat.name] for beat in here.beats),
        "everybody is at rest": lambda: not _unrest(here),
    }.items():
        # What isn't so by then is found by the audit.
        with suppress(TimeoutError):
            _wait(what, look, settled_by - time.monotonic(), say)
    here.stop_beats()
    seeding_ids = []
    for _ in range(2):
        seeding_ids.append(seed(here.app, here.equipment, Selection()).seeding_id)
        with suppress(TimeoutError):
            over = f"{seeding_ids[-1]} has ended"
            _wait(over, lambda: not here.value(UNFINISHED_OF, seeding_ids[-1]), CALM_SECONDS, say)
    return seeding_ids


def _all_run(here: Place) -> bool:
    # A worker says so when it consumes, a beat when it starts.
    return all(" ready." in one.said() for one in here.workers) and all(
        "beat: Starting" in one.said() for one in here.beats
    )


def _unrest(here: Place) -> list[Violation]:
    return [*auditing.every_run_ended_once(here), *auditing.nothing_is_left(here)]


def _lasting_unrest(here: Place, say: Say) -> list[Violation]:
    """What doesn't go by itself: a message or a session that is just being used does."""
    found: list[Violation] = []

    def look() -> bool:
        found[:] = _unrest(here)
        return not found

    with suppress(TimeoutError):
        _wait("everybody is at rest", look, REST_SECONDS, say)
    return found


def _ticks(said: str) -> int:
    return said.count("Sending due task")


def _verdict(here: Place, injector: Injector) -> Verdict:
    counts = here.sql(COUNTS)[0]
    kinds = [kind for _, kind, _ in injector.done]
    return Verdict({kind: kinds.count(kind) for kind in Kind}, **counts._asdict())


def _wait(what: str, look: Callable[[], object], seconds: float, say: Say) -> None:
    """Until ``look`` says so; the servers may be away meanwhile. Raises TimeoutError."""
    began = time.monotonic()
    while True:
        with suppress(psycopg2.Error, SeederError, *TROUBLE):
            if look():
                say(f"after {time.monotonic() - began:.0f} s: {what}")
                return
        if time.monotonic() - began > seconds:
            say(f"after {seconds:.0f} s still not: {what}")
            raise TimeoutError(what)
        time.sleep(0.2)
