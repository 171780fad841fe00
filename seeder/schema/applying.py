"""Runs the schema's script, and only at a person's request, or on a server of seeder's own."""

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from seeder.errors import SchemaNotApplied
from seeder.schema.ddl import ddl
from seeder.schema.difference import reason

#: "create … if not exists" fails when two sessions run it at once, so they take turns.
_ONE_AT_A_TIME = "select pg_advisory_xact_lock(hashtextextended('seeder schema', 0));"


def apply(connection: Connection, schema: str, agency_table: str, *, agency_fk: bool = False) -> None:
    """Create what the contract asks for and is missing, in one transaction: all of it or nothing.

    The connection must not be in a transaction; it may be in autocommit, since PostgreSQL takes a text of
    several statements as one transaction
    (https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-MULTI-STATEMENT).
    Raises SchemaNotApplied with PostgreSQL's reason.
    """
    script = f"{_ONE_AT_A_TIME}\n{ddl(schema, agency_table, agency_fk=agency_fk)}"
    try:
        with connection.begin():
            connection.exec_driver_sql(script, execution_options={"no_parameters": True})
    except DBAPIError as error:
        raise SchemaNotApplied(reason=reason(error)) from error
