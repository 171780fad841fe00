"""Running the schema's script: only ever because a person asked for it, or on a server of seeder's own."""

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from seeder.errors import SchemaNotApplied
from seeder.schema.ddl import ddl


def apply(connection: Connection, schema: str, agency_table: str, *, agency_fk: bool = False) -> None:
    """Create what the contract asks for and is missing, in one transaction: all of it or nothing.

    The connection must not be in a transaction. Raises SchemaNotApplied with PostgreSQL's reason.
    """
    script = ddl(schema, agency_table, agency_fk=agency_fk)
    try:
        with connection.begin():
            # "create … if not exists" fails when two sessions run it at once.
            connection.execute(text("select pg_advisory_xact_lock(hashtextextended('seeder schema', 0))"))
            connection.exec_driver_sql(script, execution_options={"no_parameters": True})
    except DBAPIError as error:
        raise SchemaNotApplied(reason=_reason(error)) from error


def _reason(error: DBAPIError) -> str:
    diagnosis = getattr(error.orig, "diag", None)
    return getattr(diagnosis, "message_primary", None) or str(error.orig).strip()
