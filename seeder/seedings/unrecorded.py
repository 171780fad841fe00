"""Reports whose run a fan-out could not record, since somebody held a row that it refers to. The sweep seeds
them again until it can be. No row of the history tells of them, so a set in Redis does; if Redis loses that,
the next seeding has them all the same.
"""

from collections.abc import Iterable

import structlog
from celery import Celery

from seeder.broker.client import redis
from seeder.broker.messages import TROUBLE, broker_trouble
from seeder.postgres.failures import one_line

log = structlog.get_logger(__name__)

#: The manifests' identities, such as custom-12.
KEY = "seeder.unrecorded"


def note(app: Celery, identities: Iterable[str]) -> None:
    """What Redis can't store is only logged, without an error: all other runs are recorded and queued."""
    noted = list(identities)
    if not noted:
        return
    try:
        with redis(app) as client:
            client.sadd(KEY, *noted)
    except TROUBLE as error:
        log.warning("not noted for the sweep: the next seeding runs them", runs=noted, reason=one_line(error))


def noted(app: Celery) -> frozenset[str]:
    """Raises BrokerUnreachable."""
    try:
        with redis(app) as client:
            return frozenset(one.decode() for one in client.smembers(KEY))
    except TROUBLE as error:
        raise broker_trouble(app, error) from error


def forget(app: Celery, identities: Iterable[str]) -> None:
    """Raises BrokerUnreachable, after which they are seeded once too often."""
    done = list(identities)
    if not done:
        return
    try:
        with redis(app) as client:
            client.srem(KEY, *done)
    except TROUBLE as error:
        raise broker_trouble(app, error) from error
