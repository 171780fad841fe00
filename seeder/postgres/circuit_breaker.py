"""Limits attempts to connect to one database, so that one that is down costs a worker's threads little.

A host that answers nothing makes each new connection wait for its whole time-out, and with it a worker's
thread that other databases could use. So only one connection is tried at a time, and after a failure none is
tried for twice as long as the failure took: a server that refuses at once may be asked again at once, one
that kept us waiting is left alone for a while. Connections that exist already aren't affected.
"""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

import psycopg2

Connection = TypeVar("Connection")

#: How long others wait for a connection that is being made, before they take the server for silent.
OTHERS_WAIT_SECONDS = 2.0

#: How much longer than a failure took no attempt is made.
REST_FACTOR = 2.0


class CircuitBreaker:
    """One per database and process; safe over threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._trying_since: float | None = None
        self._refusing_until = 0.0
        #: What the last failure said; None when the last try succeeded.
        self._reason: str | None = None

    def connect(self, make: Callable[[], Connection]) -> Connection:
        """What ``make`` returns. Raises psycopg2.OperationalError at once where none is to be tried."""
        self._enter()
        started = self._clock()
        try:
            connection = make()
        except psycopg2.OperationalError as error:
            self._leave(str(error), self._clock() - started)
            raise
        except BaseException:
            # It says nothing about the server.
            self._leave(self._reason, 0.0)
            raise
        self._leave(None, 0.0)
        return connection

    def refusing_for(self) -> float:
        """The seconds until the next attempt is let through; 0 is now."""
        with self._changed:
            return max(0.0, self._refusing_until - self._clock())

    def _enter(self) -> None:
        with self._changed:
            while self._trying_since is not None:
                if self._reason is not None:
                    # It has failed before: whether it is back, one finds out, and nobody waits for that.
                    raise psycopg2.OperationalError(f"{self._reason} (a moment ago; it is being tried again)")
                left = self._trying_since + OTHERS_WAIT_SECONDS - self._clock()
                if left <= 0:
                    raise psycopg2.OperationalError(
                        "the server doesn't answer; another connection waits for it"
                    )
                self._changed.wait(left)
            if self._reason is not None and (left := self._refusing_until - self._clock()) > 0:
                raise psycopg2.OperationalError(
                    f"{self._reason} (a moment ago; not asked again for {left:.0f} s)"
                )
            self._trying_since = self._clock()

    def _leave(self, reason: str | None, cost: float) -> None:
        with self._changed:
            self._trying_since = None
            self._reason = reason
            self._refusing_until = self._clock() + REST_FACTOR * cost
            self._changed.notify_all()
