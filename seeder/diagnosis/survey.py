"""Asks PostgreSQL about many manifests, each on its own database, over several connections at once."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from seeder.manifests import Manifest
from seeder.matviews import Limits, under_limits
from seeder.postgres.databases import Databases
from seeder.postgres.session import Session

T = TypeVar("T")

#: So that round trips overlap; the server's processors are the limit then (docs/checking.md).
CONNECTIONS = 4


@contextmanager
def looking(databases: Databases, database_id: int | None, limits: Limits) -> Iterator[Session]:
    """A connection with the time limits of a run."""
    with databases.session(database_id) as session, under_limits(session, limits):
        yield session


def survey(ask: Callable[[Sequence[Manifest]], T], groups: Iterable[Sequence[Manifest]]) -> Iterator[T]:
    """The answers, in the groups' order. What `ask` raises ends the survey."""
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        yield from pool.map(ask, groups)
