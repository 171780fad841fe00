"""Runs that share one moment: their reports hold the rows that their tables held then, and so agree.

Only what reads tables alone can: another matview's rows, refreshed since, are not to be seen as of a moment
before. A concurrent refresh under a snapshot that is older than the matview's rows would leave the newer ones
where they are, as it compares with what that snapshot sees (seen on PostgreSQL 15 and 18): so it isn't
concurrent then.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from seeder.errors import MomentOver
from seeder.manifests import Manifest
from seeder.matviews.freshness.reading import STATE
from seeder.matviews.freshness.sources import REACHED
from seeder.matviews.modes.method import Method
from seeder.matviews.policy import Policy
from seeder.matviews.query.probe import PROBE, probe
from seeder.matviews.result import RefreshResult
from seeder.postgres.session import Session
from seeder.postgres.snapshots import under
from seeder.sql.directives import RefreshMode
from seeder.wording import exactly

log = structlog.get_logger(__name__)

READS_MATVIEWS = f"""
with {REACHED}
select exists (
    select from reached join pg_class as c on c.oid = reached.object
    where reached.class = cast('pg_class' as regclass) and c.relkind = 'm' and c.oid <> reached.root
) as found
"""

OID_OF_PROBE = f"select cast('{PROBE}' as regclass)::oid as oid"

ROWS_OF = f"select {STATE} as state from pg_class as c where c.oid = cast(%(oid)s as oid)"

YOUNGER = "Not concurrently: its rows were younger than the moment."

#: A run that finds its moment over takes the next one, this often.
MOST_MOMENTS = 3

NOT_SHARED = "Not of one moment with the others: the snapshot could not be had (see the worker's log)."


@dataclass(frozen=True)
class Moment:
    snapshot: str
    #: By the server's clock.
    at: datetime
    #: Who shares it, for people.
    whose: str
    #: Whether the run had found one before, which had ended.
    is_next: bool = False

    @property
    def note(self) -> str:
        instead = ", as the moment before had ended" if self.is_next else ""
        return f"Its rows are of {exactly(self.at)}, which {self.whose} share{instead}."


def snapshot_of(moment: Moment | None) -> str | None:
    return moment.snapshot if moment else None


#: Gives the moment that the run shares, in a session of the matview's database; None where there is none to
#: be had. The flag says that the last one has ended.
Share = Callable[[Session, bool], Moment | None]

#: Makes the rows, at a moment or at the run's own.
Make = Callable[[Moment | None], RefreshResult]


def reads_tables_alone(session: Session, manifest: Manifest, oid: int | None, policy: Policy) -> bool:
    """Whether the matview, or without an oid the manifest's query, reads no other matview as far as
    PostgreSQL and the manifest say. Outside a transaction. Raises QueryFailed, psycopg2.Error."""
    if manifest.after:
        return False
    if oid is not None:
        return not session.row(READS_MATVIEWS, oids=[oid]).found
    with probe(session, manifest.query, policy.as_manifest):
        itself = session.row(OID_OF_PROBE).oid
        return not session.row(READS_MATVIEWS, oids=[itself]).found


def at_its_moment(
    session: Session, manifest: Manifest, oid: int | None, policy: Policy, share: Share | None, make: Make
) -> RefreshResult:
    """Make the rows at the moment that the run shares, if it does; where that has ended, at the next.

    Raises what `make` does; QueryFailed, psycopg2.Error.
    """
    if share is None or not reads_tables_alone(session, manifest, oid, policy):
        return make(None)
    for number in range(MOST_MOMENTS):
        moment = share(session, number > 0)
        if moment is None:
            break
        try:
            return make(moment).with_note(moment.note)
        except MomentOver as over:
            log.info("the moment has ended", table_name=manifest.table_name, reason=str(over))
    return make(None).with_note(NOT_SHARED)


def not_concurrently(policy: Policy) -> tuple[Method, Policy]:
    """As where there is no key: rows that must be checked, or that nobody may wait for, are swapped in."""
    if policy.expect or policy.mode is RefreshMode.AUTO_SWAP:
        return Method.SWAP, policy
    return Method.PLAIN, replace(policy, mode=RefreshMode.PLAIN)


def refreshed_since(session: Session, oid: int, moment: Moment) -> bool:
    """Whether the matview's rows are younger than the moment. Raises MomentOver, psycopg2.Error."""
    now = session.row(ROWS_OF, oid=oid)
    with under(session, moment.snapshot), session.transaction():
        then = session.row(ROWS_OF, oid=oid)
    return bool(now != then)
