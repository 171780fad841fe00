"""Beat's entries, as data made from the settings."""

from typing import Any

from celery.schedules import crontab

from seeder.settings import Settings

#: Seconds between two sweeps.
SWEEP_EVERY = 60.0


def beat_schedule(settings: Settings) -> dict[str, dict[str, Any]]:
    """name → entry, https://docs.celeryq.dev/en/stable/userguide/periodic-tasks.html#entries"""
    return {
        "refresh everything": {
            "task": "seeder.refresh_all",
            "schedule": crontab.from_string(settings.schedule),
            # All beats that fire for one tick mean the same seeding.
            "kwargs": {"scheduled": True},
        },
        "settle lost runs": {
            "task": "seeder.sweep",
            "schedule": SWEEP_EVERY,
            # A sweep that waited longer has been overtaken by the next.
            "options": {"expires": SWEEP_EVERY},
        },
        "prune old runs": {
            "task": "seeder.prune",
            "schedule": crontab(minute="17", hour="*/6"),
        },
    }
