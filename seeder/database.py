"""Connections: one engine per database, made at first use, safe over forks and threads.

SQLAlchemy keeps the pools; a ``Session`` is one of their connections with just the verbs that seeder's own
statements need. It works at the driver's level because a run's few statements are the platform's hot path,
and because psycopg2 sends a text of several statements in one round trip, as one transaction
(https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-MULTI-STATEMENT), and returns the
last one's rows.
"""

import os
import re
import select
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, quote_plus

import psycopg2
from psycopg2.extensions import TRANSACTION_STATUS_IDLE
from psycopg2.extras import NamedTupleCursor
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import PoolProxiedConnection, QueuePool

from seeder.doorway import Doorway
from seeder.errors import DatabaseUnreachable
from seeder.failures import one_line
from seeder.prepared import Prepared
from seeder.resources import UNKNOWN, Meter, Reading, local_backend, reported

#: A host that vanishes without closing its connections is noticed after idle + interval * count = 60 s.
KEEPALIVES = {"keepalives": 1, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}

#: Unless the URL has a connect_timeout of its own. A worker's thread waits for it (seeder/doorway.py).
CONNECT_TIMEOUT_SECONDS = 5

#: How long PostgreSQL lets a statement run on whose client is gone. Without it a refresh runs to its end for
#: nobody (https://www.postgresql.org/docs/current/runtime-config-connection.html, version 14 and later).
CLIENT_CHECK = "2s"

#: What connections that do no run are called in pg_stat_activity.
IDLE_NAME = "seeder"

#: libpq's password, sslpassword and oauth_client_secret
#: (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS).
_SECRET_PARAMETER = re.compile("password|secret", re.IGNORECASE)

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


class Session:
    """One connection, in autocommit: a statement, or a text of several, is a transaction of its own."""

    def __init__(self, connection: PoolProxiedConnection) -> None:
        self._connection = connection
        self._driver: Any = connection.driver_connection
        self._riding_along: list[tuple[str, dict[str, Any]]] = []

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
    def deserted(self) -> bool:
        """Whether the server has ended this connection while it was idle, as a restart does.

        At rest PostgreSQL sends nothing, so what can be read then is its last words or the end. Asking it
        instead, as SQLAlchemy's ``pool_pre_ping`` does, is a round trip more for every run; not asking at all
        costs a run a try, and a fan-out its seeding.
        """
        waiting = select.poll()
        waiting.register(self._driver.fileno(), select.POLLIN)
        return bool(waiting.poll(0))

    def row(self, sql: str | Prepared, **values: Any) -> Any:
        """The first row of the (last) statement as a named tuple, or None."""
        with self._driver.cursor(cursor_factory=NamedTupleCursor) as cursor:
            cursor.execute(self._text(sql), values)
            return cursor.fetchone()

    def rows(self, sql: str | Prepared, **values: Any) -> list[Any]:
        """All rows of the (last) statement as named tuples."""
        with self._driver.cursor(cursor_factory=NamedTupleCursor) as cursor:
            cursor.execute(self._text(sql), values)
            return list(cursor.fetchall())

    def run(self, sql: str | Prepared, **values: Any) -> int:
        """Execute; returns the number of rows the (last) statement touched, -1 where PostgreSQL says none."""
        with self._driver.cursor() as cursor:
            text = cursor.mogrify(self._text(sql), values).decode()
            for more, its_values in self._riding_along:
                text += ";\n" + cursor.mogrify(more, its_values).decode()
            self._riding_along.clear()
            cursor.execute(text)
            return int(cursor.rowcount)

    def with_next(self, sql: str, **values: Any) -> None:
        """A statement that goes along with the next ``run``, in its round trip and its transaction."""
        self._riding_along.append((sql, values))

    def run_text(self, sql: str) -> int:
        """Execute text that holds no values of ours: a ``%`` in it means nothing."""
        with self._driver.cursor() as cursor:
            cursor.execute(sql)
            return int(cursor.rowcount)

    def text_row(self, sql: str) -> Any:
        """The first row of text that holds no values of ours, or None."""
        with self._driver.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchone()

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
        if self._driver.info.transaction_status != TRANSACTION_STATUS_IDLE:
            yield
            return
        self.run_text("begin")
        try:
            yield
            self.run_text("commit")
        except BaseException:
            if not self.closed:
                try:
                    self.run_text("rollback")
                except psycopg2.Error:
                    self.close()
            raise

    def close(self) -> None:
        self._driver.close()

    def release(self) -> None:
        """Give the connection back to its pool; one in an unknown state is closed instead."""
        if not self.closed and self._driver.info.transaction_status == TRANSACTION_STATUS_IDLE:
            self._connection.close()
        else:
            self._connection.invalidate()


class Databases:
    """Every database this process talks to, by ``database_id``; None is the reporting database."""

    def __init__(self, reporting_url: str, others: dict[int, str] | None = None) -> None:
        self._urls: dict[int | None, URL] = {None: driver_url(reporting_url)}
        self._urls.update({number: driver_url(url) for number, url in (others or {}).items()})
        self._engines: dict[int | None, Engine] = {}
        self._doorways = {number: Doorway() for number in self._urls}
        forget = weakref.WeakMethod(self._forget_engines)
        # A forked child must not use, nor close, its parent's sockets.
        os.register_at_fork(after_in_child=lambda: (method := forget()) and method())

    def __iter__(self) -> Iterator[int | None]:
        return iter(self._urls)

    def __contains__(self, database_id: object) -> bool:
        return database_id in self._urls

    def url(self, database_id: int | None = None) -> str:
        """The database's URL with its password masked."""
        return masked(self._urls[database_id])

    def same_database(self, database_id: int | None) -> bool:
        """Whether a number means the reporting database itself."""
        return self._urls[database_id] == self._urls[None]

    def first_name(self, database_id: int | None) -> int | None:
        """Of the numbers that mean the same database the first, None before all."""
        return next(number for number, url in self._urls.items() if url == self._urls[database_id])

    def shut_for(self, database_id: int | None) -> float:
        """The seconds for which nobody in this process tries to connect, since the last try failed."""
        return self._doorways[self.first_name(database_id)].shut_for()

    def engine(self, database_id: int | None = None) -> Engine:
        database_id = self.first_name(database_id)
        if database_id not in self._engines:
            # Two threads may both come here; they must leave with the same engine, whose pool they share.
            made = _engine(self._urls[database_id], self._doorways[database_id])
            self._engines.setdefault(database_id, made)
        return self._engines[database_id]

    def open(self, database_id: int | None = None) -> Session:
        """A connection that the caller releases; psycopg2.OperationalError where there is none to be had."""
        engine = self.engine(database_id)
        try:
            session = Session(engine.raw_connection())
            if session.deserted:
                session.close()
                session.release()
                # Its idle siblings were made before the server went, too.
                engine.dispose()
                session = Session(engine.raw_connection())
        except DBAPIError as error:
            raise (error.orig or error) from None
        return session

    @contextmanager
    def session(self, database_id: int | None = None) -> Iterator[Session]:
        """A connection for a block. One that broke takes its idle siblings with it: they broke together."""
        session = self.open(database_id)
        try:
            yield session
        finally:
            self.give_back(session, database_id)

    def give_back(self, session: Session, database_id: int | None = None) -> None:
        if session.closed:
            self.engine(database_id).dispose()
        session.release()

    @contextmanager
    def bare_connection(self) -> Iterator[psycopg2.extensions.connection]:
        """A psycopg2 connection to the reporting database, outside the pool."""
        connection = psycopg2.connect(
            self._urls[None].set(drivername="postgresql").render_as_string(hide_password=False)
        )
        try:
            yield connection
        finally:
            connection.close()

    def verify(self, database_id: int | None = None) -> None:
        """Raises DatabaseUnreachable, for commands that would otherwise fail with a driver's words."""
        try:
            with self.session(database_id) as session:
                session.row("select 1")
        except psycopg2.Error as error:
            raise DatabaseUnreachable(
                which="reporting" if database_id is None else f"other ({database_id})",
                url=self.url(database_id),
                reason=self.scrubbed(one_line(error)),
                setting="SEEDER_DATABASE_URL" if database_id is None else "SEEDER_DATABASES",
            ) from None

    def scrubbed(self, text: str) -> str:
        """The text without any of the databases' passwords, as they are or as a URL writes them."""
        secrets = {secret for url in self._urls.values() for secret in _secrets(url)}
        spelled = {spell(secret) for secret in secrets for spell in (str, quote, quote_plus, _quoted_whole)}
        # The longest first: one may be a part of another.
        for secret in sorted(spelled, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text

    def dispose(self) -> None:
        for engine in self._engines.values():
            engine.dispose()
        self._engines.clear()

    def _forget_engines(self) -> None:
        for engine in self._engines.values():
            engine.dispose(close=False)
        self._engines.clear()
        # Another thread of the parent may have been at the door.
        self._doorways = {number: Doorway() for number in self._urls}


def driver_url(url: str) -> URL:
    """The URL for psycopg2, whatever driver it names; with none, SQLAlchemy 2.1 would take psycopg 3."""
    return make_url(url).set(drivername="postgresql+psycopg2")


def masked(url: str | URL) -> str:
    """The URL for people: no password, neither before the @ nor among the parameters."""
    url = make_url(url)
    if hidden := {name: "***" for name in url.query if _SECRET_PARAMETER.search(name)}:
        url = url.update_query_dict(hidden)
    url = url.set(host=_behind_at(url.host), database=_behind_at(url.database))
    return url.set(drivername="postgresql").render_as_string(hide_password=True)


def masked_broker(url: str) -> str:
    """A Redis URL, or several, without password; what stands between the first : and the last @ is taken for
    one, since an unescaped / or @ in it is what a person who reads this may have to find."""
    url = re.sub(r"(?i)(?<=password=)[^&;]*", "***", url)
    return re.sub(r"(?s)(?<=://)([^:@]*):.*@", r"\1:***@", url)


def _secrets(url: URL) -> Iterator[str]:
    if url.password:
        yield str(url.password)
    for name, values in url.normalized_query.items():
        if _SECRET_PARAMETER.search(name):
            yield from filter(None, values)
    for part in (url.host, url.database):
        if part and (rest := part.rpartition("@")[0]):
            yield rest


def _behind_at(part: str | None) -> str | None:
    """Of a password with an unescaped @ the URL's parser takes what is behind it for host or database."""
    return part and part.rpartition("@")[2]


def _quoted_whole(text: str) -> str:
    return quote(text, safe="")


def _engine(url: URL, doorway: Doorway) -> Engine:
    engine = create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        poolclass=QueuePool,
        # 0 is no limit: the number of a worker's threads is one already.
        pool_size=0,
        # The connection used last is used next, so that idle ones show themselves.
        pool_use_lifo=True,
        # In autocommit there is never anything to roll back.
        pool_reset_on_return=None,
        connect_args={**KEEPALIVES, "application_name": IDLE_NAME},
    )

    def through_the_doorway(dialect: Any, _record: Any, arguments: Any, options: dict[str, Any]) -> Any:
        options.setdefault("connect_timeout", CONNECT_TIMEOUT_SECONDS)
        return doorway.connect(lambda: dialect.connect(*arguments, **options))

    event.listen(engine, "do_connect", through_the_doorway)
    event.listen(engine, "connect", _on_connect)
    return engine


def _on_connect(connection: Any, _record: Any) -> None:
    connection.autocommit = True
    # What is prepared is looked up by keys; a plan for each value would be the same plan.
    with connection.cursor() as cursor:
        cursor.execute("set plan_cache_mode = force_generic_plan")
    if connection.info.server_version >= 140000:
        with connection.cursor() as cursor:
            cursor.execute(f"set client_connection_check_interval = '{CLIENT_CHECK}'")
