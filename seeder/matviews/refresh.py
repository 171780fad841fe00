"""Refreshes an existing matview, plain or concurrently, in one round trip and one transaction.

It takes several round trips where missing indexes are made, or new rows are checked before they are visible.
"""

import logging
from contextlib import nullcontext
from dataclasses import dataclass, replace

import psycopg2
from psycopg2 import errorcodes

from seeder.errors import KeyNotUnique, Rejected, SeederError
from seeder.matviews import measure, stamp
from seeder.matviews.found import Found
from seeder.matviews.keys import refused_key
from seeder.matviews.measure import WORTHWHILE_ROWS, Tally
from seeder.matviews.modes.method import Method, choose
from seeder.matviews.modes.vacuum import vacuum
from seeder.matviews.policy import Policy
from seeder.matviews.publishing import Requirements, fulfil, old_rows
from seeder.matviews.query.columns import unfit_directive_or_judged
from seeder.matviews.stamp import Stamp
from seeder.postgres.failures import judged
from seeder.postgres.session import OWN_PATH, Row, Session
from seeder.sql.directives import Index
from seeder.sql.names import MatviewName

REFRESH_PLAIN = "refresh materialized view {matview};\n"
REFRESH_CONCURRENTLY = "refresh materialized view concurrently {matview};\n"
COMMENT = "comment on materialized view {matview} is %(comment)s"

#: What PostgreSQL answers without a usable unique index, and for a matview that holds no rows (matview.c).
NOT_CONCURRENTLY = (errorcodes.OBJECT_NOT_IN_PREREQUISITE_STATE, errorcodes.FEATURE_NOT_SUPPORTED)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Refreshed:
    method: Method
    records: int
    total_bytes: int
    #: Why it wasn't done as it was asked for.
    note: str | None = None
    #: Rows inserted and rows deleted, an update being both; None where all were written anew.
    changed: int | None = None
    #: The same since the planner's statistics were gathered, by PostgreSQL's own counter; None is unknown.
    changed_since_analyze: int | None = None
    #: Dead rows in it by now, by PostgreSQL's own counters; None is none, or unknown.
    dead: int | None = None
    #: What the next run can take the number of rows from.
    tally: Tally | None = None
    #: The comment that the matview bears by now.
    comment: str | None = None
    #: The stamp in it, where the refresh has written one.
    kept: Stamp | None = None


def refresh(
    session: Session,
    matview: MatviewName,
    found: Found,
    policy: Policy,
    missing: tuple[Index, ...] = (),
    keep: Stamp | None = None,
) -> Refreshed:
    """Refresh the matview, plain or concurrently, and make its `missing` indexes.

    `keep` is a stamp with evidence, to be written in the refresh's own transaction, None where there is none.
    Raises ManifestError or TemporaryError, and then the old rows are still there.
    """
    method, note = choose(found, policy)
    required = Requirements(missing, policy.expect)
    if method is Method.CONCURRENTLY:
        try:
            return _concurrently(session, matview, found, policy, required, keep)
        except psycopg2.Error as error:
            if error.pgcode not in NOT_CONCURRENTLY:
                raise _in_own_words(session, matview, found, policy, method, error) from error
            # The index or the rows went between the look and the refresh.
            note = f"Refreshed plain, not concurrently: {error.diag.message_primary}."
        except (KeyNotUnique, Rejected):
            vacuum(session, matview, policy)
            raise
    try:
        return _plain(session, matview, found, policy, required, note, keep)
    except psycopg2.Error as error:
        raise _in_own_words(session, matview, found, policy, Method.PLAIN, error) from error


def _plain(
    session: Session,
    matview: MatviewName,
    found: Found,
    policy: Policy,
    required: Requirements,
    note: str | None,
    keep: Stamp | None,
) -> Refreshed:
    text = measure.BEFORE + policy.as_manifest + REFRESH_PLAIN.format(matview=matview.quoted) + OWN_PATH
    after, comment, kept = measure.after_plain(matview), found.comment, None
    with session.transaction() if keep or session.at_begin else nullcontext():
        row = _row(session, matview, found, policy, required, text, after, oid=found.oid)
        if keep:
            kept = _of_rows(replace(keep, tally=None), row)
            comment = _commented(session, matview, found, kept)
    return Refreshed(Method.PLAIN, int(row.records), int(row.total_bytes), note, comment=comment, kept=kept)


def _of_rows(keep: Stamp, row: Row) -> Stamp:
    """With the state of the rows that the evidence is of."""
    its = keep.evidence and keep.evidence.with_rows(row.state_seen, int(row.records), int(row.total_bytes))
    return replace(keep, evidence=its)


def _commented(session: Session, matview: MatviewName, found: Found, kept: Stamp) -> str:
    comment = stamp.written(found.comment, kept)
    session.run(COMMENT.format(matview=matview.quoted), comment=comment)
    return comment


def _concurrently(
    session: Session,
    matview: MatviewName,
    found: Found,
    policy: Policy,
    required: Requirements,
    keep: Stamp | None,
) -> Refreshed:
    """With the last run's number of rows where there is one; its successor is then part of the transaction,
    so that nobody's comment can come between."""
    there = stamp.read(found.comment)
    tally = there.tally if there else None
    new = keep or (there if tally else None)
    if new is None:
        row = _concurrent_row(session, matview, found, policy, required, None)
        return _concurrent(matview, row, None, found.comment)
    try:
        with session.transaction():
            row = _concurrent_row(session, matview, found, policy, required, tally)
            done = _concurrent(matview, row, tally, None)
            kept = _of_rows(replace(new, tally=done.tally), row)
            comment = _commented(session, matview, found, kept)
    except psycopg2.Error as error:
        if error.pgcode != errorcodes.INSUFFICIENT_PRIVILEGE:
            raise
        # MAINTAIN (PostgreSQL 17 and later) allows a role to refresh it, not to comment on it.
        row = _concurrent_row(session, matview, found, policy, required, None)
        return _concurrent(matview, row, None, found.comment)
    return replace(done, comment=comment, kept=kept)


def _concurrent_row(
    session: Session,
    matview: MatviewName,
    found: Found,
    policy: Policy,
    required: Requirements,
    tally: Tally | None,
) -> Row:
    text = (
        measure.BEFORE
        + policy.set_role
        + (measure.lock_against_refreshes(matview) if tally else "")
        + policy.look_up
        + REFRESH_CONCURRENTLY.format(matview=matview.quoted)
        + OWN_PATH
    )
    return _row(
        session,
        matview,
        found,
        policy,
        required,
        text,
        measure.after_concurrently(matview),
        oid=found.oid,
        comment=found.comment,
        state=tally and tally.state,
        rows=tally and tally.rows,
        trusted=tally is not None and not tally.due,
    )


def _concurrent(matview: MatviewName, row: Row, tally: Tally | None, comment: str | None) -> Refreshed:
    """A row of figures as a value."""
    counted = tally is None or tally.due or row.carried is None
    if row.carried is not None and row.carried != row.records:
        log.error(
            "%s: %s rows carried over are not the %s counted; the count holds",
            matview, row.carried, row.records,
        )  # fmt: skip
    carried = 0 if counted or tally is None else tally.carried + 1
    worthwhile = row.owned and row.records >= WORTHWHILE_ROWS
    return Refreshed(
        Method.CONCURRENTLY,
        int(row.records),
        int(row.total_bytes),
        changed=row.changed,
        changed_since_analyze=row.changed_since_analyze,
        dead=row.dead,
        tally=Tally(int(row.records), row.state, carried) if worthwhile else None,
        comment=comment,
    )


def _row(
    session: Session,
    matview: MatviewName,
    found: Found,
    policy: Policy,
    required: Requirements,
    text: str,
    after: str,
    **values: object,
) -> Row:
    """Refresh, and return the row of figures; in one round trip unless there are requirements."""
    if not required and not session.at_begin:
        return session.row(text + after, **values)
    with session.transaction():
        if policy.role:
            session.run_text(policy.set_role)
        rows_before = old_rows(session, matview, policy.expect, populated=bool(found.populated))
        session.run(text, **values)
        if required:
            fulfil(session, matview, matview.quoted, required, rows_before=rows_before)
        return session.row(after, **values)


def _in_own_words(
    session: Session,
    matview: MatviewName,
    found: Found,
    policy: Policy,
    method: Method,
    error: psycopg2.Error,
) -> SeederError:
    """The error as one of ours, in terms of a directive if it is about one."""
    if session.closed or found.oid is None:
        return judged(error)
    if key_error := refused_key(session, matview, found.oid, policy, error):
        if method is Method.CONCURRENTLY:
            vacuum(session, matview, policy)
        return key_error
    return unfit_directive_or_judged(session, matview.quoted, policy, error)
