"""A run that is to be queued, and what its message contains. Doesn't import Celery: planning needs none."""

from dataclasses import dataclass

from seeder.history import NewRun


@dataclass(frozen=True)
class Planned:
    """One run to queue, and the message's priority (0 is taken first)."""

    run: NewRun
    database_id: int | None
    priority: int
    #: How long the table's last run took. Of runs that wait for a slot of their database the longest is next.
    usual_seconds: int = 0
    #: How many tries the run has had.
    retries: int = 0
    #: Whether another of the runs that are planned with it waits for it, as far as is known.
    awaited: bool = True
    #: The runs that have to end before it is queued.
    upstreams: frozenset[str] = frozenset()
