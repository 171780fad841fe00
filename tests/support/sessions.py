"""Other people's sessions."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
from sqlalchemy.engine import make_url
from support.contract import Platform


@contextmanager
def person(platform: Platform, statement: str) -> Iterator[None]:
    """Somebody in psql who has begun a transaction and gone to lunch."""
    connection = psycopg2.connect(
        make_url(platform.url).set(drivername="postgresql").render_as_string(hide_password=False)
    )
    try:
        connection.cursor().execute(statement)
        yield
    finally:
        # Its end is waited for; that of a connection isn't.
        connection.rollback()
        connection.close()
