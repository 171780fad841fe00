"""The SQLSTATE with which a server refuses a connection, in whatever language it says so.

libpq keeps an SQLSTATE with a result, and a connection that is refused has none, so psycopg2's error has no
pgcode and its words are in the server's language: "too many connections" is raised before the options are
read in which another lc_messages could be asked for. What libpq can do is write its messages as the SQLSTATE
alone (PQsetErrorVerbosity, https://www.postgresql.org/docs/current/libpq-control.html). psycopg2 has no
function for that, but hands over the connection for libpq's own to be called
(https://www.psycopg.org/docs/connection.html#connection.pgconn_ptr).
"""

import ctypes
import re
import select
import time
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import psycopg2
from psycopg2 import extensions

#: PGVerbosity, PQERRORS_SQLSTATE (libpq-fe.h, version 12 and later): "FATAL:  53300".
_SQLSTATE_ONLY = 3
#: A name that psycopg2 doesn't document. Without it no SQLSTATE is found, as a test with a server that speaks
#: German would show. (A library of that name, as ctypes.util finds it, may be another than psycopg2's own.)
_LINKED_WITH_LIBPQ = "psycopg2._psycopg"
_MESSAGE = re.compile(r":\s+([0-9A-Z]{5})\s*$")


def refusal(arguments: Mapping[str, Any], seconds: float) -> str | None:
    """Connect once more, with psycopg2's arguments, to see with which SQLSTATE the server refuses it.

    None where it doesn't any more, hasn't answered in so many seconds, or isn't there; and where psycopg2 was
    built in such a way that libpq's functions can't be found.
    """
    deadline = time.monotonic() + seconds
    try:
        connection = psycopg2.connect(**arguments, async_=True)
    except psycopg2.Error:
        return None
    try:
        library = ctypes.CDLL(import_module(_LINKED_WITH_LIBPQ).__file__)
        library.PQsetErrorVerbosity.argtypes = [ctypes.c_void_p, ctypes.c_int]
        library.PQsetErrorVerbosity(connection.pgconn_ptr, _SQLSTATE_ONLY)
        while (state := connection.poll()) != extensions.POLL_OK and time.monotonic() < deadline:
            reading = [connection] if state == extensions.POLL_READ else []
            writing = [] if reading else [connection]
            select.select(reading, writing, [], max(0.0, deadline - time.monotonic()))
    except psycopg2.Error as error:
        found = _MESSAGE.search(str(error))
        return found and found[1]
    except (ImportError, OSError, AttributeError):
        return None
    finally:
        connection.close()
    return None
