"""What an error of PostgreSQL's means for a run (final, or worth another try), and how people read it."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

import psycopg2
from psycopg2 import errorcodes

from seeder.errors import DatabaseTrouble, Position, QueryFailed, Report, SchemaIncomplete, SeederError
from seeder.postgres import sqlstates
from seeder.postgres.sqlstates import is_passing

TOO_LONG = "The refresh took longer than {limit} allows. Make the query cheaper, or raise it."
CANCELLED = "Somebody ended the statement in the database. Refresh the table again when it may run."

#: 57014 is both. Only how long the statement ran tells them apart (`in_place`).
TOO_LONG_OR_CANCELLED = (
    "It took longer than SEEDER_STATEMENT_TIMEOUT or a limit of its own allows, or somebody ended the "
    "statement in the database."
)

#: What to do about a statement that was ended.
HINTS = {
    **sqlstates.HINTS,
    errorcodes.QUERY_CANCELED: TOO_LONG_OR_CANCELLED,
    errorcodes.LOCK_NOT_AVAILABLE: (
        "Another session holds a lock that the refresh needs, and didn't let go of it for "
        "SEEDER_LOCK_TIMEOUT: often an ALTER TABLE, or a long transaction that uses a table of the query's "
        "or the matview. While a try waits, pg_blocking_pids() of its pid in pg_stat_activity tells whose "
        "it is."
    ),
}

#: An error of PostgreSQL's in our tree: final, or worth another try.
Reported = QueryFailed | DatabaseTrouble
R = TypeVar("R", bound=Reported)

#: A line, and one that holds nothing but the pointer at its place.
_POINTED_AT = re.compile(r"\n[^\n]*\n *\^(?=\n|$)")

#: Where a character of the statement stands in the manifest's own SQL, if it stands there.
Locate = Callable[[int], Position | None]


#: `lock table` looks for the schema by itself, other statements for the relation.
ABSENT = (errorcodes.UNDEFINED_TABLE, errorcodes.UNDEFINED_COLUMN, errorcodes.INVALID_SCHEMA_NAME)


@contextmanager
def expecting_contract() -> Iterator[None]:
    """Around statements over the contract's tables: what is missing there, whoever runs seeder mends."""
    try:
        yield
    except psycopg2.Error as error:
        if error.pgcode not in ABSENT:
            raise
        missing = (error.diag.message_primary or "").removesuffix(" does not exist")
        raise SchemaIncomplete(missing=missing) from error


def judged(error: psycopg2.Error, locate: Locate | None = None) -> Reported:
    """The error of our tree for one of psycopg2's."""
    kind = DatabaseTrouble if is_passing(error) else QueryFailed
    return kind(report=report(error, locate))


def with_report(error: R, report: Report) -> R:
    """The error with a report that says more; what psycopg2 raised stays its cause."""
    if report == error.report:
        return error
    told = type(error)(report=report)
    told.__cause__ = error.__cause__
    return told


def in_place(
    error: SeederError,
    database: str | None,
    own_limit: str | None = None,
    *,
    ran: float | None = None,
    limit: float = 0,
) -> SeederError:
    """The error with what PostgreSQL doesn't know of it: which database it is from, where it isn't the
    reporting one, and whether the statement ran into its timeout, the manifest's own where it has one.

    ``ran``: for how many seconds it did, of ``limit`` (0 is none); None where nobody knows.
    """
    if not isinstance(error, Reported):
        return error
    report = replace(error.report, database=database)
    if ran is not None and report.sqlstate == errorcodes.QUERY_CANCELED:
        too_long = TOO_LONG.format(limit=own_limit or "SEEDER_STATEMENT_TIMEOUT")
        report = replace(report, advice=too_long if 0 < limit <= ran else CANCELLED)
    return with_report(error, report)


def one_line(error: BaseException) -> str:
    """A driver's words as part of a sentence of ours, without the line of the statement that libpq points at:
    it is one of ours, and seldom what is wrong."""
    return " ".join(_POINTED_AT.sub("", str(error)).split()).rstrip(".?!")


def report(error: psycopg2.Error, locate: Locate | None = None) -> Report:
    """What PostgreSQL says of it, with our advice where it has none of its own."""
    said = error.diag
    if said.message_primary is None:
        return Report(None, one_line(error))
    place = int(said.statement_position) if said.statement_position else None
    return Report(
        error.pgcode,
        said.message_primary,
        said.message_detail,
        said.message_hint,
        HINTS.get(error.pgcode or ""),
        said.context,
        locate(place) if locate and place else None,
    )
