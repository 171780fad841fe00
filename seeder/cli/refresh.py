"""``seeder refresh``: queues runs, and with ``--wait`` follows them to their end."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from seeder.app import app
from seeder.cli.printing import console, counted, first_line, print_json, status_text, text
from seeder.equipment import equipment
from seeder.errors import UnknownAgency, UserError
from seeder.history import HistoryRepository, Run, Standing
from seeder.monitoring import Monitor
from seeder.run_ids import identity_of
from seeder.seedings.expected_end import ExpectedEnd
from seeder.seedings.fan_out import Seeding, of_tables, seed
from seeder.seedings.planning import Selection
from seeder.wording import about, brief

POLL_SECONDS = 0.25

#: Between two looks at when it will end.
EXPECT_SECONDS = 5.0


class TwoSelections(UserError):
    """--table names its tables already, so it can't be combined with --agency, --type or --failing. Leave one
    of them out."""


class NothingToWaitFor(UserError):
    """--timeout says how long --wait waits, and --wait is missing. Add it, or leave --timeout out; a run's
    own limit is SEEDER_STATEMENT_TIMEOUT."""


@dataclass(frozen=True)
class Waiting:
    """Whether to wait for the runs, and for how long at most (None: until they have ended)."""

    wanted: bool
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.seconds is not None and not self.wanted:
            raise NothingToWaitFor


@dataclass(frozen=True)
class Related:
    """Whether what is selected brings along what it reads, and what reads it."""

    upstream: bool = False
    downstream: bool = False


def run(
    agency: str | None,
    report_type: str | None,
    tables: Sequence[str],
    waiting: Waiting,
    related: Related,
    *,
    failing: bool,
    as_json: bool,
) -> int:
    if tables and (agency or report_type or failing):
        raise TwoSelections
    selection = Selection(report_type, agency)
    equipment().databases.verify()
    if tables:
        selection = of_tables(equipment(), tables)
    elif failing:
        selection = what_fails(selection)
    selection = replace(selection, upstream=related.upstream, downstream=related.downstream)
    seeding = seed(app, equipment(), selection)
    queued_at = time.monotonic()
    out = console(stderr=as_json)
    announce(out, seeding)
    if selection.identities == frozenset():
        out.print("No report is failing.")
    ended: list[Run] = []
    if waiting.wanted and seeding.awaited:
        warn_without_worker(out)
        try:
            history = equipment().history
            expected = ExpectedEnd(seeding.planned, history, equipment().settings.limit_of)
            ended = watch(
                out, history, seeding, queued_at=queued_at, at_most=waiting.seconds, expected=expected
            )
        except KeyboardInterrupt:
            out.print("No longer waiting. The runs go on: `seeder status` shows how they end.")
            raise
    unfinished = sorted({*seeding.awaited} - {one.run_id for one in ended}) if waiting.wanted else []
    if as_json:
        outcome = {"runs": ended, "unfinished": unfinished} if waiting.wanted else {}
        print_json({**seeding.as_dict(), **outcome})
    failed = any(one.status == "error" for one in ended)
    return 1 if failed or unfinished or seeding.refused or seeding.not_run or seeding.not_recorded else 0


def what_fails(selection: Selection) -> Selection:
    """Of the selected reports those that are failing, by the one rule that the pages and the API have too."""
    ready = equipment()
    jobs = [one for one in Monitor(ready.databases, ready.settings).look().snapshot.jobs if one.enabled]
    agency, report_type = selection.agency_slug, selection.report_type
    jobs = [one for one in jobs if report_type in (None, one.job.report_type)]
    if agency is not None and all(one.job.agency_slug != agency for one in jobs):
        raise UnknownAgency(agency_slug=agency, of_type=f" of type {report_type}" if report_type else "")
    return Selection(
        identities=frozenset(
            one.identity for one in jobs if one.is_failing and agency in (None, one.job.agency_slug)
        )
    )


def announce(out: Console, seeding: Seeding) -> None:
    waits = f", {seeding.waiting} of them to wait for what they read" if seeding.waiting else ""
    out.print(f"Seeding {seeding.seeding_id}: {counted(seeding.queued, 'run')} queued{waits}.")
    if seeding.already_queued:
        out.print(f"{counted(len(seeding.already_queued), 'run')} waited in the queue already, and will do.")
    if seeding.unchanged:
        reports = counted(len(seeding.unchanged), "report")
        out.print(f"{reports} left as they are, as nothing that they read has changed.")
    if seeding.not_run:
        out.print(f"{counted(len(seeding.not_run), 'report')} not run, as what they read was refused.")
    for what, problems in (("refused", seeding.refused), ("not recorded", seeding.not_recorded)):
        for run_id, reason in problems.items():
            out.print(f"[red]{what}[/] {identity_of(run_id)}: {text(reason)}")


def warn_without_worker(out: Console) -> None:
    # Beat answers too where it runs with remote control, as in docker-compose.yml.
    answers = app.control.ping(timeout=1.0)
    if not any(not name.startswith("celerybeat@") for answer in answers for name in answer):
        out.print(
            "[yellow]No worker answers.[/] The runs wait in the queue until one is there: "
            "celery -A seeder worker"
        )


def watch(
    out: Console,
    history: HistoryRepository,
    seeding: Seeding,
    *,
    alive: Callable[[], None] = lambda: None,
    queued_at: float | None = None,
    at_most: float | None = None,
    expected: ExpectedEnd | None = None,
) -> list[Run]:
    """Follow the runs to their end with a progress bar, a line for each failure as it happens, a summary.

    ``alive`` is asked between looks and raises where there is nothing to wait for any more. ``queued_at`` is
    since when the summary counts, by time.monotonic(): now where it isn't given. ``at_most``: after so many
    seconds the runs that haven't ended are left to themselves. ``expected`` tells the end beforehand, and the
    summary how good that was.
    """
    waiting = set(seeding.awaited)
    at_first = expected.seconds_left(waiting) if expected else None
    if at_first is not None:
        out.print(f"Expected to take {about(at_first)}, if each run takes as long as usual.")
    ended: list[Run] = []
    started = time.monotonic() if queued_at is None else queued_at
    columns = (
        TextColumn("refreshing"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("[red]{task.fields[failed]}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
    )
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as progress:
        bar = progress.add_task("", total=len(waiting), failed="", left="")
        looked = started
        while True:
            for one in history.ended(waiting):
                waiting.discard(one.run_id)
                ended.append(one)
                # What wasn't run is counted: one failure may leave hundreds so.
                if one.standing in (Standing.ERROR, Standing.CANCELLED):
                    out.print(f"{status_text(one.standing)} {failure_line(one)}")
            failures = sum(one.standing is Standing.ERROR for one in ended)
            progress.update(bar, completed=len(ended), failed=f"{failures} failed" if failures else "")
            if not waiting:
                break
            if expected and time.monotonic() - looked >= EXPECT_SECONDS:
                looked, seconds = time.monotonic(), expected.seconds_left(waiting)
                progress.update(bar, left="" if seconds is None else f"{about(seconds)} left")
            left = POLL_SECONDS if at_most is None else started + at_most - time.monotonic()
            if left <= 0:
                break
            alive()
            time.sleep(min(left, POLL_SECONDS))
    refused = len(seeding.refused) + len(seeding.not_recorded)
    summarise(out, ended, refused, time.monotonic() - started, len(waiting), at_first)
    if waiting and at_most is not None:
        out.print(
            f"Time is up ({brief(at_most)}), {counted(len(waiting), 'run')} unfinished. What hasn't ended "
            "goes on, or waits in the queue: `seeder status` shows how it ends, `seeder cancel` ends it."
        )
    return ended


def failure_line(run: Run) -> str:
    return f"{text(run.table_name)} (agency {text(run.agency_slug)}): {text(first_line(run.errors))}"


def summarise(
    out: Console,
    ended: Sequence[Run],
    refused: int,
    seconds: float,
    unfinished: int = 0,
    expected: float | None = None,
) -> None:
    """``refused``: how many manifests had no run, as they can't be used; ``expected``: how long it was to
    take, in seconds."""
    count = Counter(one.standing for one in ended)
    failed = [one for one in ended if one.standing is Standing.ERROR]
    words = f"[green]{count[Standing.SUCCESS]} succeeded[/]"
    if failed:
        words += f", [red]{len(failed)} failed[/]"
    if cancelled := count[Standing.CANCELLED]:
        words += f", {cancelled} cancelled"
    if not_run := count[Standing.NOT_RUN]:
        words += f", [yellow]{not_run} not run[/] as what they read had failed"
    if refused:
        words += f", [red]{refused} refused[/]"
    if unfinished:
        words += f", [yellow]{unfinished} unfinished[/]"
    foretold = "" if unfinished or expected is None else f" (expected: {brief(expected)})"
    out.print(f"{words} in {seconds:.1f} s{foretold}.")
    if failed:
        out.print(f"The whole error of one: seeder history {text(failed[0].table_name)}")
