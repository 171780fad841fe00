"""The SQLSTATEs that decide what becomes of a run, each with why: it is final, or worth another try.

What isn't here is final: syntax, names, rights, data, limits of the query's own
(https://www.postgresql.org/docs/current/errcodes-appendix.html). The words of an error never decide: the
server writes them in the language of its lc_messages.
"""

import psycopg2
from psycopg2 import errorcodes

#: Worth another try: codes, and classes of two letters.
PASSING = {
    "08": "the connection: lost, or not to be had, also one of a foreign table's",
    "25006": "read-only: a standby that is yet to be promoted, or a primary that is being moved",
    "40001": "serialization failure, or a conflict with what a standby replays",
    "40003": "the connection was lost over a commit",
    "40P01": "deadlock",
    "53": "out of connections, memory or disk",
    "55P03": "lock timeout",
    "57P01": "server shutting down, or the backend was terminated",
    "57P02": "another backend crashed",
    "57P03": "server starting up",
    "57P05": "idle_session_timeout",
    "HV00N": "a foreign data wrapper could not connect",
}

#: Final in a class that passes, and what only looks as if it would: these happen again on each try.
FINAL = {
    # Only where a foreign server says so. Of our own connections psycopg2 just finds that they are closed,
    # without a notice (2.9, libpq 17), which counts as lost. That is right: between two statements of a
    # transaction seeder idles only while its process is stopped or starved, and the next try needn't be.
    "25P03": "idle_in_transaction_session_timeout",
    "25P04": "transaction_timeout (17 and later)",
    "53400": "temp_file_limit, or another limit that is configured",
    "57014": "statement timeout, or somebody cancelled the statement",
    "57P04": "the database was dropped",
}

#: What a person can do about a configured limit; by its code, since its own words may be in any language.
HINTS = {
    "25P04": "transaction_timeout ended it, which is set for the server, the database or the role. Make the"
    " query cheaper, or raise it.",
    "53400": "A limit that is set for the server, the database or the role is too small for this query, such"
    " as temp_file_limit. Make the query cheaper, or raise it.",
}

#: Where "tuple concurrently updated" (or deleted) is raised: somebody committed a change to a row of the
#: catalogue that the statement waited for, as GRANT on all tables does. It has no code of its own (XX000),
#: but the name of the C function isn't translated (heapam.c, the same in 15 and 18).
CATALOGUE_ROW = ("simple_heap_update", "simple_heap_delete")


def is_passing(error: psycopg2.Error) -> bool:
    """Whether a retry may help. A lost or refused connection carries no SQLSTATE at all."""
    code = error.pgcode
    if code is None:
        return isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError)
    return (code not in FINAL and (code in PASSING or code[:2] in PASSING)) or is_overtaken(error)


def is_overtaken(error: psycopg2.Error) -> bool:
    """Whether somebody else's change to a row of the catalogue was committed first."""
    return error.pgcode == errorcodes.INTERNAL_ERROR and error.diag.source_function in CATALOGUE_ROW
