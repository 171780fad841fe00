"""Sessions of other people that read, write or alter a matview while it is exchanged."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

import psycopg2
import pytest
from sqlalchemy.engine import make_url
from support.workbench import Bench

from seeder.matviews import RefreshResult, bring_up_to_date, upkeep
from seeder.matviews.swap import exchange
from seeder.postgres.session import Session
from seeder.sql.directives import RefreshMode

Hook = Callable[[Session, str], object]


@pytest.fixture(autouse=True)
def nothing_is_left(bench: Bench) -> Iterator[None]:
    """No copy, no lock, no open transaction, whatever a test did."""
    yield
    assert bench.sql("select relname from pg_class where relname like 'seeder:%'") == []
    assert bench.sql("""
        select l.locktype from pg_locks l join pg_database d on d.oid = l.database
        where d.datname = current_database() and (l.locktype = 'advisory' or l.mode like '%Exclusive%')
    """) == []  # fmt: skip


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two tries with hardly a pause between them."""
    monkeypatch.setattr(exchange, "TRIES", 2)
    monkeypatch.setattr(exchange, "PAUSE_SECONDS", 0.01)


def run(bench: Bench, query: str | None = None, hook: Hook | None = None) -> RefreshResult:
    """A rebuild with the query, or a swap."""
    manifest = bench.manifest(query) if query else bench.manifest()
    policy = bench.policy(refresh_mode=RefreshMode.SWAP)
    built = after_the_build(hook) if hook else nullcontext()
    with built, bench.claimed(manifest, policy) as (session, found):
        return bring_up_to_date(session, manifest, found, policy)


@contextmanager
def after_the_build(hook: Hook) -> Iterator[None]:
    """Call the hook in each swap once its copy is there, last among what a swap has to do at that moment."""
    real = upkeep.swap

    def swap(*arguments: Any, **more: Any) -> object:
        *others, publish = arguments

        def publish_first(session: Session, copy: str) -> None:
            publish(session, copy)
            hook(session, copy)

        return real(*others, publish_first, **more)

    with patch.object(upkeep, "swap", swap):
        yield


def meanwhile(bench: Bench, ddl: str) -> Hook:
    """What a person does after the copy was built."""

    def hook(session: Session, copy: str) -> None:
        bench.sql(ddl)

    return hook


def between_look_and_lock(monkeypatch: pytest.MonkeyPatch, bench: Bench, ddl: str) -> None:
    """What a person does in the moment between the exchange's last look and its lock."""
    real, pending = exchange.exclusively, [ddl]

    def late(*arguments: object) -> object:
        if pending:
            bench.sql(pending.pop())
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(exchange, "exclusively", late)


@contextmanager
def connection(bench: Bench) -> Iterator[psycopg2.extensions.cursor]:
    """Somebody else's, in a transaction."""
    url = make_url(bench.platform.url).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = psycopg2.connect(url)
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()
