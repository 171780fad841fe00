"""A tick that nothing ran: it is run while that makes sense, and told of afterwards."""

from datetime import datetime, timedelta

import structlog
from celery import Celery

from seeder.broker.client import redis
from seeder.broker.messages import TROUBLE
from seeder.equipment import Equipment
from seeder.postgres.failures import one_line
from seeder.seedings.fan_out import seed
from seeder.seedings.overdue import DueTicks, LateTick
from seeder.seedings.planning import Selection

log = structlog.get_logger(__name__)

#: In Redis, so that of many processes one tells of a missed tick, once.
MISSED = "seeder.missed."
REMEMBERED = timedelta(days=30)


def catch_up(app: Celery, equipment: Equipment, now: datetime, here_since: datetime | None = None) -> None:
    """Start the seeding that is due where nobody has. Several that do so at once start the same one.

    ``here_since`` is when the process that asks began. Raises UserError, psycopg2.Error.
    """
    if late := DueTicks.of(equipment).late_tick(now, here_since):
        make_up_for(app, equipment, late)


def make_up_for(app: Celery, equipment: Equipment, late: LateTick) -> None:
    """Run the tick, or tell once that it is too late for it. Raises as `catch_up`."""
    if late.missed:
        if _is_first_to_tell(app, late):
            log.warning(
                "missed: nothing ran the schedule's tick, and it is too late for it (SEEDER_CATCH_UP)",
                tick=late.tick.isoformat(),
                seeding_id=late.seeding_id,
            )
        return
    log.warning("nothing has run the schedule's tick; it is run now", tick=late.tick.isoformat())
    seed(app, equipment, Selection(), scheduled=True)


def _is_first_to_tell(app: Celery, late: LateTick) -> bool:
    try:
        with redis(app) as client:
            return bool(client.set(MISSED + late.seeding_id, 1, nx=True, ex=REMEMBERED))
    except TROUBLE as error:
        # Rather twice than never.
        log.warning("whether a missed tick was told of can't be asked in Redis", reason=one_line(error))
        return True
