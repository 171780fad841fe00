"""The broker's Redis, for keys of seeder's own and for what asks whether it is there."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import Celery


@contextmanager
def redis(app: Celery, within: float | None = None) -> Iterator[Any]:
    """kombu's client of the broker, which puts a deployment's key prefix before our keys too.

    ``within`` bounds the seconds in which a connection must come about, at the first attempt.
    """
    with app.connection_for_write() as connection:
        if within is not None:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=within)
        with connection.channel() as channel:
            yield channel.client
