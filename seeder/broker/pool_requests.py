"""Verifies what is requested of a worker's pool, at its start and by remote control.

An impossible request is refused in one line. Celery would fail in the worker's event loop, which ends the
worker, or leaves one that answers pings and takes no task any more (5.7.0).
"""

import sys
from typing import Any

import structlog
from celery import bootsteps, concurrency
from celery.concurrency import prefork
from celery.worker import control

from seeder.errors import PoolUnfit
from seeder.postgres.failures import one_line

log = structlog.get_logger(__name__)

#: Attribute of Celery's worker → what sets it, and what it does in `prefork` only.
_PREFORK_ONLY = {
    "time_limit": "task_time_limit (--time-limit)",
    "soft_time_limit": "task_soft_time_limit (--soft-time-limit)",
    "max_tasks_per_child": "worker_max_tasks_per_child (--max-tasks-per-child)",
    "max_memory_per_child": "worker_max_memory_per_child (--max-memory-per-child)",
}


class PoolVerified(bootsteps.Step):  # type: ignore[misc]
    """A step of the worker, before its pool begins.
    https://docs.celeryq.dev/en/stable/userguide/extending.html#worker-bootsteps"""

    def __init__(self, parent: Any, autoscale: Any = None, **options: Any) -> None:
        super().__init__(parent, **options)
        try:
            verify(parent.pool_cls, autoscale)
        except PoolUnfit as error:
            sys.stderr.write(f"seeder: {error}\n")
            raise SystemExit(2) from None
        if not issubclass(parent.pool_cls, prefork.TaskPool):
            for name, setting in _PREFORK_ONLY.items():
                if getattr(parent, name):
                    log.warning("without effect: only the prefork pool knows it", setting=setting)


def verify_known(name: str | type) -> None:
    """Raises PoolUnfit where there is no such pool: `-P` takes the names that Celery knows only, but
    `worker_pool` in a celeryconfig.py takes any."""
    try:
        concurrency.get_implementation(name)
    except Exception as error:  # noqa: BLE001 - whatever the import of somebody's module raises
        raise PoolUnfit(
            reason=f"celeryconfig.py sets worker_pool to {name!r}, which can't be loaded ({one_line(error)})"
        ) from None


def verify(pool: type, autoscale: tuple[int, int] | None) -> None:
    """Raises PoolUnfit."""
    if pool.is_green:  # type: ignore[attr-defined]
        raise PoolUnfit(
            reason="its refreshes would run one after the other in the pool that was asked for (gevent, "
            "eventlet), since the driver waits for PostgreSQL in C; leave -P out, or use -P prefork"
        )
    if autoscale is None:
        return
    # prefork's gets its methods when it starts.
    if not (issubclass(pool, prefork.TaskPool) or hasattr(pool, "grow")):
        raise PoolUnfit(reason="the pool that was asked for can't grow, so leave --autoscale out")
    most, least = autoscale
    if most < 1 or least < 0:
        raise PoolUnfit(reason=f"--autoscale={most},{least} leaves the pool without a place; write 4,1")


def _command(name: str, *arguments: str, signature: str) -> Any:
    """Registers a remote control command, in place of Celery's own of that name."""
    integers = [(argument, int) for argument in arguments]
    return control.control_command(name=name, args=integers, signature=signature)


@_command("pool_grow", "n", signature="[N=1]")  # type: ignore[untyped-decorator]
def grow(state: Any, n: int = 1, **_: Any) -> Any:
    """Grow pool by n processes/threads."""
    return _unfit(state, n) or control.pool_grow(state, n)


@_command("pool_shrink", "n", signature="[N=1]")  # type: ignore[untyped-decorator]
def shrink(state: Any, n: int = 1, **_: Any) -> Any:
    """Shrink pool by n processes/threads."""
    if unfit := _unfit(state, n):
        return unfit
    if not state.consumer.controller.autoscaler and n >= state.consumer.pool.num_processes:
        return control.nok("a pool keeps one place at least; to stop its work use cancel_consumer")
    return control.pool_shrink(state, n)


@_command("autoscale", "max", "min", signature="[max [min]]")  # type: ignore[untyped-decorator]
def scale(state: Any, **limits: int) -> Any:
    """Modify autoscale settings."""
    worker = state.consumer.controller
    if not worker.autoscaler:
        return control.nok("this worker was started without --autoscale; use pool_grow or pool_shrink")
    most = limits.get("max", worker.autoscaler.max_concurrency)
    least = limits.get("min", worker.autoscaler.min_concurrency)
    if not 0 <= least <= most or most < 1:
        return control.nok(f"not a range of places: at most {most}, at least {least}")
    # How many messages are taken at a time. Celery leaves it unchanged.
    worker.max_concurrency = most
    return control.autoscale(state, most, least)


def _unfit(state: Any, number: int) -> Any:
    if not hasattr(state.consumer.pool, "grow"):
        return control.nok("this worker's pool can neither grow nor shrink")
    return control.nok("the number must be 1 or more") if number < 1 else None
