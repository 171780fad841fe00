"""``seeder status``: the latest status of every manifest. What needs attention comes last, where a terminal
leaves it in sight."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Console

from seeder.app import equipment
from seeder.cli.printing import (
    console,
    first_line,
    moment,
    number,
    print_json,
    size,
    status_text,
    table,
    text,
    took,
)
from seeder.errors import UnknownAgency, UnknownTable
from seeder.history import Job
from seeder.history.cancelled import has_failed
from seeder.overdue import LateTick
from seeder.planning import Selection

ATTENTION = {None: 0, "success": 1, "pending": 2, "running": 3, "error": 4}


def run(agency: str | None, report_type: str | None, table_name: str | None, *, as_json: bool) -> int:
    Selection(report_type, agency, table_name)
    equipment().databases.verify()
    jobs = equipment().history.jobs(agency_slug=agency, report_type=report_type, table_name=table_name)
    if not jobs and table_name:
        raise UnknownTable(table_name=table_name)
    if not jobs and agency:
        raise UnknownAgency(agency_slug=agency, of_type=f" of type {report_type}" if report_type else "")
    timekeeper = equipment().timekeeper
    late = timekeeper.late_tick(timekeeper.now())
    if as_json:
        print_json({"jobs": jobs, "late": late})
    else:
        show(console(), jobs)
        if late:
            console().print(f"[red]{told(late)}[/]")
    failed = any(
        job.status == "error" and job.enabled and has_failed(job.consecutive_failures, job.last_errors)
        for job in jobs
    )
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


def show(out: Console, jobs: Sequence[Job]) -> None:
    rows = table(
        "agency", "table", "report", "status", "started", "took", "rows", "size", "failures", "error",
        right=("took", "rows", "size", "failures"), whole=("agency", "table", "started"),
    )  # fmt: skip
    for job in sorted(jobs, key=lambda one: (ATTENTION[one.status], one.agency_slug, one.table_name)):
        rows.add_row(
            text(job.agency_slug),
            text(job.table_name),
            text(job.report_name),
            status_text(job.status, job.last_errors) if job.enabled else "[dim]disabled[/]",
            moment(job.start_time),
            took(job.duration_seconds, job.start_time, job.finish_time) if job.status else "",
            number(job.records_processed),
            size(job.bytes_processed),
            number(job.consecutive_failures or None),
            text(first_line(job.last_errors)),
        )
    out.print(rows)
    counts = Counter((job.status or "never run") if job.enabled else "disabled" for job in jobs)
    out.print(", ".join(f"{count} {status}" for status, count in counts.most_common()) or "No manifests yet.")
