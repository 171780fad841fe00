"""Asking PostgreSQL about many manifests, each on its own database, over several connections at once."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from seeder.manifests import Manifest
from seeder.matviews.limits import SET_LIMITS, Limits
from seeder.postgres.databases import Databases
from seeder.postgres.session import OWN_LIMITS, Session

T = TypeVar("T")

#: So that round trips overlap; the server's processors are the limit then (docs/checking.md).
CONNECTIONS = 4


@contextmanager
def looking(databases: Databases, database_id: int | None, limits: Limits) -> Iterator[Session]:
    """A connection with the time limits of a run."""
    with databases.session(database_id) as session:
        session.run(
            SET_LIMITS,
            statement_timeout_ms=str(round(limits.statement_timeout * 1000)),
            lock_timeout_ms=str(round(limits.lock_timeout * 1000)),
        )
        try:
            yield session
        finally:
            if not session.closed:
                # The web's processes do other work on the same connections.
                session.run_text(OWN_LIMITS)


def survey(ask: Callable[[Sequence[Manifest]], T], groups: Iterable[Sequence[Manifest]]) -> Iterator[T]:
    """The answers, in the groups' order. What `ask` raises ends the survey."""
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        yield from pool.map(ask, groups)
