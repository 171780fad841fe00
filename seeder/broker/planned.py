"""A run that is to be queued, and what its message says beside. Without Celery, for whoever only plans."""

from dataclasses import dataclass

from seeder.history import NewRun


@dataclass(frozen=True)
class Planned:
    """One run to queue, and the message's priority (0 is taken first)."""

    run: NewRun
    database_id: int | None
    priority: int
    #: How long the table's last run took: where runs wait for a slot of their database, the longest is next.
    usual_seconds: int = 0
    #: How often the run was tried already.
    retries: int = 0
