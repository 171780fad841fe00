"""Describes one job: its manifest, its matview, what the matview reads, and who uses it now.

What can't be known is ``Unknown`` with its reason, part by part: a database that is down costs what it would
have said and nothing else. No question waits long for its answer (seeder.matviews.insight.facts.BRIEFLY).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import psycopg2
from psycopg2 import errorcodes

from seeder.diagnosis.forecast import Forecast, forecast
from seeder.errors import SeederError
from seeder.manifests import Manifest
from seeder.matviews import Policy
from seeder.matviews.insight import activity, facts, lineage
from seeder.matviews.insight.activity import AtMatview, Worker
from seeder.matviews.insight.facts import Facts, IndexFacts, Reads, Sizes
from seeder.matviews.insight.lineage import Relation
from seeder.postgres.databases import Databases
from seeder.postgres.failures import judged, one_line
from seeder.postgres.session import Session
from seeder.seedings.planning import Selection
from seeder.sql.names import MatviewName

T = TypeVar("T")

#: What a forecast's questions may take: the planner's estimate of a query is the longest.
STATEMENT_SECONDS = 1.5
LOCK_SECONDS = 0.25

LOCKED = "Its rows are being replaced just now, and PostgreSQL answers this when that is done."


@dataclass(frozen=True)
class Unknown:
    """What can't be known now, and why."""

    reason: str


@dataclass(frozen=True)
class Inspection:
    """A matview as its database shows it."""

    #: What bears its name; None where nothing does.
    facts: Facts | Unknown | None
    #: The others are None where there is no matview to ask about.
    sizes: Sizes | Unknown | None = None
    indexes: Sequence[IndexFacts] | Unknown | None = None
    reads: Reads | Unknown | None = None
    sessions: Sequence[AtMatview] | Unknown | None = None
    sources: Sequence[Relation] | Unknown | None = None
    readers: Sequence[Relation] | Unknown | None = None


def inspect(databases: Databases, database_id: int | None, matview: MatviewName) -> Inspection:
    def ask(session: Session) -> Inspection:
        found = facts.facts(session, matview)
        if found is None or found.kind != "m":
            return Inspection(found)
        oid = found.oid
        return Inspection(
            found,
            sizes=_part(databases, lambda: facts.sizes(session, oid)),
            indexes=_part(databases, lambda: facts.index_facts(session, oid)),
            reads=_part(databases, lambda: facts.read_counts(session, oid)),
            sessions=_part(databases, lambda: activity.sessions_at(session, oid)),
            sources=_part(databases, lambda: lineage.sources(session, oid)),
            readers=_part(databases, lambda: lineage.readers(session, oid)),
        )

    told = _asked(databases, database_id, ask)
    return Inspection(told) if isinstance(told, Unknown) else told


def work(databases: Databases, database_id: int | None, matview: MatviewName) -> Worker | Unknown | None:
    """The session that works on the matview, and what it waits for; None if there is none."""
    return _asked(databases, database_id, lambda session: activity.working_session(session, matview))


def next_refresh(databases: Databases, manifest: Manifest, policy: Policy) -> Forecast | Unknown:
    """What its next run would do, and why: as `seeder plan` tells it, but with little patience."""
    brief = replace(policy.limits.shortened(STATEMENT_SECONDS), lock_timeout=LOCK_SECONDS)
    try:
        (told,) = forecast(databases, [manifest], [], Selection(), replace(policy, limits=brief))
    except psycopg2.Error as error:
        return Unknown(_reason(databases, error))
    except SeederError as error:
        return Unknown(str(error))
    return told


def _asked(databases: Databases, database_id: int | None, ask: Callable[[Session], T]) -> T | Unknown:
    if database_id not in databases:
        return Unknown(f"The database {database_id} is not in SEEDER_DATABASES.")
    try:
        with databases.session(database_id) as session:
            return ask(session)
    except psycopg2.Error as error:
        return Unknown(_reason(databases, error))


def _part(databases: Databases, ask: Callable[[], T]) -> T | Unknown:
    try:
        return ask()
    except psycopg2.Error as error:
        return Unknown(_reason(databases, error))


def _reason(databases: Databases, error: psycopg2.Error) -> str:
    if error.pgcode == errorcodes.LOCK_NOT_AVAILABLE:
        return LOCKED
    if error.pgcode is None:
        return databases.scrubbed(f"Its database can't be reached: {one_line(error)}.")
    return databases.scrubbed(str(judged(error)))
