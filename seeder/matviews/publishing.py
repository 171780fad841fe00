"""Makes the indexes that a manifest asks for and checks its new rows before they are visible to others.

Both happen in the transaction that made the rows, so that nobody ever sees rows that fail.
"""

from dataclasses import dataclass

import psycopg2

from seeder.errors import Rejected
from seeder.matviews import checks, indexes, keys
from seeder.matviews.found import Found
from seeder.matviews.policy import Policy
from seeder.matviews.query.columns import unfit_directive_or_judged
from seeder.postgres.session import Session
from seeder.sql.directives import Index
from seeder.sql.expectations import Expectation, Fresh
from seeder.sql.names import MatviewName


@dataclass(frozen=True)
class Requirements:
    """The indexes to make and the expectations to check before new rows become visible; false if there are
    none."""

    missing: tuple[Index, ...]
    expect: tuple[Expectation, ...]

    def __bool__(self) -> bool:
        return bool(self.missing or self.expect)


def fulfil(
    session: Session,
    matview: MatviewName,
    relation: str,
    required: Requirements,
    *,
    is_first: bool = False,
    rows_before: int | None = None,
) -> None:
    """Make the missing indexes on the relation (a quoted name: the matview or its copy), and check its rows.

    Runs in the caller's transaction, as the role that owns the relation. `is_first` says that there is no
    older matview that stays, `rows_before` how many rows it has, where that is known. Raises KeyNotUnique,
    Rejected or psycopg2.Error; the caller then rolls back.
    """
    for index in required.missing:
        session.run_text("savepoint seeder_index")
        try:
            indexes.create_index(session, matview, relation, index)
        except psycopg2.Error as error:
            if not keys.is_about_a_key(error):
                raise
            session.run_text("rollback to savepoint seeder_index")
            kept = keys.NOTHING if is_first else keys.OLD_ROWS
            detail = str(error.diag.message_detail).rstrip(".")
            raise keys.not_unique(session, matview, relation, index.columns, kept, detail) from error
    if required.expect:
        failed = checks.failures(session, relation, required.expect, rows_before)
        if failed:
            kept = "nothing created" if is_first else "old data kept"
            raise Rejected(kept=kept, failed="; ".join(map(str, failed)))


def refuse_aged(session: Session, matview: MatviewName, policy: Policy) -> None:
    """Hold rows that stay against what depends on the time: unchanged, they may be no longer fresh.

    Raises Rejected or psycopg2.Error.
    """
    aging = tuple(one for one in policy.expect if isinstance(one, Fresh))
    if not aging:
        return
    with session.transaction():
        if policy.role:
            session.run_text(policy.set_role)
        failed = checks.failures(session, matview.quoted, aging, None)
    if failed:
        raise Rejected(kept="old data kept", failed="; ".join(map(str, failed)))


def fulfil_on_copy(
    session: Session, matview: MatviewName, copy: str, required: Requirements, found: Found, policy: Policy
) -> None:
    """The same for a copy that will replace the matview, in a transaction of its own.

    Raises ManifestError or TemporaryError.
    """
    try:
        with session.transaction():
            if policy.role:
                session.run_text(policy.set_role)
            rows_before = old_rows(session, matview, required.expect, populated=bool(found.populated))
            fulfil(session, matview, copy, required, rows_before=rows_before)
    except psycopg2.Error as error:
        raise unfit_directive_or_judged(session, copy, policy, error) from error


def old_rows(
    session: Session, matview: MatviewName, expect: tuple[Expectation, ...], *, populated: bool
) -> int | None:
    """The number of rows before the refresh, if an expectation needs it."""
    return checks.count(session, matview.quoted) if populated and checks.needs_rows_before(expect) else None
