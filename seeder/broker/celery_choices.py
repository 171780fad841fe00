"""Merges an operator's own Celery settings, from a celeryconfig.py, with seeder's. All but a few override it.

Celery's ``add_defaults`` gives an app's defaults precedence over what ``config_from_object`` has read
(5.7.0), so what an operator has set is left out of the defaults here.
"""

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

from celery.app.utils import Settings, detect_settings
from celery.loaders.app import AppLoader
from celery.utils.imports import cwd_in_path
from kombu.entity import Queue

from seeder.errors import CeleryConfigUnusable, CelerySettingFixed
from seeder.postgres.failures import one_line

MODULE = "celeryconfig"

#: What stays as it is, and why; celeryconfig.py may repeat it.
FIXED = {
    "broker_url": "the address of Redis is what SEEDER_BROKER_URL says, to every part of seeder",
    "broker_read_url": "the address of Redis is what SEEDER_BROKER_URL says",
    "broker_write_url": "the address of Redis is what SEEDER_BROKER_URL says",
    "accept_content": "a pickle, say, is code that whoever reaches Redis would have a worker run",
    "task_serializer": "workers take in JSON only",
    "task_compression": "workers set compressed messages aside, since a few kB may become gigabytes",
    "task_protocol": "the first protocol's messages say nowhere which run they are of",
    "task_acks_late": "the record in PostgreSQL says where a run is; with late acknowledgement a worker ends "
    "when Redis restarts",
    "worker_consumer": "any other one is ended by a message that it can't read",
}

#: The same, of settings that are joined.
FIXED_OPTIONS = {"priority_steps": "a run's priority and the sweep's search go by these steps"}


class Loader(AppLoader):  # type: ignore[misc]
    """Celery's loader, which also reports why a celeryconfig.py can't be used. Celery itself treats one in
    which an import fails as if there were none."""

    def config_from_object(self, obj: Any, silent: bool = False) -> bool:  # noqa: ARG002 - Celery's signature
        if obj == MODULE and not _is_there():
            return False
        try:
            super().config_from_object(obj)
            # Raises what old and new names side by side come to.
            detect_settings(self.conf)
        except Exception as error:
            raise CeleryConfigUnusable(reason=f"{type(error).__name__}: {one_line(error)}") from error
        return True


def _is_there() -> bool:
    with cwd_in_path():
        return find_spec(MODULE) is not None


def beside(ours: Mapping[str, Any], chosen: Settings) -> dict[str, Any]:
    """Seeder's settings that apply beside the operator's. ``chosen`` are the operator's alone.

    Raises CelerySettingFixed.
    """
    for name, why in FIXED.items():
        if chosen.value_set_for(name) and chosen[name] != ours.get(name, chosen.defaults[-1].get(name)):
            raise CelerySettingFixed(name=name, reason=why)
    standing = {}
    for name, value in ours.items():
        if not chosen.value_set_for(name):
            standing[name] = value
        elif name in JOINED:
            standing[name] = JOINED[name](value, chosen[name])
    return standing


def _options(ours: Mapping[str, Any], theirs: Mapping[str, Any] | None) -> dict[str, Any]:
    theirs = theirs or {}
    for name, why in FIXED_OPTIONS.items():
        if theirs.get(name, ours[name]) != ours[name]:
            raise CelerySettingFixed(name=f"broker_transport_options[{name!r}]", reason=why)
    return {**ours, **theirs}


def _entries(ours: Mapping[str, Any], theirs: Mapping[str, Any] | None) -> dict[str, Any]:
    return {**ours, **(theirs or {})}


def _queues(ours: list[Queue], theirs: Any) -> dict[str, Any]:
    """Other queues join seeder's, which can't be changed: seeder looks into them."""
    if not isinstance(theirs, Mapping):
        theirs = {queue.name: queue for queue in theirs or ()}
    return {**theirs, **{queue.name: queue for queue in ours}}


def _routes(ours: list[Any], theirs: Any) -> list[Any]:
    """The first router that knows a task decides, so seeder's tasks stay on seeder's queues."""
    return [*ours, *(theirs if isinstance(theirs, list | tuple) else [theirs] if theirs else [])]


#: Settings of several parts: an operator's join seeder's, and win over the ones of the same name where they
#: may; in the place of all of them they would, for one entry more, leave out the refreshes.
JOINED: dict[str, Callable[[Any, Any], Any]] = {
    "broker_transport_options": _options,
    "beat_schedule": _entries,
    "task_queues": _queues,
    "task_routes": _routes,
}
