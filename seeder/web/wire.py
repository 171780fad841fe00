"""The API's values as models. The JSON, the OpenAPI and TypeScript are all made from them.

Names are the contract's: a column ``duration_seconds`` is ``durationSeconds``. Strict: a number is never
taken from text or from true and false. Moments are ISO 8601 in UTC, with the offset.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer
from pydantic.alias_generators import to_camel
from pydantic.json_schema import WithJsonSchema


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()


Moment = Annotated[
    AwareDatetime,
    PlainSerializer(_iso, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]

Status = Literal["pending", "running", "success", "error"]
ReportKind = Literal["custom", "canned"]


def _value(default: Any = ..., description: str = "", example: Any = None, **more: Any) -> Any:
    return Field(default, description=description, examples=[example], **more)


class Wire(BaseModel):
    """What all of them have in common."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        strict=True,
        frozen=True,
        extra="forbid",
        json_schema_serialization_defaults_required=True,
    )


class ProblemDetail(Wire):
    """One thing that is wrong with a request."""

    where: str = _value(
        description="The field, and whether it is in the query, path or body.", example="the query limit"
    )
    problem: str = _value(
        description="What is wrong with it.", example="Input should be less than or equal to 1000"
    )


class Fault(Wire):
    code: str = _value(description="For programs; the same for the same kind of error.", example="notFound")
    message: str = _value(
        description="For people: what happened, to what, and what to do next.",
        example="No enabled manifest has the table 'sales'. `seeder status` lists the tables.",
    )
    details: list[ProblemDetail] = _value(
        description="Of a request that can't be used: each fault.", example=[]
    )


class Problem(Wire):
    """Every answer with a status of 400 or more."""

    error: Fault


_TABLE = "agency_ua_sales"


class JobRow(Wire):
    """One manifest with its latest run; a row of the monitoring list."""

    id: int = _value(description="manifest_id; unique together with reportType.", example=12)
    report_name: str = _value(description="What people call the report.", example="Sales by month")
    table_name: str = _value(description="The matview, as the record has it.", example=_TABLE)
    report_type: ReportKind = _value(
        description="Which of the two manifest tables id is of.", example="custom"
    )
    status: Status | None = _value(
        description="Of the last run; null where there was none.", example="success"
    )
    duration_seconds: int | None = _value(
        description="Of the last run that ended, in seconds, rounded up.", example=42
    )
    start_time: Moment | None = _value(
        description="When the last run began, or was queued where it hasn't.",
        example="2026-11-24T02:00:03.120000+00:00",
    )
    consecutive_failures: int = _value(description="Runs in a row that ended in error.", example=0)
    agency_id: int | None = _value(description="The agency's id.", example=7)
    agency_name: str | None = _value(
        description="The agency's name, where there is an agency table.", example="North Port"
    )
    agency_slug: str = _value(description="The agency's short name.", example="north-port")
    last_errors: str | None = _value(description="What went wrong last; null after a success.", example=None)
    last_run_id: str | None = _value(
        description="The last run, as in Celery and Flower.", example="20261124T0200Z.custom-12"
    )
    finish_time: Moment | None = _value(
        description="When the last run ended; null while it hasn't.",
        example="2026-11-24T02:00:45.007000+00:00",
    )
    records_processed: int | None = _value(description="Rows after the last run.", example=18250)
    bytes_processed: int | None = _value(
        description="Size of the matview, indexes included.", example=2490368
    )
    next_run: Moment | None = _value(
        description="The next tick of the schedule; null where the manifest is switched off.",
        example="2026-11-25T02:00:00+00:00",
    )
    usual_seconds: int | None = _value(
        description="The median of its last successful runs, of at most ten.", example=40
    )
    last_success: Moment | None = _value(
        description="When a run last succeeded; null where none did within ten ticks of the schedule.",
        example="2026-11-24T02:00:45.007000+00:00",
    )
    is_failing: bool = _value(description="The last run that ended was an error.", example=False)
    is_long_running: bool = _value(
        description="At work for longer than SEEDER_LONG_RUNNING_SECONDS, or three times as long as usual.",
        example=False,
    )
    is_stale: bool = _value(
        description="The last success is older than two ticks of the schedule.", example=False
    )
    never_run: bool = _value(description="There is no run yet.", example=False)
    enabled: bool = _value(description="Whether the manifest is switched on.", example=True)


class JobPage(Wire):
    """Jobs in the order asked for."""

    items: list[JobRow]
    next: str | None = _value(description="The cursor of the next page; null on the last one.", example=None)
    total: int = _value(description="How many jobs the filters take, over all pages.", example=142)


class JobDetail(Wire):
    """A table's job; others that name the same table, and share its matview or are refused because of it."""

    job: JobRow
    others: list[JobRow]


class HistoryRow(Wire):
    """One run of a job."""

    run_id: str = _value(description="The run, as in Celery and Flower.", example="20261124T0200Z.custom-12")
    status: Status = _value(description="pending, running, success or error.", example="success")
    start_time: Moment = _value(
        description="When it began, or was queued where it hasn't.",
        example="2026-11-24T02:00:03.120000+00:00",
    )
    finish_time: Moment | None = _value(
        description="When it ended.", example="2026-11-24T02:00:45.007000+00:00"
    )
    duration_seconds: int | None = _value(description="In seconds, rounded up.", example=42)
    records_processed: int | None = _value(
        description="Rows after the run; null when unknown.", example=18250
    )
    bytes_processed: int | None = _value(description="Size of the matview after the run.", example=2490368)
    memory_usage_mb: int | None = _value(
        description="Of the PostgreSQL backend; null when unknown.", example=31
    )
    cpu_percentage: int | None = _value(description="Of one core; null when unknown.", example=87)
    errors: str | None = _value(description="What went wrong, or should be known nevertheless.", example=None)


class HistoryPage(Wire):
    """A job's runs, the one recorded last first."""

    items: list[HistoryRow]
    next: str | None = _value(description="The cursor of the next page; null on the last one.", example=None)


class RunRow(HistoryRow):
    """One run, with what it was of."""

    id: int = _value(description="manifest_id; unique together with reportType.", example=12)
    report_type: ReportKind = _value(
        description="Which of the two manifest tables id is of.", example="custom"
    )
    report_name: str = _value(description="The report's name at the time.", example="Sales by month")
    table_name: str = _value(description="The matview, as the record has it.", example=_TABLE)
    agency_slug: str = _value(description="The agency's short name.", example="north-port")
    consecutive_failures: int = _value(
        description="Runs in a row that ended in error, with this one.", example=0
    )


class RunPage(Wire):
    """Runs of all jobs, the one that began last first."""

    items: list[RunRow]
    next: str | None = _value(
        description="The cursor of the next page; null on the last one. A page whose filter takes few runs "
        "may be short, or empty, and still have a next one.",
        example=None,
    )


class StatusCounts(Wire):
    """Jobs that are switched on, by the status of their last run."""

    pending: int = _value(example=0)
    running: int = _value(example=2)
    success: int = _value(example=138)
    error: int = _value(example=2)
    never_run: int = _value(example=0)


class FlagCounts(Wire):
    """Jobs by flag."""

    is_failing: int = _value(example=2)
    is_long_running: int = _value(example=0)
    is_stale: int = _value(example=1)
    never_run: int = _value(example=0)
    enabled: int = _value(example=142)


class SeedingRow(Wire):
    """One fan-out: how far it is, or how it went."""

    seeding_id: str = _value(
        description="Its moment; an ad-hoc one's has a suffix.", example="20261124T0200Z"
    )
    scheduled: bool = _value(description="Whether the schedule began it, or a person.", example=True)
    recorded_at: Moment = _value(
        description="When its runs were recorded.", example="2026-11-24T02:00:01.400000+00:00"
    )
    finish_time: Moment | None = _value(
        description="When its last run ended; null while there is one that hasn't.",
        example="2026-11-24T02:07:30+00:00",
    )
    expected_end: Moment | None = _value(
        description="From the usual durations of what is left and how many ran side by side so far; null "
        "once it has ended, and where nothing is known.",
        example=None,
    )
    runs: int = _value(description="How many runs it has.", example=142)
    pending: int = _value(example=0)
    running: int = _value(example=0)
    success: int = _value(example=140)
    error: int = _value(example=2)


class ScheduleRow(Wire):
    """The schedule, and whether it was kept."""

    expression: str = _value(description="Cron, five fields.", example="0 2 * * *")
    timezone: str = _value(example="UTC")
    last_tick: Moment = _value(example="2026-11-24T02:00:00+00:00")
    next_tick: Moment = _value(example="2026-11-25T02:00:00+00:00")
    missed: bool = _value(
        description="Whether nothing ran the tick that was due last, and it is too late for it "
        "(SEEDER_CATCH_UP).",
        example=False,
    )
    missed_tick: Moment | None = _value(description="The tick that was missed.", example=None)
    late_tick: Moment | None = _value(
        description="The tick that was due last, where nothing has run it yet but a worker or this process "
        "is about to.",
        example=None,
    )


class Summary(Wire):
    """What an operator wants to know first."""

    jobs: int = _value(description="All manifests.", example=143)
    status: StatusCounts
    flags: FlagCounts
    running: SeedingRow | None = _value(description="The newest seeding that has runs left.", example=None)
    last: SeedingRow | None = _value(description="The newest seeding that has ended.", example=None)
    schedule: ScheduleRow


class RefusedRun(Wire):
    run_id: str = _value(example="20261124T091502Z-k3f9.custom-12")
    reason: str = _value(example="The manifest has no query. Fill query in its row.")


class WaitingRun(Wire):
    table_name: str = _value(example=_TABLE)
    run_id: str = _value(example="20261124T091501Z-a1b2.custom-12")


class Started(Wire):
    """What a request to refresh has begun. Each run can be followed by its id."""

    seeding_id: str = _value(example="20261124T091502Z-k3f9")
    queued: int = _value(description="How many runs were queued.", example=1)
    run_ids: list[str] = _value(
        description="The runs that were queued.", example=["20261124T091502Z-k3f9.custom-12"]
    )
    refused: list[RefusedRun] = _value(
        description="Manifests that can't be used; recorded as errors.", example=[]
    )
    not_recorded: list[RefusedRun] = _value(description="Runs the database would not hold.", example=[])
    already_queued: list[WaitingRun] = _value(
        description="Tables of which a run waits to begin already: it does what was asked for.", example=[]
    )


class Cancelled(Wire):
    """What became of the wish to end a run."""

    run_id: str = _value(example="20261124T091502Z-k3f9.custom-12")
    table_name: str = _value(example=_TABLE)
    cancelled: bool = _value(
        description="Whether this request ended it; false is over already.", example=True
    )
    ended: bool = _value(description="Whether nothing works on it any more.", example=True)


class AgencyRefresh(Wire):
    """What of an agency is refreshed."""

    report_type: ReportKind | None = _value(None, description="Only reports of this type.", example="custom")


class Alive(Wire):
    status: Literal["ok"] = _value(example="ok")


class Ready(Wire):
    """Whether what seeder needs is there; a problem is told without any address."""

    ready: bool = _value(example=True)
    database: str = _value(example="ok")
    broker: str = _value(example="ok")
    schema_: str = Field(serialization_alias="schema", examples=["ok"])


class JobChange(Wire):
    """A job whose latest run, or whose flags, have changed."""

    table_name: str = _value(example=_TABLE)
    report_type: ReportKind = _value(example="custom")
    id: int = _value(example=12)
    status: Status | None = _value(example="running")
    run_id: str | None = _value(example="20261124T0200Z.custom-12")
    start_time: Moment | None = _value(example="2026-11-24T02:00:03.120000+00:00")
    finish_time: Moment | None = _value(example=None)
    duration_seconds: int | None = _value(example=42)
    consecutive_failures: int = _value(example=0)
    is_failing: bool = _value(example=False)
    is_long_running: bool = _value(example=False)
    is_stale: bool = _value(example=False)


class Changes(Wire):
    """The data of a ``changes`` event: what one look found. More than 100 jobs aren't listed: ask anew."""

    version: int = _value(description="Counts up; of this process.", example=7)
    count: int = _value(description="How many jobs have changed.", example=1)
    jobs: list[JobChange]
