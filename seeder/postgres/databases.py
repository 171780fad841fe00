"""One engine per database, made at first use, safe over forks and threads; SQLAlchemy pools connections."""

import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar

import psycopg2
from psycopg2 import errorcodes
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, Dialect
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from seeder.config.urls import driver_url, masked, same_place, without_secrets
from seeder.errors import DatabaseUnreachable
from seeder.postgres.application_names import IDLE_NAME
from seeder.postgres.circuit_breaker import CircuitBreaker
from seeder.postgres.encoding import CLIENT_ENCODING
from seeder.postgres.failures import one_line
from seeder.postgres.refusals import refusal
from seeder.postgres.session import LOCK_TIMEOUT, OWN_LIMITS, Session

#: A host that vanishes without closing its connections is noticed after idle + interval * count = 60 s.
KEEPALIVES = {"keepalives": 1, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}

#: Unless the URL has a connect_timeout of its own. A worker's thread waits for it
#: (seeder/postgres/circuit_breaker.py).
CONNECT_TIMEOUT_SECONDS = 5

#: How long PostgreSQL lets a statement run on whose client is gone. Without it a refresh runs to its end for
#: nobody (https://www.postgresql.org/docs/current/runtime-config-connection.html, version 14 and later).
CLIENT_CHECK = "2s"

#: What is set here reaches manifests too, so nothing is that they shouldn't have. Where the server, the
#: database or the role has standard_conforming_strings off, a backslash hides the quote after it, and a
#: string ends elsewhere than the guard's grammar saw it end. The path is OWN_PATH's.
AS_OURS = (
    """
set standard_conforming_strings = on;
set search_path = pg_catalog, pg_temp;
"""
    + OWN_LIMITS
)

#: What a statement may take in the present block, in seconds; see `Databases.limited_to`.
_STATEMENT_SECONDS: ContextVar[float | None] = ContextVar("statement_seconds", default=None)


def database_name(database_id: int | None) -> str:
    """What a message calls it, and which setting it is from."""
    return "the reporting database" if database_id is None else f"database {database_id} (SEEDER_DATABASES)"


def named_elsewhere(database_id: int | None) -> str | None:
    """The name of a database that isn't the reporting one, where that goes without saying."""
    return None if database_id is None else database_name(database_id)


class Databases:
    """Every database this process talks to, by ``database_id``; None is the reporting database."""

    def __init__(self, reporting_url: str, others: dict[int, str] | None = None) -> None:
        self._urls: dict[int | None, URL] = {None: driver_url(reporting_url)}
        self._urls.update({number: driver_url(url) for number, url in (others or {}).items()})
        places = {number: same_place(url) for number, url in self._urls.items()}
        #: Asked for with each statement, and for each manifest of a plan.
        self._first_names = {
            number: next(first for first, other in places.items() if other == place)
            for number, place in places.items()
        }
        self._engines: dict[int | None, Engine] = {}
        self._breakers = {number: CircuitBreaker() for number in self._urls}
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

    def name_of(self, database_id: int | None) -> str | None:
        """What the server calls the database, where the URL says that."""
        return self._urls[database_id].database

    def same_database(self, database_id: int | None) -> bool:
        """Whether a number means the reporting database itself."""
        return self.first_name(database_id) is None

    def first_name(self, database_id: int | None) -> int | None:
        """Of the numbers that mean the same database the first, None before all."""
        return self._first_names[database_id]

    def refusing_for(self, database_id: int | None) -> float:
        """The seconds for which nobody in this process tries to connect, since the last try failed."""
        return self._breakers[self.first_name(database_id)].refusing_for()

    def engine(self, database_id: int | None = None) -> Engine:
        database_id, engines = self.first_name(database_id), self._engines
        engine = engines.get(database_id)
        if engine is None:
            # Two threads may both come here; they must leave with the same engine, whose pool they share.
            made = _engine(self._urls[database_id], self._breakers[database_id])
            engine = engines.setdefault(database_id, made)
        return engine

    def open(self, database_id: int | None = None) -> Session:
        """A connection that the caller releases; psycopg2.OperationalError where there is none to be had."""
        engine = self.engine(database_id)
        try:
            session = _session(engine)
            if session.deserted:
                session.close()
                session.release()
                # Its idle siblings were made before the server went, too.
                engine.dispose()
                session = _session(engine)
        except DBAPIError as error:
            raise (error.orig or error) from None
        return session

    @contextmanager
    def session(self, database_id: int | None = None) -> Iterator[Session]:
        """A connection for a block. One that broke takes its idle siblings with it: they broke together."""
        session, seconds = self.open(database_id), _STATEMENT_SECONDS.get()
        try:
            with session.limited_to(seconds) if seconds else nullcontext():
                yield session
        finally:
            self.give_back(session, database_id)

    @contextmanager
    def limited_to(self, statement_seconds: float) -> Iterator[None]:
        """In the block each statement of this thread's sessions may take so long."""
        before = _STATEMENT_SECONDS.set(statement_seconds)
        try:
            yield
        finally:
            _STATEMENT_SECONDS.reset(before)

    def give_back(self, session: Session, database_id: int | None = None) -> None:
        engine = self.engine(database_id)
        if session.closed:
            engine.dispose()
        if session.pool is not engine.pool:
            # A sibling broke meanwhile, and with it went the pool this one belongs to. In there nobody would
            # use it again, nor close it before Python's garbage collector comes by, which it doesn't at rest.
            session.close()
        session.release()

    @contextmanager
    def bare_connection(self) -> Iterator[psycopg2.extensions.connection]:
        """A psycopg2 connection to the reporting database, outside the pool."""
        _, arguments = self.engine(None).dialect.create_connect_args(self._urls[None])
        connection = psycopg2.connect(**{**arguments, "client_encoding": CLIENT_ENCODING})
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"set lock_timeout = '{LOCK_TIMEOUT}'")
            connection.commit()
            yield connection
        finally:
            connection.close()

    def verify(self, database_id: int | None = None) -> None:
        """Raises DatabaseUnreachable, for commands that would otherwise fail with a driver's words."""
        try:
            with self.session(database_id) as session:
                session.row("select 1")
        except psycopg2.Error as error:
            reason = self.scrubbed(one_line(error))
            setting = "SEEDER_DATABASE_URL" if database_id is None else "SEEDER_DATABASES"
            raise DatabaseUnreachable(
                which="The reporting database" if database_id is None else f"Database {database_id}",
                url=self.url(database_id),
                reason=reason,
                advice="Its connections are used up: pg_stat_activity tells by whom, docs/deployment.md how "
                "many seeder needs."
                if self._refusal(database_id) == errorcodes.TOO_MANY_CONNECTIONS
                else f"Check that it is running and that {setting} is right.",
            ) from None

    def _refusal(self, database_id: int | None) -> str | None:
        """The SQLSTATE with which the server refuses connections; None where it isn't known."""
        _, arguments = self.engine(database_id).dialect.create_connect_args(self._urls[database_id])
        return refusal(arguments, CONNECT_TIMEOUT_SECONDS)

    def scrubbed(self, text: str) -> str:
        """The text without any of the databases' passwords, as they are or as a URL writes them."""
        return without_secrets(text, self._urls.values())

    def dispose(self) -> None:
        """Closes what is idle; what is in use is closed when it is given back. Other threads may go on."""
        engines, self._engines = self._engines, {}
        # A copy: a thread that took the old dictionary may yet put an engine into it.
        for engine in list(engines.values()):
            engine.dispose()

    def _forget_engines(self) -> None:
        for engine in self._engines.values():
            engine.dispose(close=False)
        self._engines.clear()
        # Another thread of the parent may have been connecting.
        self._breakers = {number: CircuitBreaker() for number in self._urls}


def _session(engine: Engine) -> Session:
    # Asked before: if the pool is replaced meanwhile, the connection is closed once more than it need be.
    pool = engine.pool
    return Session(engine.raw_connection(), pool)


def _engine(url: URL, breaker: CircuitBreaker) -> Engine:
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
        connect_args={**KEEPALIVES, "application_name": IDLE_NAME, "client_encoding": CLIENT_ENCODING},
    )

    def through_the_breaker(
        dialect: Dialect, _record: ConnectionPoolEntry, arguments: list[str], options: dict[str, object]
    ) -> DBAPIConnection:
        options.setdefault("connect_timeout", CONNECT_TIMEOUT_SECONDS)
        return breaker.connect(lambda: dialect.connect(*arguments, **options))

    event.listen(engine, "do_connect", through_the_breaker)
    event.listen(engine, "connect", _on_connect)
    return engine


def _on_connect(connection: psycopg2.extensions.connection, _record: ConnectionPoolEntry) -> None:
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(AS_OURS)
        if connection.info.server_version >= 140000:
            cursor.execute(f"set client_connection_check_interval = '{CLIENT_CHECK}'")
