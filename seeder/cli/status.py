"""``seeder status``: lists what needs attention, and counts the rest unless all is requested."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Console

from seeder.cli.printing import (
    console,
    first_line,
    moment,
    number,
    print_json,
    print_table,
    size,
    status_cell,
    text,
    took,
)
from seeder.cli.tables import Column, Styled, Table
from seeder.equipment import equipment
from seeder.errors import UnknownAgency, UnknownTable
from seeder.history import Job
from seeder.maintenance.distrusted import distrusted
from seeder.models import RunStatus
from seeder.run_ids import manifest_identity
from seeder.seedings.overdue import DueTicks, LateTick
from seeder.seedings.planning import Selection

#: Behind what is failing. An error here is a run that was cancelled, or not run; None is never run.
ORDER = (RunStatus.RUNNING, RunStatus.ERROR, RunStatus.PENDING, None, RunStatus.SUCCESS)


def run(
    agency: str | None, report_type: str | None, table_name: str | None, *, every: bool, as_json: bool
) -> int:
    """Whoever names an agency or a table asks for its reports, whatever their status."""
    Selection(report_type, agency, table_name)
    equipment().databases.verify()
    jobs = equipment().history.jobs(agency_slug=agency, report_type=report_type, table_name=table_name)
    if not jobs and table_name:
        raise UnknownTable(table_name=table_name)
    if not jobs and agency:
        raise UnknownAgency(agency_slug=agency, of_type=f" of type {report_type}" if report_type else "")
    due_ticks = DueTicks.of(equipment())
    late = due_ticks.late_tick(due_ticks.now())
    wrong = distrusted(
        equipment().databases,
        [
            (manifest_identity(one.report_type, one.manifest_id), one.table_name, one.agency_slug)
            for one in jobs
        ],
    )
    if as_json:
        print_json({"jobs": jobs, "late": late, "not_skipped": wrong})
    else:
        show(console(), jobs, every=every or bool(agency or table_name))
        for one in wrong:
            console().print(f"[yellow]{text(str(one))}[/]")
        if late:
            console().print(f"[red]{told(late)}[/]")
    failed = any(map(is_failing, jobs))
    return 1 if failed or (late and late.missed) else 0


def told(late: LateTick) -> str:
    """In words, for the last line."""
    if late.missed:
        return (
            f"Missed: nothing ran the schedule's tick of {late.tick:%Y-%m-%d %H:%M} UTC, and it is too "
            "late for it (SEEDER_CATCH_UP). Is beat running? `seeder refresh` runs everything now."
        )
    return (
        f"Late: nothing has run the schedule's tick of {late.tick:%Y-%m-%d %H:%M} UTC yet; "
        "a worker or `seeder web` does so within a minute. Does one run?"
    )


def show(out: Console, jobs: Sequence[Job], *, every: bool = False) -> None:
    """What failed and what is at work, or ``every`` job; and how many there are of each status."""
    shown = [job for job in jobs if every or wants_attention(job)]
    rows = Table(
        Column("agency", goes=3),
        Column("table"),
        Column("report", goes=4),
        Column("status"),
        Column("started", goes=7),
        Column("took", right=True, goes=6),
        Column("rows", right=True, goes=2),
        Column("size", right=True, goes=1),
        Column("failures", right=True, goes=5),
        Column("error", reason=True),
        lead=("status", "table"),
    )
    for job in sorted(shown, key=lambda one: (attention(one), one.agency_slug, one.table_name)):
        rows.add(
            job.agency_slug,
            job.table_name,
            job.report_name,
            status_of(job),
            moment(job.start_time),
            took(job.duration_seconds, job.start_time, job.finish_time) if job.status else "",
            number(job.records_processed),
            size(job.bytes_processed),
            number(job.consecutive_failures or None),
            first_line(job.last_errors),
        )
    if shown:
        print_table(out, rows)
    counts = Counter(status_of(job).text for job in jobs)
    words = ", ".join(f"{count:,} {status}" for status, count in counts.most_common())
    if len(shown) < len(jobs):
        words += ". `seeder status --all` lists every report."
    out.print(words or "No manifests yet.")


def status_of(job: Job) -> Styled:
    return status_cell(job.standing) if job.enabled else Styled("disabled", "dim")


def is_failing(job: Job) -> bool:
    """One that a person cancelled has not failed by that."""
    return job.enabled and job.status == RunStatus.ERROR and job.has_failed


def wants_attention(job: Job) -> bool:
    return is_failing(job) or (job.enabled and job.status == RunStatus.RUNNING)


def attention(job: Job) -> int:
    """How much it wants to be looked at, 0 the most."""
    if is_failing(job):
        return 0
    return 1 + ORDER.index(job.status) if job.enabled else 1 + len(ORDER)
