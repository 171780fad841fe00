"""The sweep: settles lost runs in the record, and queues again those that have tries left."""

from typing import Any

from celery import Celery

from seeder.broker.messages import note_attempts, noted_attempts, on_their_way, publish, verify_room
from seeder.broker.planned import Planned
from seeder.broker.queues import RUN_PRIORITIES, refresh_queues
from seeder.equipment import Equipment
from seeder.history import NewRun
from seeder.maintenance.duties import SWEEP
from seeder.maintenance.lost_runs import QUIET_SECONDS, Sweep
from seeder.seedings import unrecorded
from seeder.seedings.fan_out import seed
from seeder.seedings.planning import Selection


def sweep_and_requeue(
    app: Celery, equipment: Equipment, quiet_seconds: float = QUIET_SECONDS
) -> dict[str, Any]:
    """Settle lost runs; returns how many were queued again and how many ended.

    Raises BrokerUnreachable before any try is counted as lost: it couldn't be queued again.
    """
    verify_room(app)
    with SWEEP.carried_out(equipment.databases) as facts:
        facts.update(_sweep(app, equipment, quiet_seconds))
    return facts


def _sweep(app: Celery, equipment: Equipment, quiet_seconds: float) -> dict[str, int]:
    with equipment.databases.session() as session:
        database_of = equipment.manifests.databases(session)
    queues = refresh_queues(equipment.settings)
    swept = Sweep.of(equipment, quiet_seconds).settle(
        database_of, lambda: on_their_way(app, queues), lambda run_ids: noted_attempts(app, run_ids)
    )
    note_attempts(app, {run.run_id: run.attempts or 0 for run in swept.requeue})
    usual_seconds = equipment.history.usual_seconds() if swept.requeue else {}
    publish(
        app,
        [
            Planned(
                NewRun(
                    run.run_id,
                    run.report_type,
                    run.manifest_id,
                    run.table_name,
                    run.report_name,
                    agency_id=0,
                    agency_slug=run.agency_slug,
                ),
                database_of.get(f"{run.report_type}-{run.manifest_id}"),
                RUN_PRIORITIES[0],
                usual_seconds.get(run.table_name, 0),
                retries=run.attempts or 0,
            )
            for run in swept.requeue
        ],
    )
    _seed_unrecorded(app, equipment)
    return {"requeued": len(swept.requeue), "ended": len(swept.ended)}


def _seed_unrecorded(app: Celery, equipment: Equipment) -> None:
    """Of these there are no rows; a manifest that is gone meanwhile has no run."""
    if identities := unrecorded.noted(app):
        seeding = seed(app, equipment, Selection(identities=identities))
        unrecorded.forget(app, identities - seeding.locked)
