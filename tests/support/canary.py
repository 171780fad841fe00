"""A PostgreSQL that tells when a text was more than one statement that reads: a canary sits in it, which the
role that executes the text owns, so that nothing but the guard keeps the text from it."""

import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg2
from psycopg2.extensions import TRANSACTION_STATUS_INERROR, TRANSACTION_STATUS_INTRANS
from sqlalchemy.engine import make_url

SETUP = """
create role {role};
create schema authorization {role};
set session authorization {role};
create table canary as select 1 as id, 'alive' as note, 7 as agency_id, array['a'] as tags;
create table sale as
    select n as id, n % 3 as agency_id, n * 1.5 as amount, array['a', 'b'] as tags, now() as sold_at
    from generate_series(1, 3) as n;
create sequence s;
set seeder.canary = 'alive';
set statement_timeout = '2s'
"""

#: What must be as it was.
STATE = """
select (select array_agg(c::text) from canary as c), (select array_agg(s::text) from sale as s),
       (select array_agg(relname order by relname) from pg_class where relowner = current_user::regrole),
       (select last_value from s), current_user::text, current_setting('seeder.canary'),
       current_setting('transaction_read_only')
"""

#: PostgreSQL's answers to what would write, or can't be part of a transaction: no query gets them.
WRITES = {
    "25006",  # read_only_sql_transaction
    "25001",  # active_sql_transaction
    "25P01",  # no_active_sql_transaction
    "2D000",  # invalid_transaction_termination
    None,  # psycopg2's own: COPY
}

#: Where a text is put, and what PostgreSQL answers to the whole if the text is one query.
PLACES = [
    ("{}\n", "SELECT"),
    ("explain {}\n", "EXPLAIN"),
    ("create temporary view made as\n{}\n;\nset local lock_timeout = 1", "SET"),
    ("create materialized view made as\n{}\nwith no data", "CREATE MATERIALIZED VIEW"),
]


class Caught(AssertionError):
    """A text that the guard accepted, and what PostgreSQL made of it."""


class Canary:
    """Executes what the guard accepted."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._cursor.execute("begin read only")
        self._state = self._look()
        self._cursor.execute("rollback")

    def judge(self, text: str) -> bool:
        """Execute the text as a statement of its own and where seeder puts it; says whether it ran.

        Raises Caught for all that isn't exactly one statement that reads.
        """
        ran = [self._ran(place.replace("{}", text), tag) for place, tag in PLACES]
        return ran[0]

    def value(self, text: str) -> Any:
        """The first field of the first row."""
        self._cursor.execute(text)
        return self._cursor.fetchone()[0]

    def _ran(self, statement: str, tag: str) -> bool:
        makes = tag.startswith(("SET", "CREATE"))
        self._cursor.execute(f"begin {'' if makes else 'read only'}; savepoint before")
        try:
            self._cursor.execute(statement)
        except psycopg2.Error as error:
            if error.pgcode in WRITES:
                raise Caught(f"{statement!r}: {error.pgcode} {error}") from error
            ran = False
        else:
            ran = True
            if not str(self._cursor.statusmessage).startswith(tag):
                raise Caught(f"{statement!r}: {self._cursor.statusmessage}")
        status = self._connection.info.transaction_status
        if status not in (TRANSACTION_STATUS_INTRANS, TRANSACTION_STATUS_INERROR):
            raise Caught(f"{statement!r} ended the transaction")
        if ran and not makes and (state := self._look()) != self._state:
            raise Caught(f"{statement!r}: {state}")
        self._cursor.execute("rollback to savepoint before; rollback")
        return ran

    def _look(self) -> Any:
        self._cursor.execute(STATE)
        return self._cursor.fetchone()


@contextmanager
def canary_in(url: str) -> Iterator[Canary]:
    """In an empty database."""
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    role = f"seeder_test_canary_{secrets.token_hex(4)}"
    try:
        with closing(psycopg2.connect(plain)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(SETUP.format(role=role))
            yield Canary(connection)
    finally:
        with closing(psycopg2.connect(plain)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(f"drop owned by {role} cascade; drop role {role}")
