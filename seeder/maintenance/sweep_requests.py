"""The sweep when beat is dead: any process notices that there has been none, and asks for one."""

from celery import Celery

from seeder.broker.client import redis
from seeder.broker.messages import TROUBLE, broker_trouble
from seeder.maintenance.duties import SWEEP

#: In Redis for as long as nobody needs to ask for a sweep.
SWEPT = "seeder.swept"

#: Without a sweep for so long, one is asked for: beat's next has had time to begin by then.
OVERDUE_SECONDS = round(1.25 * SWEEP.interval)


def note_sweep(app: Celery) -> None:
    """Nobody needs to ask for one for a while. Raises BrokerUnreachable; then there is one sweep too many."""
    try:
        with redis(app) as client:
            client.set(SWEPT, 1, ex=OVERDUE_SECONDS)
    except TROUBLE as error:
        raise broker_trouble(app, error) from error


def ask_for_sweep(app: Celery) -> bool:
    """Queue a sweep where there was none for a while; of several that ask at once one does."""
    with redis(app) as client:
        if not client.set(SWEPT, 1, nx=True, ex=OVERDUE_SECONDS):
            return False
    app.send_task("seeder.sweep", expires=SWEEP.interval)
    return True
