"""Compares the existing dashboard view, perhaps one from a dump, with the one that would be created now."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, CursorResult
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, NotSupportedError, ProgrammingError

from seeder.models import Contract
from seeder.schema.catalogue import LiveSchema
from seeder.schema.comparing import move_away
from seeder.schema.dashboard import (
    AGENCY_NAME,
    NO_AGENCY_NAME,
    VIEW,
    agency_name,
    create_view,
    select,
    usable_agency,
    view_name,
)
from seeder.schema.difference import Difference, reason
from seeder.schema.writing import is_optional, literal
from seeder.sql.definitions import same_definition

_PROBE = f"{VIEW}_probe"
_REREAD = f"{VIEW}_reread"
_PRINTED = f"select pg_get_viewdef('pg_temp.{_REREAD}'::regclass)"

#: SQLSTATEs on which nothing can be compared, which is not to say that anything differs.
_NO_TEMPORARY_RIGHT = "42501"
_READ_ONLY = "25006"

#: How PostgreSQL prints the two views, and whether "create or replace" can turn one into the other: it
#: only adds columns at the end.
_COMPARISON = """
with columns as (
    select view, array(
        -- None of them, where the view that is there has none.
        select attname || ' ' || atttypid::regtype
        from pg_catalog.pg_attribute where attrelid = view order by attnum
    ) as list
    from (values ({view}::regclass), ({probe}::regclass)) as views (view)
)
select
    pg_get_viewdef({view}::regclass) as there,
    pg_get_viewdef({probe}::regclass) as wanted,
    old.list = new.list[1:cardinality(old.list)] as replaceable
from columns old, columns new
where old.view = {view}::regclass and new.view = {probe}::regclass
"""


def view_differences(
    connection: Connection, wanted: Contract, live: LiveSchema, agency_table: str
) -> Iterator[Difference]:
    """How the view differs: PostgreSQL's own rendering of both is compared, so layout doesn't count."""
    where = f"{wanted.schema}.{VIEW}"
    name = view_name(wanted)
    created = create_view(wanted, agency_table)
    found = live.tables.get(VIEW)
    if found is None:
        yield Difference(where, "the view is missing", created)
        return
    if found.kind != "view":
        yield Difference(
            where, f"this is a {found.kind}, not a view", f"{move_away(name, VIEW, found.kind)}\n{created}"
        )
        return
    if not live.open or not _complete(wanted, live):
        return
    try:
        with connection.begin_nested() as savepoint:
            same, replaceable = _compared(connection, wanted, agency_table)
            savepoint.rollback()
    except DBAPIError as error:
        yield _incomparable(connection, error, where, live.role, created)
        return
    if not same:
        yield Difference(
            where,
            "the view is not the one that this version makes for these tables",
            created if replaceable else f"drop view {name};\n{created}",
        )


def _complete(wanted: Contract, live: LiveSchema) -> bool:
    """Whether every table and column that the view is made of is there."""
    return all(
        table.name in live.tables
        and {column.name for column in table.columns if not is_optional(column)}
        <= set(live.tables[table.name].columns)
        for table in wanted.metadata.tables.values()
    )


def _compared(connection: Connection, wanted: Contract, agency_table: str) -> tuple[bool, bool]:
    view = literal(view_name(wanted))
    owner = f"(select relowner from pg_catalog.pg_class where oid = {view}::regclass)"
    agency = _run(connection, f"select {usable_agency(agency_table, owner)}::text").scalar_one()
    query = select(wanted).replace(AGENCY_NAME, agency_name(agency) if agency else NO_AGENCY_NAME)
    _run(connection, f"create temporary view {_PROBE} as {query}")
    row = _run(connection, _COMPARISON.format(view=view, probe=literal(f"pg_temp.{_PROBE}"))).one()
    same = same_definition(row.there, row.wanted, lambda definition: _reread(connection, definition))
    return same, row.replaceable


def _reread(connection: Connection, definition: str) -> str | None:
    try:
        with connection.begin_nested() as savepoint:
            _run(connection, f"create temporary view {_REREAD} as {definition}")
            printed: str = _run(connection, _PRINTED).scalar_one()
            savepoint.rollback()
    except (ProgrammingError, DataError, IntegrityError, NotSupportedError):
        # As in seeder.matviews.query.probe.
        return None
    return printed


def _run(connection: Connection, sql: str) -> CursorResult[Any]:
    return connection.exec_driver_sql(sql, execution_options={"no_parameters": True})


def _incomparable(
    connection: Connection, error: DBAPIError, where: str, role: str, created: str
) -> Difference:
    state = getattr(error.orig, "pgcode", None)
    if state == _NO_TEMPORARY_RIGHT:
        database = connection.exec_driver_sql("select quote_ident(current_database())").scalar_one()
        return Difference(
            where,
            f"the view can't be compared: {reason(error)}",
            f"grant temporary on database {database} to {role};",
            failure=False,
        )
    if state == _READ_ONLY:
        return Difference(
            where,
            f"the view can't be compared: {reason(error)}",
            "-- Check on the primary server, where a temporary view can be made.",
            failure=False,
        )
    return Difference(where, f"the view can't be made over these tables: {reason(error)}", created)
