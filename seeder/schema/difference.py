"""A difference between a database and the contract, as ``seeder schema check`` reports it."""

from dataclasses import dataclass

from sqlalchemy import Table
from sqlalchemy.exc import DBAPIError


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference between a database and the contract."""

    #: ``reporting.seeder_run_history.run_id``
    where: str
    #: What is so and should be otherwise, one line.
    what: str
    #: SQL that mends it, for the schema's owners to run; seeder never does by itself.
    mend: str
    #: False for what is worth knowing and no fault: ``seeder schema check`` still exits with 0.
    failure: bool = True

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def reason(error: DBAPIError) -> str:
    """PostgreSQL's own message, one line."""
    diagnosis = getattr(error.orig, "diag", None)
    message = getattr(diagnosis, "message_primary", None) or str(error.orig)
    return " ".join(message.split())


def where(wanted: Table, column: str | None = None) -> str:
    """``reporting.seeder_run_history``, with the column where it is about one."""
    table = f"{wanted.schema}.{wanted.name}"
    return f"{table}.{column}" if column else table
