"""Runs SQL scripts unchanged."""

from sqlalchemy import Connection


def run_script(connection: Connection, sql: str) -> None:
    """One statement or several; a ``%`` or ``:`` in them means nothing."""
    connection.exec_driver_sql(sql, execution_options={"no_parameters": True})
