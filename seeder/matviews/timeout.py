"""transaction_timeout (PostgreSQL 17 and later), which ends a transaction together with its connection.

psycopg2 is told no more than that the connection is gone: libpq's PQexec passes over the SQLSTATE (25P04). So
it is known by how long the run took, and by what the limit is in a new session of the same role.
"""

import psycopg2

from seeder.errors import QueryFailed, Report
from seeder.postgres.databases import Databases
from seeder.postgres.sqlstates import HINTS

TIMED_OUT = "25P04"

#: In milliseconds; without a row before 17.
TRANSACTION_TIMEOUT = (
    "select setting::bigint as milliseconds from pg_settings where name = 'transaction_timeout'"
)


def timed_out(databases: Databases, database_id: int | None, ran: float) -> QueryFailed | None:
    """The error for a run whose connection was lost after so many seconds, if transaction_timeout is the
    cause.

    None where there is no limit, where it wasn't reached, and where the server is away: that passes.
    """
    try:
        with databases.session(database_id) as session:
            row = session.row(TRANSACTION_TIMEOUT)
    except psycopg2.Error:
        return None
    if row is None or not 0 < row.milliseconds <= ran * 1000:
        return None
    words = f"the transaction took longer than transaction_timeout ({row.milliseconds / 1000:g} s)"
    return QueryFailed(report=Report(TIMED_OUT, words, advice=HINTS[TIMED_OUT]))
