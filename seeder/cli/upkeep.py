"""``seeder sweep`` and ``seeder prune``: carry out a background duty now."""

from seeder.app import app
from seeder.cli.printing import console, print_json
from seeder.equipment import equipment
from seeder.maintenance.prune import prune
from seeder.maintenance.sweep import sweep_and_requeue


def sweep_now(*, as_json: bool) -> int:
    equipment().databases.verify()
    done = sweep_and_requeue(app, equipment())
    if as_json:
        print_json(done)
    else:
        console().print(f"{done['requeued']} runs queued again, {done['ended']} given up.")
    return 0


def prune_now(*, as_json: bool) -> int:
    equipment().databases.verify()
    done = prune(equipment())
    if as_json:
        print_json(done)
        return 0
    days = equipment().settings.history_days
    console().print(f"{done['deleted']} runs older than {days} days deleted.")
    for copy in done["copies"]:
        console().print(f"Dropped {copy}, which a run had left that died.")
    return 0
