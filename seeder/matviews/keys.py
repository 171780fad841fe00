"""A key that isn't unique: which rows share which values, for whoever has to mend it."""

from collections.abc import Sequence

import psycopg2
from psycopg2 import errorcodes

from seeder.errors import KeyNotUnique, QueryFailed
from seeder.matviews import indexes
from seeder.matviews.policy import Policy
from seeder.session import Session
from seeder.sql.expectations import as_list, as_written
from seeder.sql.names import MatviewName, quoted

#: Rows with a NULL in the key are no offenders: to a unique index, NULLs differ.
OFFENDER = """
select count(*) as number, array[{texts}] as key
from {source} as new_rows
where {present}
group by {columns}
having count(*) > 1
order by count(*) desc
limit 1
"""

DEFINITION = "select rtrim(pg_get_viewdef(%(oid)s::oid), '; ') as query"

#: The refused rows are gone, so the query has to run again to find an offender in them. It is a courtesy, and
#: mustn't hold up the next run.
BRIEFLY = "set local statement_timeout = '10s'"

OLD_ROWS = "the old rows were kept"
NOTHING = "nothing was created"


def not_unique(
    session: Session, matview: MatviewName, relation: str, columns: Sequence[str], kept: str, detail: str
) -> KeyNotUnique:
    """The error for rows that are still there, in the relation of that quoted name."""
    return _error(matview, columns, kept, offender(session, relation, columns) or detail)


def refused_key(
    session: Session, matview: MatviewName, oid: int, policy: Policy, error: psycopg2.Error
) -> KeyNotUnique | None:
    """The error for a refresh that PostgreSQL ended because of a unique index; None for any other."""
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
    """The key that most rows share and how many they are, or None where no two rows share one."""
    names = [quoted(column) for column in columns]
    statement = OFFENDER.format(
        texts=", ".join(f"left(cast({name} as text), 100)" for name in names),
        source=source,
        present=" and ".join(f"{name} is not null" for name in names),
        columns=", ".join(names),
    )
    # To psycopg2 a % begins a value.
    found = session.row(statement.replace("%", "%%"))
    if found is None:
        return None
    key = ", ".join(
        f"{as_written(column)} = {value}" for column, value in zip(columns, found.key, strict=True)
    )
    return f"{found.number} rows have {key}"


def _offender_of_query(
    session: Session, oid: int, columns: Sequence[str], policy: Policy, query: str | None = None
) -> str | None:
    try:
        with session.transaction():
            session.run_text(policy.set_role + BRIEFLY)
            query = query or session.row(DEFINITION, oid=oid).query
            return offender(session, f"(\n{query}\n)", columns)
    except psycopg2.Error:
        return None


def _error(matview: MatviewName, columns: Sequence[str], kept: str, found: str) -> KeyNotUnique:
    return KeyNotUnique(key=as_list(tuple(columns)), table_name=str(matview), kept=kept, found=found)
