"""The tasks: each takes its arguments and calls one thing. What becomes of a run is recorded by signals."""

from typing import Any

import psycopg2
import structlog
from celery import Task
from celery.exceptions import Ignore, Retry

from seeder.app import app
from seeder.broker.delayed import backoff_seconds
from seeder.broker.requests import BriefRequest
from seeder.equipment import equipment
from seeder.errors import Duplicate, ManifestError, TemporaryError, TurnAwaited, UserError
from seeder.maintenance import prune as pruning
from seeder.maintenance.audit import audit_night
from seeder.maintenance.sweep import sweep_and_requeue
from seeder.maintenance.sweep_requests import note_sweep
from seeder.runs.shutdown import RunRequest
from seeder.seedings.fan_out import seed
from seeder.seedings.planning import Selection

log = structlog.get_logger(__name__)

#: What a fan-out, a sweep or pruning meets while the database is away, or is a standby for the time being.
AWAY = (psycopg2.OperationalError, psycopg2.InterfaceError, psycopg2.errors.ReadOnlySqlTransaction)

#: A fan-out that finds the reporting database away is tried again for about an hour, or a restart at two in
#: the morning would cost the night. What a scheduled one had done by then it doesn't do twice.
FAN_OUT: dict[str, Any] = {
    "Request": BriefRequest,
    "throws": (UserError,),
    "autoretry_for": AWAY,
    "max_retries": 60,
    "retry_backoff": True,
    "retry_backoff_max": 60,
}

#: What comes again by itself: one line of the log will do.
UPKEEP: dict[str, Any] = {
    "Request": BriefRequest,
    "throws": (UserError, *AWAY),
}


@app.task(name="seeder.refresh_all", **FAN_OUT)
def refresh_all(report_type: str | None = None, *, scheduled: bool = False) -> dict[str, Any]:
    """Refresh everything, or all of one type. ``scheduled``: for the schedule's latest tick, once."""
    return seed(app, equipment(), Selection(report_type=report_type), scheduled=scheduled).as_dict()


@app.task(name="seeder.refresh_agency", **FAN_OUT)
def refresh_agency(agency_slug: str, report_type: str | None = None) -> dict[str, Any]:
    """Refresh the reports of one agency."""
    selection = Selection(agency_slug=agency_slug, report_type=report_type)
    return seed(app, equipment(), selection).as_dict()


@app.task(name="seeder.refresh_table", **FAN_OUT)
def refresh_table(table_name: str, *, upstream: bool = False, downstream: bool = False) -> dict[str, Any]:
    """Refresh one matview, named as in its manifest or with its placeholders filled in.

    ``upstream``: and first what it reads; ``downstream``: and then what reads it.
    """
    selection = Selection(table_name=table_name, upstream=upstream, downstream=downstream)
    return seed(app, equipment(), selection).as_dict()


@app.task(
    name="seeder.refresh_manifest",
    bind=True,
    throws=(ManifestError, TemporaryError, UserError),
    Request=RunRequest,
)
def refresh_manifest(
    self: Task, report_type: str, manifest_id: int, table_name: str, database_id: int | None = None
) -> dict[str, Any]:
    """One run. Its task id is its run_id; task_prerun has claimed it, or found out why it can't be.

    It raises Retry itself: Celery's own retry would leave the message waiting with a worker. The signal
    task_retry records that and puts the run away.
    """
    try:
        return dict(self.request.run.refresh().as_dict())
    except Duplicate:
        raise Ignore from None
    except TurnAwaited as busy:
        raise Retry(str(busy), busy) from None
    except TemporaryError as error:
        settings, databases = equipment().settings, equipment().databases
        tried = max(self.request.retries, self.request.run.tried)
        if tried >= settings.max_retries:
            raise
        # A database that nobody asks for a while would only refuse the next try.
        pause = max(databases.refusing_for(database_id), databases.refusing_for(None))
        pause += backoff_seconds(tried + 1, settings.retry_backoff_max)
        raise Retry(exc=error, when=round(pause, 3)) from None


@app.task(name="seeder.sweep", **UPKEEP)
def sweep() -> dict[str, int]:
    """Settle the runs whose worker died or whose message was lost."""
    swept = sweep_and_requeue(app, equipment())
    note_sweep(app)
    return swept


@app.task(name="seeder.audit", **UPKEEP)
def audit() -> dict[str, int]:
    """Compare some reports that are called unchanged with their queries, once after a scheduled seeding."""
    return audit_night(app, equipment())


@app.task(name="seeder.prune", **UPKEEP)
def prune() -> pruning.Pruned:
    """Delete finished runs older than SEEDER_HISTORY_DAYS, but each table's last; drop dead runs' copies."""
    return pruning.prune(equipment())
