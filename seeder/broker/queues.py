"""Fixed names and numbers: the queues, the task of a run, and the priority steps."""

from typing import Any

from seeder.config.settings import Settings

REFRESH_QUEUE = "seeder.refresh"
CONTROL_QUEUE = "seeder.control"

TASK = "seeder.refresh_manifest"

#: Redis' priorities, 0 first; kombu keeps one list per step, and takes 9 for whatever is above it.
#: https://docs.celeryq.dev/en/stable/userguide/routing.html#redis-message-priorities
PRIORITY_STEPS = tuple(range(10))

#: Fan-outs and sweeps; a worker that consumes both queues takes them before any run.
CONTROL_PRIORITY = PRIORITY_STEPS[0]
RUN_PRIORITIES = PRIORITY_STEPS[1:]


def refresh_queues(settings: Settings) -> list[str]:
    """The queues of runs: one, or one more for each other database."""
    others = sorted(settings.databases) if settings.route_by_database else ()
    return [REFRESH_QUEUE, *(f"{REFRESH_QUEUE}.{number}" for number in others)]


def by_database(name: str, _args: Any, kwargs: dict[str, Any] | None, *_: Any, **__: Any) -> Any:
    """A router of Celery's: a run of another database goes to that one's queue.

    https://docs.celeryq.dev/en/stable/userguide/routing.html#routers
    """
    number = (kwargs or {}).get("database_id")
    return {"queue": f"{REFRESH_QUEUE}.{number}"} if name == TASK and number is not None else None
