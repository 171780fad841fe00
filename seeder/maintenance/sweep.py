"""The sweep: settles lost runs in the record, and queues again those that have tries left."""

from contextlib import closing

from celery import Celery

from seeder.broker.messages import note_attempts, noted_attempts, on_their_way, publish, verify_room
from seeder.broker.queues import refresh_queues
from seeder.equipment import Equipment
from seeder.maintenance.duties import SWEEP
from seeder.maintenance.lost_runs import QUIET_SECONDS, Sweep
from seeder.maintenance.waiting_runs import WaitingRuns, planned_again
from seeder.seedings import unrecorded
from seeder.seedings.fan_out import seed
from seeder.seedings.planning import Selection
from seeder.seedings.release import Release


def sweep_and_requeue(
    app: Celery, equipment: Equipment, quiet_seconds: float = QUIET_SECONDS
) -> dict[str, int]:
    """Settle lost runs; returns how many were queued again and how many ended.

    Raises BrokerUnreachable before any try is counted as lost: it couldn't be queued again.
    """
    verify_room(app)
    with SWEEP.carried_out(equipment.databases) as facts:
        swept = _sweep(app, equipment, quiet_seconds)
        facts.update(swept)
    # Outside the block: a fan-out's statements aren't limited.
    _seed_unrecorded(app, equipment)
    return swept


def _sweep(app: Celery, equipment: Equipment, quiet_seconds: float) -> dict[str, int]:
    with equipment.databases.session() as session:
        database_of = equipment.manifests.databases(session)
    queues = refresh_queues(equipment.settings)
    with closing(Release(app, equipment)) as release:
        waiting = WaitingRuns(release, equipment, database_of)
        swept = Sweep.of(equipment, quiet_seconds).settle(
            database_of,
            lambda: on_their_way(app, queues),
            lambda run_ids: noted_attempts(app, run_ids),
            waiting.put_in_order,
        )
        note_attempts(app, {run.run_id: run.attempts or 0 for run in swept.requeue})
        usual_seconds = equipment.history.usual_seconds() if swept.requeue else {}
        publish(app, [planned_again(run, database_of, usual_seconds) for run in swept.requeue])
        # After what has ended just now, too.
        waiting.let_go()
    return {"requeued": len(swept.requeue), "ended": len(swept.ended) + waiting.not_run}


def _seed_unrecorded(app: Celery, equipment: Equipment) -> None:
    """Of these there are no rows; a manifest that is gone meanwhile has no run."""
    if identities := unrecorded.noted(app):
        seeding = seed(app, equipment, Selection(identities=identities))
        unrecorded.forget(app, identities - seeding.locked)
