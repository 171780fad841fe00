"""What other people's sessions do to the database: a row or the catalogue held in an open transaction, and a
database that takes no writes. Each is one call that begins it and returns how it is ended."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import psycopg2

from chaos.place import Place, connect

#: Without waiting: somebody who waits for a row that a worker has holds nothing yet.
HOLD_STATUS = "select table_name from reporting.seeder_job_status where table_name = %s for update nowait"
HOLD_HISTORY = "select run_id from reporting.seeder_run_history where run_id = %s for update nowait"

TABLES = "select table_name from reporting.seeder_job_status order by table_name"
UNFINISHED = """
select run_id from reporting.seeder_run_history where status in ('pending', 'running') order by id
"""

#: It updates the pg_class row of every matview, and its lock on each is kept until the commit.
GRANT = "grant select on all tables in schema reporting to bi"

#: As a standby is, for whoever comes and whoever is there, but for the observer (chaos.place.connect).
READ_ONLY = ("alter system set default_transaction_read_only = on", "select pg_reload_conf()")
WRITABLE = ("alter system reset default_transaction_read_only", "select pg_reload_conf()")

End = Callable[[], None]


def hold_row(place: Place, choice: float) -> tuple[str, End] | None:
    """Lock a status row or an unfinished run's history row, as a person in psql does who went for lunch."""
    statuses = [(HOLD_STATUS, row.table_name) for row in place.sql(TABLES)]
    runs = [(HOLD_HISTORY, row.run_id) for row in place.sql(UNFINISHED)]
    # Half of the choices are of each kind, however many rows there are.
    kinds = [rows for rows in (statuses, runs) if rows]
    if not kinds:
        return None
    rows = kinds[int(choice * len(kinds))]
    statement, key = rows[int(choice * len(kinds) % 1 * len(rows))]
    return _transaction(place, statement, key)


def grant_everything(place: Place) -> tuple[str, End] | None:
    """GRANT over the whole schema in a transaction that stays open."""
    return _transaction(place, GRANT)


def read_only(place: Place) -> tuple[str, End]:
    _run(place, READ_ONLY)
    return "the whole server", lambda: _run(place, WRITABLE)


def _transaction(place: Place, statement: str, *values: object) -> tuple[str, End] | None:
    session = connect(place.postgres.url)
    try:
        session.autocommit = False
        with session.cursor() as cursor:
            cursor.execute("set local lock_timeout = '2s'")
            cursor.execute(statement, values or None)
    except psycopg2.Error:
        # Somebody at work was first.
        session.close()
        return None
    return " ".join(map(str, values)) or statement, lambda: _ended(session)


def _ended(session: Any) -> None:
    # PostgreSQL may have been stopped meanwhile, and the transaction with it.
    with suppress(psycopg2.Error):
        session.commit()
    session.close()


def _run(place: Place, statements: Sequence[str]) -> None:
    for statement in statements:
        place.sql(statement)
