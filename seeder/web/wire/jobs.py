"""Jobs: manifests with their latest run, and what has changed of them; read from a MonitoredJob."""

from seeder.web.wire.base import TABLE, Moment, ReportKind, Status, Wire, value


class JobRow(Wire):
    """One manifest with its latest run; a row of the monitoring list."""

    id: int = value(
        source="job.manifest_id", description="manifest_id; unique together with reportType.", example=12
    )
    report_name: str = value(
        source="job.report_name", description="What people call the report.", example="Sales by month"
    )
    table_name: str = value(
        source="job.table_name", description="The matview, as the record has it.", example=TABLE
    )
    report_type: ReportKind = value(
        source="job.report_type", description="Which of the two manifest tables id is of.", example="custom"
    )
    status: Status | None = value(
        source="job.status", description="Of the last run; null where there was none.", example="success"
    )
    duration_seconds: int | None = value(
        source="job.duration_seconds",
        description="Of the last run that ended, in seconds, rounded up.",
        example=42,
    )
    start_time: Moment | None = value(
        source="job.start_time",
        description="When the last run began, or was queued where it hasn't.",
        example="2026-11-24T02:00:03.120000+00:00",
    )
    consecutive_failures: int = value(
        source="job.consecutive_failures",
        description="Runs in a row that ended in error, or were cancelled.",
        example=0,
    )
    agency_id: int | None = value(source="job.agency_id", description="The agency's id.", example=7)
    agency_name: str | None = value(
        source="job.agency_name",
        description="The agency's name, where there is an agency table.",
        example="North Port",
    )
    agency_slug: str = value(
        source="job.agency_slug", description="The agency's short name.", example="north-port"
    )
    last_errors: str | None = value(
        source="job.last_errors", description="What went wrong last; null after a success.", example=None
    )
    last_run_id: str | None = value(
        source="job.last_run_id",
        description="The last run, as in Celery and Flower.",
        example="20261124T0200Z.custom-12",
    )
    finish_time: Moment | None = value(
        source="job.finish_time",
        description="When the last run ended; null while it hasn't.",
        example="2026-11-24T02:00:45.007000+00:00",
    )
    records_processed: int | None = value(
        source="job.records_processed", description="Rows after the last run.", example=18250
    )
    bytes_processed: int | None = value(
        source="job.bytes_processed", description="Size of the matview, indexes included.", example=2490368
    )
    next_run: Moment | None = value(
        description="The next tick of the schedule; null where the manifest is switched off.",
        example="2026-11-25T02:00:00+00:00",
    )
    usual_seconds: int | None = value(
        description="The median of its last successful runs, of at most ten.", example=40
    )
    last_success: Moment | None = value(
        description="When a run last succeeded; null where none did within ten ticks of the schedule.",
        example="2026-11-24T02:00:45.007000+00:00",
    )
    is_failing: bool = value(
        description="The last run that ended, and wasn't cancelled, was an error.", example=False
    )
    is_cancelled: bool = value(
        description="The last run is over because somebody cancelled it; its status is error.", example=False
    )
    is_long_running: bool = value(
        description="At work for longer than SEEDER_LONG_RUNNING_SECONDS, or three times as long as usual.",
        example=False,
    )
    is_not_run: bool = value(
        description="The last run wasn't begun, as what it reads has failed; its status is error, which "
        "counts as no failure.",
        example=False,
    )
    is_stale: bool = value(
        description="The last success is older than two ticks of the schedule.", example=False
    )
    never_run: bool = value(description="There is no run yet.", example=False)
    enabled: bool = value(description="Whether the manifest is switched on.", example=True)


class JobPage(Wire):
    """Jobs in the order asked for."""

    items: list[JobRow]
    next: str | None = value(description="The cursor of the next page; null on the last one.", example=None)
    total: int = value(description="How many jobs the filters take, over all pages.", example=142)


class JobDetail(Wire):
    """A table's job; others that name the same table, and share its matview or are refused because of it."""

    job: JobRow
    others: list[JobRow]


class JobChange(Wire):
    """A job whose latest run, or whose flags, have changed."""

    table_name: str = value(source="job.table_name", example=TABLE)
    report_type: ReportKind = value(source="job.report_type", example="custom")
    id: int = value(source="job.manifest_id", example=12)
    status: Status | None = value(source="job.status", example="running")
    run_id: str | None = value(source="job.last_run_id", example="20261124T0200Z.custom-12")
    start_time: Moment | None = value(source="job.start_time", example="2026-11-24T02:00:03.120000+00:00")
    finish_time: Moment | None = value(source="job.finish_time", example=None)
    duration_seconds: int | None = value(source="job.duration_seconds", example=42)
    consecutive_failures: int = value(source="job.consecutive_failures", example=0)
    is_failing: bool = value(example=False)
    is_cancelled: bool = value(example=False)
    is_long_running: bool = value(example=False)
    is_stale: bool = value(example=False)
    is_not_run: bool = value(example=False)


class Changes(Wire):
    """The data of a ``changes`` event: what one look found. More than 100 jobs aren't listed: ask anew."""

    version: int = value(description="Counts up; of this process.", example=7)
    count: int = value(description="How many jobs have changed.", example=1)
    jobs: list[JobChange]
