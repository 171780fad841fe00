"""``seeder refresh``: queue, and if asked wait and watch."""

import time
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from seeder.app import app, equipment
from seeder.cli.printing import console, counted, first_line, print_json, text
from seeder.errors import UserError
from seeder.history import HistoryRepository, Run
from seeder.planning import Selection
from seeder.seeding import Seeding, seed

POLL_SECONDS = 0.25


class TwoSelections(UserError):
    """--table names one table already, so it can't be combined with --agency or --type. Leave one of them
    out."""


def run(agency: str | None, report_type: str | None, table: str | None, *, wait: bool, as_json: bool) -> int:
    if table and (agency or report_type):
        raise TwoSelections
    equipment().databases.verify()
    seeding = seed(app, equipment(), Selection(report_type, agency, table))
    queued_at = time.monotonic()
    out = console(stderr=as_json)
    announce(out, seeding)
    ended: list[Run] = []
    if wait:
        warn_without_worker(out)
        try:
            ended = watch(out, equipment().history, seeding, queued_at=queued_at)
        except KeyboardInterrupt:
            out.print("No longer waiting. The runs go on: `seeder status` shows how they end.")
            raise
    if as_json:
        print_json({**seeding.as_dict(), **({"runs": ended} if wait else {})})
    failed = [one for one in ended if one.status == "error"]
    return 1 if failed or seeding.refused or seeding.not_recorded else 0


def announce(out: Console, seeding: Seeding) -> None:
    out.print(f"Seeding {seeding.seeding_id}: {counted(seeding.queued, 'run')} queued.")
    if seeding.already_queued:
        out.print(f"{counted(len(seeding.already_queued), 'run')} waited in the queue already, and will do.")
    for what, problems in (("refused", seeding.refused), ("not recorded", seeding.not_recorded)):
        for run_id, reason in problems.items():
            out.print(f"[red]{what}[/] {run_id.partition('.')[2]}: {text(reason)}")


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
) -> list[Run]:
    """Follow the runs to their end with a progress bar, a line for each failure as it happens, a summary.

    ``alive`` is asked between looks and raises where there is nothing to wait for any more. ``queued_at`` is
    since when the summary counts, by time.monotonic(): now where it isn't given.
    """
    waiting = set(seeding.awaited)
    ended: list[Run] = []
    started = time.monotonic() if queued_at is None else queued_at
    columns = (
        TextColumn("refreshing"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("[red]{task.fields[failed]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=out, transient=True) as progress:
        bar = progress.add_task("", total=len(waiting), failed="")
        while waiting:
            for one in history.ended(waiting):
                waiting.discard(one.run_id)
                ended.append(one)
                if one.status == "error":
                    out.print(f"[red]error[/] {failure_line(one)}")
            failures = sum(one.status == "error" for one in ended)
            progress.update(bar, completed=len(ended), failed=f"{failures} failed" if failures else "")
            if waiting:
                alive()
                time.sleep(POLL_SECONDS)
    refused = len(seeding.refused) + len(seeding.not_recorded)
    summarise(out, ended, refused, time.monotonic() - started)
    return ended


def failure_line(run: Run) -> str:
    return f"{text(run.table_name)} (agency {text(run.agency_slug)}): {text(first_line(run.errors))}"


def summarise(out: Console, ended: Sequence[Run], refused: int, seconds: float) -> None:
    """``refused`` is how many manifests had no run, as they can't be used."""
    failed = [one for one in ended if one.status == "error"]
    words = f"[green]{len(ended) - len(failed)} succeeded[/]"
    if failed:
        words += f", [red]{len(failed)} failed[/]"
    if refused:
        words += f", [red]{refused} refused[/]"
    out.print(f"{words} in {seconds:.1f} s.")
    if failed:
        out.print(f"The whole error of one: seeder history {text(failed[0].table_name)}")
