"""Requests a sweep if there was none for a while, as when beat is down."""

from celery import Celery

from seeder.broker.client import redis
from seeder.broker.messages import TROUBLE, broker_trouble
from seeder.maintenance.duties import SWEEP

#: The key in Redis that exists while no sweep needs to be requested.
SWEPT = "seeder.swept"

#: A sweep is requested if there was none for so long: beat's next one should have begun by then.
OVERDUE_SECONDS = round(1.25 * SWEEP.interval)


def note_sweep(app: Celery) -> None:
    """Note in Redis that there was a sweep. Raises BrokerUnreachable, which leads to one sweep too many."""
    try:
        with redis(app) as client:
            client.set(SWEPT, 1, ex=OVERDUE_SECONDS)
    except TROUBLE as error:
        raise broker_trouble(app, error) from error


def ask_for_sweep(app: Celery) -> bool:
    """Queue a sweep if there was none for a while. Of several processes that ask at once, one queues it."""
    with redis(app) as client:
        if not client.set(SWEPT, 1, nx=True, ex=OVERDUE_SECONDS):
            return False
    app.send_task("seeder.sweep", expires=SWEEP.interval)
    return True
