"""Explains a violated unique key: how many rows have the same values, and which values these are."""

import json
from collections.abc import Sequence
from typing import TypedDict

import psycopg2
from psycopg2 import errorcodes

from seeder.errors import KeyNotUnique, QueryFailed, SeederError
from seeder.matviews import indexes
from seeder.matviews.policy import Policy
from seeder.matviews.query.confinement import ask
from seeder.matviews.relation import read_matview
from seeder.postgres.session import OWN_PATH, Session
from seeder.sql.expectations import as_list, as_written
from seeder.sql.names import MatviewName, quoted

#: Rows with a NULL in the key are no offenders: to a unique index, NULLs differ. A cast to text would call
#: the function of a cast that somebody made; format() calls the type's own.
OFFENDER = """
select json_build_object('number', count(*), 'key', array[{texts}]) as found
from {source} as new_rows
where {present}
group by {columns}
having count(*) > 1
order by count(*) desc
limit 1
"""

#: The refused rows are gone, so the query is run again to find an offender. That must not delay the next run.
QUERY_TIMEOUT = "set local statement_timeout = '10s'"

VIEW_OF_ROWS = "create temporary view seeder_rows as\n{query}\n"

OLD_ROWS = "the old rows were kept"
NOTHING = "nothing was created"


def not_unique(
    session: Session, matview: MatviewName, relation: str, columns: Sequence[str], kept: str, detail: str
) -> KeyNotUnique:
    """The error for duplicate keys among the rows of a relation (a quoted name)."""
    return _error(matview, columns, kept, offender(session, relation, columns) or detail)


def refused_key(
    session: Session, matview: MatviewName, oid: int, policy: Policy, error: psycopg2.Error
) -> KeyNotUnique | None:
    """The error for a refresh that failed because of a unique index; None for any other error."""
    if not is_about_a_key(error):
        return None
    violated = [
        index
        for index in indexes.existing(session, oid)
        if index.is_unique and error.diag.constraint_name in (None, index.name)
    ]
    if not violated:
        return None
    index = violated[0]
    detail = (error.diag.message_detail or "PostgreSQL doesn't say which rows").rstrip(".")
    found = _offender_of_query(session, oid, index.columns, policy) if index.is_plain else None
    return _error(matview, index.columns, OLD_ROWS, found or detail)


def refused_key_of_copy(
    session: Session,
    matview: MatviewName,
    oid: int,
    query: str | None,
    policy: Policy,
    error: QueryFailed,
) -> KeyNotUnique | None:
    """The error for a copy, of the query or of the matview's own definition, that one of the matview's unique
    indexes ended: which one, the copy's index doesn't say."""
    cause = error.__cause__
    if not isinstance(cause, psycopg2.Error) or not is_about_a_key(cause) or session.closed:
        return None
    for index in indexes.existing(session, oid):
        if index.is_unique and index.is_plain:
            found = _offender_of_query(session, oid, index.columns, policy, query)
            if found:
                return _error(matview, index.columns, OLD_ROWS, found)
    return None


def is_about_a_key(error: psycopg2.Error) -> bool:
    # Two rows that are equal throughout are found before the index sees them (matview.c); a query's own
    # sub-select of more than one row has the same SQLSTATE.
    return error.pgcode == errorcodes.UNIQUE_VIOLATION or (
        error.pgcode == errorcodes.CARDINALITY_VIOLATION
        and error.diag.source_function == "refresh_by_match_merge"
    )


def offender(session: Session, source: str, columns: Sequence[str]) -> str | None:
    """The key that most rows have, and their number; None if no two rows have the same key."""
    # To psycopg2 a % begins a value.
    row = session.row(_question(source, columns).replace("%", "%%"))
    return row and _words(row.found, columns)


def _offender_of_query(
    session: Session, oid: int, columns: Sequence[str], policy: Policy, query: str | None = None
) -> str | None:
    """With the rights of the matview's owner, as a refresh runs the query, and as confined."""
    try:
        session.run_text("begin")
        if (matview := read_matview(session, oid)) is None:
            return None
        session.run_text(f"set local role {quoted(matview.owner)};\n{QUERY_TIMEOUT}")
        session.run_text(
            (policy.look_up if query else "") + VIEW_OF_ROWS.format(query=query or matview.definition)
        )
        session.run_text(OWN_PATH)
        found = ask(session, _question("pg_temp.seeder_rows", columns))
        return found and _words(json.loads(found), columns)
    except (psycopg2.Error, SeederError):
        return None
    finally:
        if not session.closed:
            session.run_text("rollback")


def _question(source: str, columns: Sequence[str]) -> str:
    names = [quoted(column) for column in columns]
    return OFFENDER.format(
        texts=", ".join(f"left(rtrim(format('%s', {name})), 100)" for name in names),
        source=source,
        present=" and ".join(f"{name} is not null" for name in names),
        columns=", ".join(names),
    )


class Offender(TypedDict):
    """What OFFENDER finds."""

    number: int
    key: list[str | None]


def _words(found: Offender, columns: Sequence[str]) -> str:
    key = ", ".join(
        f"{as_written(column)} = {value}" for column, value in zip(columns, found["key"], strict=True)
    )
    return f"{found['number']} rows have {key}"


def _error(matview: MatviewName, columns: Sequence[str], kept: str, found: str) -> KeyNotUnique:
    return KeyNotUnique(key=as_list(tuple(columns)), table_name=str(matview), kept=kept, found=found)
