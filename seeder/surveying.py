"""Asking PostgreSQL about many manifests, each on its own database, over several connections at once."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from seeder.database import Databases
from seeder.manifests import Manifest
from seeder.matviews.lock import Limits
from seeder.session import Session

T = TypeVar("T")

#: So that round trips overlap; the server's processors are the limit then (docs/checking.md).
CONNECTIONS = 4

#: What a run's connection has (seeder.matviews.lock).
AS_A_RUN = """
select set_config('statement_timeout', %(statement_timeout_ms)s, false),
       set_config('lock_timeout', %(lock_timeout_ms)s, false)
"""
#: The web's processes do other work on the same connections.
AS_BEFORE = "reset statement_timeout; reset lock_timeout; reset search_path"


@contextmanager
def looking(databases: Databases, database_id: int | None, limits: Limits) -> Iterator[Session]:
    """A connection with the time limits of a run."""
    with databases.session(database_id) as session:
        session.run(
            AS_A_RUN,
            statement_timeout_ms=str(round(limits.statement_timeout * 1000)),
            lock_timeout_ms=str(round(limits.lock_timeout * 1000)),
        )
        try:
            yield session
        finally:
            if not session.closed:
                session.run_text(AS_BEFORE)


def survey(ask: Callable[[Sequence[Manifest]], T], groups: Iterable[Sequence[Manifest]]) -> Iterator[T]:
    """The answers, in the groups' order. What `ask` raises ends the survey."""
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        yield from pool.map(ask, groups)
