"""The broker's Redis for whoever keeps a key of seeder's own there."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import Celery


@contextmanager
def redis(app: Celery) -> Iterator[Any]:
    """kombu's client of the broker, which puts a deployment's key prefix before our keys too."""
    with app.connection_for_write() as connection, connection.channel() as channel:
        yield channel.client
