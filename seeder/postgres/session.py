"""One connection, with only the operations that seeder's own statements need.

It works at the driver's level because a run's few statements are the platform's hot path, and because
psycopg2 sends a text of several statements in one round trip, as one transaction
(https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-MULTI-STATEMENT), and returns the
last one's rows.
"""

import select
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeVar, cast

import psycopg2
from psycopg2.extensions import TRANSACTION_STATUS_IDLE
from psycopg2.extras import NamedTupleCursor
from sqlalchemy.pool import Pool, PoolProxiedConnection

from seeder.postgres.backend_usage import UNKNOWN, Meter, Reading, local_backend, reported
from seeder.postgres.encoding import CLIENT_ENCODING, INCONVERTIBLE, read_leniently, writable
from seeder.postgres.prepared import Prepared

#: PostgreSQL's own report of CPU and memory after each statement, sent to the client; the server's log gets
#: it too (https://www.postgresql.org/docs/current/runtime-config-statistics.html). Superusers may, and roles
#: with GRANT SET ON PARAMETER log_statement_stats (15 and later); not beside those of planner and executor.
MAY_REPORT = """
select has_parameter_privilege('log_statement_stats', 'set')
       and not current_setting('log_parser_stats')::boolean
       and not current_setting('log_planner_stats')::boolean
       and not current_setting('log_executor_stats')::boolean as allowed
"""
REPORT = "set client_min_messages = log; set log_statement_stats = on"
#: In this order: the report of this statement itself is then nobody's.
REPORT_NO_MORE = "reset client_min_messages; reset log_statement_stats"

#: Where our own statements find the names that they write without a schema: nowhere but in pg_catalog. With a
#: schema in the path that others may write to, a function or an operator there that fits the types of its
#: arguments better is taken instead of PostgreSQL's own, and runs with our rights
#: (https://www.postgresql.org/docs/current/typeconv-func.html).
#:
#: Dates too: psycopg2 reads them as ISO has them and sets that when it connects. A manifest's text is run
#: with the role's own (seeder.matviews.policy), so that `day::text` says what it says in psql.
OWN_PATH = "set local search_path = pg_catalog, pg_temp; set local datestyle = 'ISO';\n"

#: The longest a statement of ours waits for a lock that somebody else holds; PostgreSQL's own default is for
#: ever. A refresh has SEEDER_LOCK_TIMEOUT instead.
LOCK_TIMEOUT = "5s"

#: The limits of our own statements: how a connection begins, and how each borrower that had others leaves it.
#: The server's statement_timeout, or the role's, is the operator's business.
OWN_LIMITS = f"set lock_timeout = '{LOCK_TIMEOUT}'; reset statement_timeout"

LIMIT_STATEMENTS = f"""{OWN_PATH}
select set_config('statement_timeout', %(milliseconds)s::text, false)
from pg_settings
where name = 'statement_timeout' and (setting = '0' or setting::bigint > %(milliseconds)s)
"""


#: A row with its columns as attributes, by the names that the statement gives them. psycopg2 makes its class
#: (NamedTupleCursor) when the statement has been executed, so no type can be written here; `row_of` and
#: `rows_of` make a value of ours of it.
Row: TypeAlias = Any

T = TypeVar("T")


class Session:
    """One connection, in autocommit: a statement, or a text of several, is a transaction of its own."""

    def __init__(self, connection: PoolProxiedConnection, pool: Pool) -> None:
        self._connection = connection
        #: Where the connection came from.
        self.pool = pool
        self._driver = cast("psycopg2.extensions.connection", connection.driver_connection)
        #: Called at the beginning of each transaction (seeder.postgres.snapshots).
        self.at_begin: Callable[[], object] | None = None
        self._going_ahead = ""
        self._riding_along: list[tuple[str, dict[str, object]]] = []

    @property
    def backend_pid(self) -> int:
        return int(self._driver.info.backend_pid)

    @property
    def server_version(self) -> int:
        """As in 180006 for 18.6."""
        return int(self._driver.server_version)

    @contextmanager
    def meter(self) -> Iterator[Meter]:
        """Measure what the backend behind this connection uses in the block."""
        # Found once per connection: `info` lives and dies with it.
        info = self._connection.info
        if "backend" not in info:
            info["backend"] = local_backend(self.backend_pid, self._driver.fileno())
        meter = Meter()
        if info["backend"] is not None:
            reading = Reading.of(info["backend"])
            yield meter
            meter.usage = reading.usage() if reading else UNKNOWN
            return
        if "reports" not in info:
            info["reports"] = bool(self.row(MAY_REPORT).allowed)
        if not info["reports"]:
            yield meter
            return
        self.run_text(REPORT)
        self._driver.notices.clear()
        started = time.monotonic()
        try:
            yield meter
        finally:
            wall = time.monotonic() - started
            if not self.closed:
                self.run_text(REPORT_NO_MORE)
        meter.usage = reported(self._driver.notices, wall)

    @property
    def closed(self) -> bool:
        return bool(self._driver.closed)

    @property
    def _at_rest(self) -> bool:
        return bool(self._driver.info.transaction_status == TRANSACTION_STATUS_IDLE)

    @property
    def deserted(self) -> bool:
        """Whether the server has ended this connection while it was idle, as a restart does.

        At rest PostgreSQL sends nothing, so what can be read then is its last words or the end. Asking it
        instead, as SQLAlchemy's ``pool_pre_ping`` does, is a round trip more for every run; not asking at all
        costs a run a try, and a fan-out its seeding.
        """
        waiting = select.poll()
        waiting.register(self._driver.fileno(), select.POLLIN)
        return bool(waiting.poll(0))

    def row(self, sql: str | Prepared, **values: object) -> Row:
        """The first row of the (last) statement, or None."""
        return self._execute(sql, values, lambda cursor: cursor.fetchone())

    def rows(self, sql: str | Prepared, **values: object) -> list[Row]:
        """All rows of the (last) statement."""
        return self._execute(sql, values, lambda cursor: list(cursor.fetchall()))

    def row_of(self, kind: Callable[..., T], sql: str | Prepared, **values: object) -> T | None:
        """The first row as a value of that kind, which has a field for each of its columns; or None."""
        row = self.row(sql, **values)
        return None if row is None else kind(**row._asdict())

    def rows_of(self, kind: Callable[..., T], sql: str | Prepared, **values: object) -> list[T]:
        """All rows as values of that kind."""
        return [kind(**row._asdict()) for row in self.rows(sql, **values)]

    def run(self, sql: str | Prepared, **values: object) -> int:
        """Execute; returns the number of rows the (last) statement touched, -1 where PostgreSQL says none."""
        ahead, self._going_ahead = self._going_ahead, ""
        more, self._riding_along = self._riding_along, []
        return self._execute(sql, values, lambda cursor: cursor.rowcount, ahead, more)

    def with_next(self, sql: str, *, ahead: str = "", **values: object) -> None:
        """A statement that goes along with the next ``run``, in its round trip and its transaction; what goes
        ``ahead`` of that is text without values."""
        self._going_ahead += f"{ahead};\n" if ahead else ""
        self._riding_along.append((sql, values))

    def run_text(self, sql: str) -> int:
        """Execute text that holds no values of ours: a ``%`` in it means nothing."""
        with self._driver.cursor() as cursor:
            cursor.execute(sql)
            return int(cursor.rowcount)

    @property
    def _server_encoding(self) -> str:
        return str(self._driver.info.parameter_status("server_encoding") or CLIENT_ENCODING)

    def _execute(
        self,
        sql: str | Prepared,
        values: dict[str, object],
        answer: Callable[[psycopg2.extensions.cursor], T],
        ahead: str = "",
        more: Sequence[tuple[str, dict[str, object]]] = (),
    ) -> T:
        """The answer of the statements, sent in one round trip with the text ahead and those riding along."""
        encoding = self._server_encoding
        if encoding == CLIENT_ENCODING:
            return self._executed(sql, values, answer, ahead, more)
        values = {name: writable(value, encoding) for name, value in values.items()}
        try:
            return self._executed(sql, values, answer, ahead, more)
        except psycopg2.Error as error:
            # In the middle of a transaction nothing can be done anew. At rest all of it was rolled back; all
            # but a session's locks, which are taken by prepared statements only, and those would count twice.
            again = isinstance(sql, str) and not self.closed and self._at_rest
            if error.pgcode not in INCONVERTIBLE or not again:
                raise
        read_leniently(encoding)
        self._driver.set_client_encoding(encoding)
        try:
            return self._executed(sql, values, answer, ahead, more)
        finally:
            if not self.closed:
                self._driver.set_client_encoding(CLIENT_ENCODING)

    def _executed(
        self,
        sql: str | Prepared,
        values: dict[str, object],
        answer: Callable[[psycopg2.extensions.cursor], T],
        ahead: str,
        more: Sequence[tuple[str, dict[str, object]]],
    ) -> T:
        text = self._text(sql)
        with self._rows_by_name() as cursor:
            if more:
                parts = [cursor.mogrify(one, its_values) for one, its_values in ((text, values), *more)]
                cursor.execute(ahead.encode() + b";\n".join(parts))
            else:
                cursor.execute(text, values)
            return answer(cursor)

    def _rows_by_name(self) -> psycopg2.extensions.cursor:
        return self._driver.cursor(cursor_factory=NamedTupleCursor)

    def _text(self, sql: str | Prepared) -> str:
        if isinstance(sql, str):
            return sql
        # As long as the connection lives, so do the statements: its `info` is the place to remember them.
        there = self._connection.info.setdefault("prepared", set())
        # One at a time: a rollback takes no PREPARE back, and the next try must know how far this one came.
        for name, preparation in sql.preparations.items():
            if name not in there:
                self.run_text(preparation)
                there.add(name)
        return sql.call

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Several statements in one transaction; an exception rolls it back. Inside another one's block they
        are part of that one."""
        if not self._at_rest:
            yield
            return
        self.run_text("begin")
        try:
            if self.at_begin:
                self.at_begin()
            yield
            self.run_text("commit")
        except BaseException:
            if not self.closed:
                try:
                    self.run_text("rollback")
                except psycopg2.Error:
                    self.close()
            raise

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """A part of a transaction: an error in the block takes back what it did, and no more."""
        self.run_text("savepoint part")
        try:
            yield
        except psycopg2.Error:
            if not self.closed:
                self.run_text("rollback to savepoint part; release savepoint part")
            raise
        self.run_text("release savepoint part")

    @contextmanager
    def limited_to(self, seconds: float) -> Iterator[None]:
        """In the block a statement may take so long, or as long as the role's own limit allows if that is
        shorter."""
        self.run(LIMIT_STATEMENTS, milliseconds=round(1000 * seconds))
        try:
            yield
        finally:
            if not self.closed and self._at_rest:
                self.run_text("reset statement_timeout")

    def close(self) -> None:
        self._driver.close()

    def release(self) -> None:
        """Give the connection back to its pool; one in an unknown state is closed instead."""
        if not self.closed and self._at_rest:
            self._connection.close()
        else:
            self._connection.invalidate()
