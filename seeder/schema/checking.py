"""Compares a database with the contract: every difference, each with the SQL that removes it."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Table

from seeder.models import Contract, contract
from seeder.schema.catalogue import LiveSchema, read
from seeder.schema.comparing import input_differences, output_differences
from seeder.schema.dashboard import VIEW, view_name
from seeder.schema.ddl import agency_key
from seeder.schema.difference import Difference
from seeder.schema.viewing import view_differences
from seeder.schema.writing import create_schema, ident, qualified

#: What seeder does with the tables it writes; pruning deletes runs only.
_NEEDS = {
    "seeder_run_history": ("select", "insert", "update", "delete"),
    "seeder_job_status": ("select", "insert", "update"),
}


def check(
    connection: Connection, schema: str, agency_table: str, *, agency_fk: bool = False
) -> list[Difference]:
    """Every difference between the database and the contract, in an order in which they can be mended.

    With `agency_fk` the foreign key from ``agency_id`` to the agency table is expected too. Changes nothing:
    what is tried out for a comparison is rolled back. One whose ``failure`` is False is only worth knowing.
    """
    wanted = contract(schema)
    names = [*(table.name for table in wanted.metadata.tables.values()), VIEW]
    with _transaction(connection):
        live = read(connection, schema, names, VIEW)
        found = [*_of_schema(wanted, live), *_of_tables(connection, wanted, live)]
        if agency_fk:
            found += _of_agency_key(wanted, live, agency_table)
        # Statements over tables that aren't as they should be would only fail.
        sound = not any(one.failure for one in found)
        found += view_differences(connection, wanted, live, agency_table)
        denied = list(_of_privileges(wanted, live))
        if sound and not denied:
            found += _orphans(connection, wanted)
        return found + denied


@contextmanager
def _transaction(connection: Connection) -> Iterator[None]:
    """Comparisons use savepoints, and a connection in autocommit begins no transaction to hold them."""
    if not getattr(connection.connection.driver_connection, "autocommit", False):
        yield
        return
    connection.exec_driver_sql("begin")
    try:
        yield
    finally:
        connection.exec_driver_sql("rollback")


def _of_schema(wanted: Contract, live: LiveSchema) -> Iterator[Difference]:
    if not live.exists:
        yield Difference(wanted.schema, "the schema is missing", create_schema(wanted))


def _of_tables(connection: Connection, wanted: Contract, live: LiveSchema) -> Iterator[Difference]:
    for table in wanted.inputs:
        yield from input_differences(table, live.tables.get(table.name))
    for table in wanted.outputs:
        yield from output_differences(connection, table, live.tables.get(table.name))


def _of_agency_key(wanted: Contract, live: LiveSchema, agency_table: str) -> Iterator[Difference]:
    for table in wanted.outputs:
        found = live.tables.get(table.name)
        if found is None or "agency_id" not in found.foreign_keys:
            yield Difference(
                f"{wanted.schema}.{table.name}.agency_id",
                f"the foreign key to {agency_table} is missing",
                agency_key(wanted, agency_table),
            )


def _of_privileges(wanted: Contract, live: LiveSchema) -> Iterator[Difference]:
    """What the connection's role may not do; all of it is there for a superuser and for the owner."""
    role = live.role
    if live.exists and not live.open:
        yield Difference(
            wanted.schema,
            f"the role {role} may not use the schema",
            f"grant usage on schema {ident(wanted.schema)} to {role};",
        )
    names = {table.name: qualified(table) for table in wanted.metadata.tables.values()}
    for name, quoted_name in (names | {VIEW: view_name(wanted)}).items():
        table = live.tables.get(name)
        if table is None or not table.holds_rows:
            continue
        denied = [what for what in _NEEDS.get(name, ("select",)) if what not in table.privileges]
        if denied:
            yield Difference(
                f"{wanted.schema}.{name}",
                f"the role {role} may not {', '.join(denied)}",
                f"grant {', '.join(denied)} on {quoted_name} to {role};",
            )
        for column in table.columns.values():
            if name in _NEEDS and column.closed_sequence:
                yield Difference(
                    f"{wanted.schema}.{name}.{column.name}",
                    f"the role {role} may not use the sequence that numbers the rows",
                    f"grant usage on sequence {column.closed_sequence} to {role};",
                )


def _orphans(connection: Connection, wanted: Contract) -> Iterator[Difference]:
    """Rows whose manifest is gone: no foreign key can keep them out, since manifest_id has two parents. They
    are no fault: the record of what ran outlives the manifest."""
    for table, kept in (
        (wanted.history, "`seeder prune` deletes old ones in time"),
        (wanted.status, "the dashboard leaves them out"),
    ):
        orphaned = _orphaned(wanted, table)
        count = connection.exec_driver_sql(
            f"select count(*) {orphaned}", execution_options={"no_parameters": True}
        ).scalar_one()
        if count:
            yield Difference(
                f"{wanted.schema}.{table.name}",
                f"{count} rows belong to manifests that are gone; {kept}",
                f"delete {orphaned};",
                failure=False,
            )


def _orphaned(wanted: Contract, table: Table) -> str:
    return f"""\
from {qualified(table)} r
where not exists (
    select from {qualified(wanted.custom_manifest)} m where r.report_type = 'custom' and m.id = r.manifest_id
) and not exists (
    select from {qualified(wanted.canned_manifest)} m where r.report_type = 'canned' and m.id = r.manifest_id
)"""
