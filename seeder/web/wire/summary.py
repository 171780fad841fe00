"""The summary of all jobs: counts, seedings, the schedule."""

from seeder.web.wire.base import Moment, Wire, value


class StatusCounts(Wire):
    """Jobs that are switched on, by the status of their last run, apart from the errors what was cancelled or
    not run."""

    pending: int = value(example=0)
    running: int = value(example=2)
    success: int = value(example=138)
    error: int = value(description="Their last run failed.", example=2)
    cancelled: int = value(description="Their last run was cancelled by somebody.", example=0)
    not_run: int = value(description="Their last run wasn't begun, as what they read had failed.", example=0)
    never_run: int = value(example=0)


class FlagCounts(Wire):
    """Jobs by flag."""

    is_failing: int = value(example=2)
    is_long_running: int = value(example=0)
    is_stale: int = value(example=1)
    never_run: int = value(example=0)
    enabled: int = value(example=142)


class SeedingRow(Wire):
    """One fan-out: how far it is, or how it went."""

    seeding_id: str = value(description="Its moment; an ad-hoc one's has a suffix.", example="20261124T0200Z")
    scheduled: bool = value(description="Whether the schedule began it, or a person.", example=True)
    recorded_at: Moment = value(
        description="When its runs were recorded.", example="2026-11-24T02:00:01.400000+00:00"
    )
    finish_time: Moment | None = value(
        description="When its last run ended; null while there is one that hasn't.",
        example="2026-11-24T02:07:30+00:00",
    )
    expected_end: Moment | None = value(
        description="From the usual durations of what is left and how many ran side by side so far; null "
        "once it has ended, and where nothing is known.",
        example=None,
    )
    runs: int = value(description="How many runs it has.", example=142)
    pending: int = value(example=0)
    running: int = value(example=0)
    success: int = value(example=140)
    error: int = value(description="Runs that failed.", example=2)
    cancelled: int = value(description="Runs that somebody cancelled.", example=0)
    not_run: int = value(
        description="Runs that weren't begun, as what they read had failed; runs is the sum of these six.",
        example=0,
    )


class ScheduleRow(Wire):
    """The schedule, and whether it was kept."""

    expression: str = value(description="Cron, five fields.", example="0 2 * * *")
    timezone: str = value(example="UTC")
    last_tick: Moment = value(example="2026-11-24T02:00:00+00:00")
    next_tick: Moment = value(example="2026-11-25T02:00:00+00:00")
    missed: bool = value(
        description="Whether nothing ran the tick that was due last, and it is too late for it "
        "(SEEDER_CATCH_UP).",
        example=False,
    )
    missed_tick: Moment | None = value(description="The tick that was missed.", example=None)
    late_tick: Moment | None = value(
        description="The tick that was due last, where nothing has run it yet but a worker or this process "
        "is about to.",
        example=None,
    )


class Summary(Wire):
    """What an operator wants to know first."""

    jobs: int = value(description="All manifests.", example=143)
    status: StatusCounts
    flags: FlagCounts
    running: SeedingRow | None = value(description="The newest seeding that has runs left.", example=None)
    last: SeedingRow | None = value(description="The newest seeding that has ended.", example=None)
    schedule: ScheduleRow
