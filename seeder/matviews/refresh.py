"""A matview that is there: refreshed in one round trip, which is one transaction."""

from dataclasses import dataclass
from enum import StrEnum

import psycopg2
from psycopg2 import errorcodes

from seeder.database import Session
from seeder.failures import judged
from seeder.matviews import measure
from seeder.matviews.lock import Found
from seeder.matviews.policy import Policy
from seeder.settings import RefreshMode
from seeder.sql.names import MatviewName

PLAIN = "refresh materialized view {matview};\n"
CONCURRENTLY = "refresh materialized view concurrently {matview};\n"


#: What PostgreSQL answers without a usable unique index, and for a matview that holds no rows (matview.c).
NOT_CONCURRENTLY = (errorcodes.OBJECT_NOT_IN_PREREQUISITE_STATE, errorcodes.FEATURE_NOT_SUPPORTED)


class How(StrEnum):
    """What PostgreSQL was asked to do."""

    #: Readers wait until it is done.
    PLAIN = "plain"
    #: Readers go on reading the old rows.
    CONCURRENTLY = "concurrently"
    #: They do, too, and there is no need of an index (seeder.matviews.swap).
    SWAP = "swap"


@dataclass(frozen=True)
class Refreshed:
    how: How
    records: int
    total_bytes: int
    #: Why it wasn't done as it was asked for.
    note: str | None = None


def refresh(session: Session, matview: MatviewName, found: Found, policy: Policy) -> Refreshed:
    """Refresh the matview, plain or concurrently.

    Raises ManifestError or TemporaryError, and then the old rows are still there.
    """
    how, note = choose(found, policy.mode)
    try:
        return _execute(session, matview, found, policy, how, note)
    except psycopg2.Error as error:
        if how is How.CONCURRENTLY and error.pgcode in NOT_CONCURRENTLY:
            # The index or the rows went between the look and the refresh.
            note = f"Refreshed plain, not concurrently: {error.diag.message_primary}."
        else:
            raise judged(error) from error
    try:
        return _execute(session, matview, found, policy, How.PLAIN, note)
    except psycopg2.Error as error:
        raise judged(error) from error


def choose(found: Found, mode: RefreshMode) -> tuple[How, str | None]:
    """Which refresh it will be, and why not the one that was asked for."""
    concurrently = found.populated and found.keyed
    match mode:
        case RefreshMode.PLAIN:
            return How.PLAIN, None
        case RefreshMode.AUTO:
            return (How.CONCURRENTLY if concurrently else How.PLAIN), None
        case RefreshMode.CONCURRENTLY:
            if concurrently:
                return How.CONCURRENTLY, None
            reason = "it has no usable unique index" if found.populated else "it holds no rows yet"
            return How.PLAIN, f"Refreshed plain, not concurrently: {reason}."
        case RefreshMode.SWAP | RefreshMode.AUTO_SWAP:
            if not found.populated:
                # Nobody can read it, so nobody has to wait.
                return How.PLAIN, None
            return (How.CONCURRENTLY if concurrently and mode is RefreshMode.AUTO_SWAP else How.SWAP), None


def _execute(
    session: Session, matview: MatviewName, found: Found, policy: Policy, how: How, note: str | None
) -> Refreshed:
    command, after = {
        How.PLAIN: (PLAIN, measure.after_plain(matview)),
        How.CONCURRENTLY: (CONCURRENTLY, measure.after_concurrently(matview)),
    }[how]
    text = measure.BEFORE + policy.set_role + command.format(matview=matview.quoted) + after
    row = session.row(text, oid=found.oid)
    return Refreshed(how, int(row.records), int(row.total_bytes), note)
