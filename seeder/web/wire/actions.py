"""Requests to refresh and to cancel, and their results."""

from seeder.web.wire.base import TABLE, ReportKind, Wire, value


class AgencyRefresh(Wire):
    """What of an agency is refreshed."""

    report_type: ReportKind | None = value(None, description="Only reports of this type.", example="custom")


class RefusedRun(Wire):
    run_id: str = value(example="20261124T091502Z-k3f9.custom-12")
    reason: str = value(example="The manifest has no query. Fill query in its row.")


class WaitingRun(Wire):
    table_name: str = value(example=TABLE)
    run_id: str = value(example="20261124T091501Z-a1b2.custom-12")


class Started(Wire):
    """What a request to refresh has begun. Each run can be followed by its id."""

    seeding_id: str = value(example="20261124T091502Z-k3f9")
    queued: int = value(description="How many runs were queued.", example=1)
    run_ids: list[str] = value(
        description="The runs that were queued.", example=["20261124T091502Z-k3f9.custom-12"]
    )
    refused: list[RefusedRun] = value(
        description="Manifests that can't be used; recorded as errors.", example=[]
    )
    not_recorded: list[RefusedRun] = value(description="Runs the database would not hold.", example=[])
    already_queued: list[WaitingRun] = value(
        description="Tables of which a run waits to begin already: it does what was asked for.", example=[]
    )


class Cancelled(Wire):
    """What became of the wish to end a run."""

    run_id: str = value(example="20261124T091502Z-k3f9.custom-12")
    table_name: str = value(example=TABLE)
    cancelled: bool = value(description="Whether this request ended it; false is over already.", example=True)
    ended: bool = value(description="Whether nothing works on it any more.", example=True)
