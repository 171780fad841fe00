"""The limits of a run's statements: timeouts, and the schemas in which names are looked up."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from seeder.postgres.session import OWN_LIMITS, Session

#: A refresh's limits, as columns of a query: that query's own locks are taken before they hold.
LIMITS = """\
set_config('statement_timeout', %(statement_timeout_ms)s, false) as statement_timeout,
       set_config('lock_timeout', %(lock_timeout_ms)s, false) as lock_timeout"""
SET_LIMITS = f"select {LIMITS}"

SET_STATEMENT_TIMEOUT = "select set_config('statement_timeout', %(statement_timeout_ms)s, false)"


@dataclass(frozen=True)
class Limits:
    """What a run's statements may take, in seconds (0 is no limit), and where a manifest's unqualified names
    are looked up; our own statements find theirs in pg_catalog alone (seeder.postgres.session.OWN_PATH)."""

    statement_timeout: float
    lock_timeout: float
    #: The names of schemas, as the catalogue has them.
    search_path: tuple[str, ...]
    #: The manifest's directive that the statement timeout is from; None where it is the settings'.
    directive: str | None = None

    @property
    def statement_timeout_ms(self) -> str:
        return str(round(self.statement_timeout * 1000))

    @property
    def lock_timeout_ms(self) -> str:
        return str(round(self.lock_timeout * 1000))

    def shortened(self, statement_timeout: float, directive: str | None = None) -> "Limits":
        """With that statement timeout, of a directive's where there is one, unless this one is shorter."""
        if 0 < self.statement_timeout <= statement_timeout:
            return self
        return replace(self, statement_timeout=statement_timeout, directive=directive)


@contextmanager
def under_limits(session: Session, limits: Limits) -> Iterator[None]:
    """Run the block's statements under the timeouts of a run."""
    session.run(
        SET_LIMITS,
        statement_timeout_ms=limits.statement_timeout_ms,
        lock_timeout_ms=limits.lock_timeout_ms,
    )
    try:
        yield
    finally:
        if not session.closed:
            # Other work is done on the same connection later.
            session.run_text(OWN_LIMITS)


@contextmanager
def limited(session: Session, own: Limits, usual: Limits) -> Iterator[None]:
    """Apply the manifest's own statement timeout to the block.

    `take` has set the usual one, before the manifest was read; so that the record isn't written under a
    timeout meant for a refresh, it is set again at the end. No round trip where the two are the same.
    """
    if own == usual:
        yield
        return
    session.run(SET_STATEMENT_TIMEOUT, statement_timeout_ms=own.statement_timeout_ms)
    try:
        yield
    finally:
        if not session.closed:
            session.run(SET_STATEMENT_TIMEOUT, statement_timeout_ms=usual.statement_timeout_ms)
