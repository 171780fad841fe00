"""Recording many runs at once, although the database may refuse to hold some of them."""

import json
from collections.abc import Sequence
from typing import Any

import psycopg2

from seeder.failures import one_line
from seeder.history.rows import NewRun
from seeder.session import Session

#: A run's columns.
Row = dict[str, Any]

#: Classes of SQLSTATE that are about the values of a row: data exceptions, constraints, and a name too long
#: for its index (https://www.postgresql.org/docs/current/errcodes-appendix.html).
ABOUT_A_ROW = ("22", "23", "54")


def insert(
    session: Session, sql: str, rows: Sequence[tuple[NewRun, Row]], **values: Any
) -> tuple[list[tuple[NewRun, str]], list[Any]]:
    """Insert all, in the caller's transaction; where PostgreSQL objects to a row, halve until the culprits
    stand alone.

    Returns these, each with its reason, and what the statement returned.
    """
    try:
        with session.savepoint():
            return [], session.rows(
                sql,
                tables=sorted({run.table_name for run, _ in rows}),
                # Not escaped: \\u2026 is refused by a database whose encoding has no ….
                runs=json.dumps([row for _, row in rows], ensure_ascii=False),
                shown=[run.run_id for run, row in rows if row.get("shown", True)],
                **values,
            )
    except psycopg2.Error as error:
        if (error.pgcode or "")[:2] not in ABOUT_A_ROW:
            raise
        if len(rows) == 1:
            return [(rows[0][0], one_line(error))], []
        middle = len(rows) // 2
        parts = [insert(session, sql, half, **values) for half in (rows[:middle], rows[middle:])]
        return [one for refused, _ in parts for one in refused], [row for _, found in parts for row in found]
