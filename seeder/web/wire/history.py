"""Runs, of one job and of all."""

from seeder.web.wire.base import TABLE, Moment, ReportKind, Status, Wire, value


class HistoryRow(Wire):
    """One run of a job."""

    run_id: str = value(description="The run, as in Celery and Flower.", example="20261124T0200Z.custom-12")
    status: Status = value(description="pending, running, success or error.", example="success")
    start_time: Moment = value(
        description="When it began, or was queued where it hasn't.",
        example="2026-11-24T02:00:03.120000+00:00",
    )
    finish_time: Moment | None = value(
        description="When it ended.", example="2026-11-24T02:00:45.007000+00:00"
    )
    duration_seconds: int | None = value(description="In seconds, rounded up.", example=42)
    records_processed: int | None = value(description="Rows after the run; null when unknown.", example=18250)
    bytes_processed: int | None = value(description="Size of the matview after the run.", example=2490368)
    memory_usage_mb: int | None = value(
        description="Of the PostgreSQL backend; null when unknown.", example=31
    )
    cpu_percentage: int | None = value(description="Of one core; null when unknown.", example=87)
    errors: str | None = value(description="What went wrong; null after a success.", example=None)
    note: str | None = value(
        description="What a person should know of a success; null where the history has no such column.",
        example=None,
    )
    attempts: int | None = value(
        description="Tries that have ended or were lost so far; null before the first, and where the history "
        "has no such column.",
        example=1,
    )
    is_cancelled: bool = value(description="Somebody ended it; its status is error.", example=False)
    is_not_run: bool = value(
        description="It wasn't begun, as what it reads had failed; its status is error.", example=False
    )


class HistoryPage(Wire):
    """A job's runs, the one recorded last first."""

    items: list[HistoryRow]
    next: str | None = value(description="The cursor of the next page; null on the last one.", example=None)


class RunRow(HistoryRow):
    """One run, with what it was of."""

    id: int = value(
        source="manifest_id", description="manifest_id; unique together with reportType.", example=12
    )
    report_type: ReportKind = value(
        description="Which of the two manifest tables id is of.", example="custom"
    )
    report_name: str = value(description="The report's name at the time.", example="Sales by month")
    table_name: str = value(description="The matview, as the record has it.", example=TABLE)
    agency_slug: str = value(description="The agency's short name.", example="north-port")
    consecutive_failures: int = value(
        description="Runs in a row that ended in error, with this one.", example=0
    )


class RunPage(Wire):
    """Runs of all jobs, the one that began last first."""

    items: list[RunRow]
    next: str | None = value(
        description="The cursor of the next page; null on the last one. A page whose filter takes few runs "
        "may be short, or empty, and still have a next one.",
        example=None,
    )
