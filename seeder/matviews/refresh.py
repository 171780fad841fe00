"""A matview that is there: refreshed in one round trip, which is one transaction; in several where something
is to be done or to be looked at before its readers see the new rows."""

import logging
from dataclasses import dataclass
from enum import StrEnum

import psycopg2
from psycopg2 import errorcodes

from seeder.database import Session
from seeder.errors import KeyNotUnique, Rejected, SeederError
from seeder.failures import judged, one_line
from seeder.matviews import measure
from seeder.matviews.keys import refused_key
from seeder.matviews.lock import Found
from seeder.matviews.policy import Policy
from seeder.matviews.publishing import Terms, explained, old_rows, settle
from seeder.settings import RefreshMode
from seeder.sql.directives import Index
from seeder.sql.names import MatviewName, quoted

PLAIN = "refresh materialized view {matview};\n"
CONCURRENTLY = "refresh materialized view concurrently {matview};\n"
VACUUM = "vacuum (skip_locked) {matview}"

#: What PostgreSQL answers without a usable unique index, and for a matview that holds no rows (matview.c).
NOT_CONCURRENTLY = (errorcodes.OBJECT_NOT_IN_PREREQUISITE_STATE, errorcodes.FEATURE_NOT_SUPPORTED)

log = logging.getLogger(__name__)


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


def refresh(
    session: Session, matview: MatviewName, found: Found, policy: Policy, missing: tuple[Index, ...] = ()
) -> Refreshed:
    """Refresh the matview, plain or concurrently, and make its `missing` indexes.

    Raises ManifestError or TemporaryError, and then the old rows are still there.
    """
    how, note = choose(found, policy)
    terms = Terms(missing, policy.expect)
    try:
        return _execute(session, matview, found, policy, terms, how, note)
    except psycopg2.Error as error:
        if how is How.CONCURRENTLY and error.pgcode in NOT_CONCURRENTLY:
            # The index or the rows went between the look and the refresh.
            note = f"Refreshed plain, not concurrently: {error.diag.message_primary}."
        else:
            raise _explained(session, matview, found, policy, how, error) from error
    except (KeyNotUnique, Rejected):
        _sweep_up(session, matview, policy, how)
        raise
    try:
        return _execute(session, matview, found, policy, terms, How.PLAIN, note)
    except psycopg2.Error as error:
        raise _explained(session, matview, found, policy, How.PLAIN, error) from error


def choose(found: Found, policy: Policy) -> tuple[How, str | None]:
    """Which refresh it will be, and why not the one that was asked for.

    Rows that have to be checked first are swapped in where they can't be refreshed concurrently: a plain
    refresh would keep readers waiting for the checks too.
    """
    mode, concurrently = policy.mode, found.populated and found.keyed
    otherwise = How.SWAP if policy.expect and found.populated else How.PLAIN
    match mode:
        case RefreshMode.PLAIN:
            return How.PLAIN, None
        case RefreshMode.AUTO:
            return (How.CONCURRENTLY if concurrently else otherwise), None
        case RefreshMode.CONCURRENTLY:
            if concurrently:
                return How.CONCURRENTLY, None
            reason = "it has no usable unique index" if found.populated else "it holds no rows yet"
            done = "Swapped" if otherwise is How.SWAP else "Refreshed plain"
            return otherwise, f"{done}, not concurrently: {reason}."
        case RefreshMode.SWAP | RefreshMode.AUTO_SWAP:
            if not found.populated:
                # Nobody can read it, so nobody has to wait.
                return How.PLAIN, None
            return (How.CONCURRENTLY if concurrently and mode is RefreshMode.AUTO_SWAP else How.SWAP), None


def _execute(
    session: Session,
    matview: MatviewName,
    found: Found,
    policy: Policy,
    terms: Terms,
    how: How,
    note: str | None,
) -> Refreshed:
    command, after = {
        How.PLAIN: (PLAIN, measure.after_plain(matview)),
        How.CONCURRENTLY: (CONCURRENTLY, measure.after_concurrently(matview)),
    }[how]
    text = measure.BEFORE + policy.set_role + command.format(matview=matview.quoted)
    if terms:
        with session.transaction():
            if policy.role:
                session.run_text(policy.set_role)
            rows_before = old_rows(session, matview, policy.expect, populated=bool(found.populated))
            session.run(text, oid=found.oid)
            settle(session, matview, matview.quoted, terms, rows_before=rows_before)
            row = session.row(after, oid=found.oid)
    else:
        row = session.row(text + after, oid=found.oid)
    return Refreshed(how, int(row.records), int(row.total_bytes), note)


def _explained(
    session: Session, matview: MatviewName, found: Found, policy: Policy, how: How, error: psycopg2.Error
) -> SeederError:
    """The error of our tree, in the directives' words where it is about them."""
    if session.closed or found.oid is None:
        return judged(error)
    if key_error := refused_key(session, matview, found.oid, policy, error):
        _sweep_up(session, matview, policy, how)
        return key_error
    return explained(session, matview.quoted, policy, error)


def _sweep_up(session: Session, matview: MatviewName, policy: Policy, how: How) -> None:
    """What a concurrent refresh had written when it was rolled back is dead weight in the matview.

    Only a tidying: without the right to do it, or when somebody else works on the matview, it is left to
    autovacuum.
    """
    if how is not How.CONCURRENTLY:
        return
    try:
        # VACUUM can't share a transaction, so neither SET LOCAL nor a text of several statements will do.
        if policy.role:
            session.run_text(f"set role {quoted(policy.role)}")
        session.run_text(VACUUM.format(matview=matview.quoted))
    except psycopg2.Error as error:
        log.info("%s was not vacuumed after a refused refresh: %s", matview, one_line(error))
    finally:
        if policy.role and not session.closed:
            session.run_text("reset role")
