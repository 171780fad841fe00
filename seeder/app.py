"""The Celery app. Its configuration is read at first use, not at import."""

import os
from typing import Any

from celery import Celery
from kombu.entity import Exchange, Queue

from seeder import embedded
from seeder.broker import celery_choices
from seeder.broker.queues import (
    CONTROL_PRIORITY,
    CONTROL_QUEUE,
    PRIORITY_STEPS,
    REFRESH_QUEUE,
    RUN_PRIORITIES,
    TASK,
    by_database,
    refresh_queues,
)
from seeder.broker.thread_pool import THREADS
from seeder.config.broker_urls import tls_options
from seeder.config.settings import Settings, current_settings
from seeder.errors import BrokerElsewhere
from seeder.maintenance.duties import beat_entries
from seeder.schedule.beat import beat_schedule


def configuration() -> dict[str, Any]:
    """What the app reads at first use: the settings of this process, made Celery's, without those that an
    operator has set. Celery calls it when it has read those."""
    settings = current_settings()
    broker_url = embedded.broker_url(settings)
    for name in ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL"):
        # They win over every setting (celery.app.utils.Settings).
        if os.environ.get(name, broker_url) not in ("", broker_url):
            raise BrokerElsewhere(name=name)
    return celery_choices.beside(celery_settings(settings, broker_url), app.conf)


def celery_settings(settings: Settings, broker_url: str) -> dict[str, Any]:
    """Celery's settings; each one that differs from Celery's default says why.

    An operator's own choices belong in a ``celeryconfig.py`` in the working directory, which wins
    (seeder/broker/celery_choices.py).
    """
    return {
        "broker_url": broker_url,
        # None without TLS, with which kombu would by itself take anybody's certificate.
        "broker_use_ssl": tls_options(broker_url) or None,
        # Only JSON comes in: a pickle is code that whoever reaches Redis would have us run.
        "accept_content": ["json"],
        "task_serializer": "json",
        # Nothing reads results; storing them costs a third of a worker's throughput (measured on 5.7.0).
        "task_ignore_result": True,
        # A message is acknowledged when its task starts, and from then on the record in PostgreSQL and the
        # advisory lock say where the run is. With late acknowledgement a worker process exits when Redis
        # restarts under a running task, and a refresh longer than the visibility timeout is delivered again
        # while it runs (Celery and kombu 5.7.0).
        "task_acks_late": False,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        # A worker holds no message that it hasn't started: priorities then hold over all workers, and a
        # worker's death strands nothing. Redis only; new in Celery 5.6.
        "worker_disable_prefetch": True,
        "worker_prefetch_multiplier": 1,
        # A refresh waits for PostgreSQL, so threads do, in one process; and threads without prefetch need
        # the pool that wakes the event loop. On views of 2 to 3 ms prefork does as much.
        "worker_pool": THREADS,
        # One that no message can end.
        "worker_consumer": "seeder.broker.consumer:Consumer",
        "worker_concurrency": 4,
        "broker_connection_retry_on_startup": True,
        # For ever: a worker that gave up on a Redis that comes back later would be missed in the morning.
        "broker_connection_max_retries": None,
        # Whatever Redis replies but a message (it is a replica now, its disk is full, ...) would else end the
        # worker; with this it connects again, and waits (seeder/broker/states.py).
        "broker_channel_error_retry": True,
        "broker_transport_options": {
            # A run's message is unacknowledged only between Redis and the start of its task, and isn't noted
            # in Redis meanwhile (seeder/broker/transport.py). A fan-out's is while it waits for its next try,
            # or for the countdown it was called with. If the worker dies meanwhile, another takes the message
            # over after this many seconds; it must be longer than a fan-out waits.
            "visibility_timeout": 120,
            # kombu looks for such messages every interval * throttle seconds, 100 s by default.
            "unacked_restore_interval": 10,
            "unacked_restore_throttle": 3,
            "priority_steps": list(PRIORITY_STEPS),
            "queue_order_strategy": "priority",
            # A Redis that says nothing is found out, rather than waited on for ever: kombu sets no timeout of
            # its own, and a worker's event loop would stand still in a read. A worker's BRPOP isn't bound by
            # the first, only by the second.
            "socket_timeout": 10,
            "health_check_interval": 10,
            "socket_keepalive": True,
        },
        "task_default_queue": REFRESH_QUEUE,
        "task_default_priority": CONTROL_PRIORITY,
        # Each with an exchange of its own: both would else be bound to the default queue's, and a message
        # sent to that exchange would go to both.
        "task_queues": [
            Queue(name, Exchange(name), routing_key=name)
            for name in (CONTROL_QUEUE, *refresh_queues(settings))
        ],
        "task_routes": [
            *([by_database] if settings.route_by_database else []),
            {
                TASK: {"queue": REFRESH_QUEUE},
                # It takes as long as refreshes do, so it must not keep sweeps and fan-outs waiting.
                "seeder.audit": {"queue": REFRESH_QUEUE, "priority": RUN_PRIORITIES[-1]},
                "seeder.*": {"queue": CONTROL_QUEUE},
            },
        ],
        "timezone": settings.timezone,
        "beat_schedule": {**beat_schedule(settings), **beat_entries()},
        "beat_scheduler": "seeder.broker.beat_scheduler:Scheduler",
    }


app = Celery("seeder", loader=celery_choices.Loader)
app.add_defaults(configuration)
app.config_from_object(celery_choices.MODULE)
