"""Transactions of several sessions that see one moment: one session exports its snapshot, others import it.

It lasts as long as the transaction that has exported it; who has imported it keeps it beyond that
(https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-SNAPSHOT-SYNCHRONIZATION).
"""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2

from seeder.errors import MomentOver
from seeder.postgres.failures import one_line
from seeder.postgres.session import Session

IMPORT = """
set transaction isolation level repeatable read;
set transaction snapshot '{snapshot}'
"""


@contextmanager
def under(session: Session, snapshot: str | None) -> Iterator[None]:
    """In the block each transaction of the session sees what that snapshot does; None is its own.

    Raises MomentOver, before anything else is done in a transaction, where the snapshot has gone.
    """
    if snapshot is None:
        yield
        return

    def at_begin() -> None:
        try:
            session.run_text(IMPORT.format(snapshot=snapshot))
        except psycopg2.Error as error:
            if session.closed:
                raise
            raise MomentOver(reason=one_line(error)) from error

    session.at_begin = at_begin
    try:
        yield
    finally:
        session.at_begin = None
