"""A run's way into the waiting room and out: with which message it waits, what for, and who calls it."""

import time
from functools import cached_property
from typing import Any

import psycopg2
import structlog
from celery import Celery
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from seeder.app import Equipment
from seeder.deferral import Deferral, Ready
from seeder.errors import DatabaseFull, MatviewBusy, NameRefused, TurnAwaited
from seeder.failures import one_line
from seeder.matviews import lock, slots
from seeder.queueing import ready_again, usual_seconds
from seeder.runs import Message
from seeder.sql.names import matview_name

log = structlog.get_logger(__name__)

#: What kombu and Redis' client raise when Redis is out of reach, or full.
TROUBLE = (RedisError, KombuError, OSError)

#: For so long a process believes that nobody waits for a turn, rather than ask Redis after each run. Who came
#: meanwhile tries unasked (deferral.TURN_SECONDS).
BELIEF_SECONDS = 1.0


class WaitingRoom:
    """The waiting runs, as one process reaches them: through a channel of kombu's, opened at first use."""

    def __init__(self, app: Celery, equipment: Equipment) -> None:
        self._app = app
        self._equipment = equipment
        self._asked_at = float("-inf")
        self._anyone = False

    def wait_for_next_try(self, request: Any, seconds: float) -> None:
        """The run is tried again after so many seconds. Without Redis it stays pending until the sweep."""
        try:
            self._deferral.defer(self._ready(request, request.retries + 1), seconds)
        except TROUBLE as error:
            log.warning("not deferred; the sweep queues it", run_id=request.id, reason=one_line(error))

    def wait_for_turn(self, request: Any, message: Message, busy: TurnAwaited) -> None:
        """The run is tried again when whoever is in its way calls it; this was no try."""
        turn = self._turn(message, type(busy))
        try:
            self._deferral.park(self._ready(request, request.retries), turn, -usual_seconds(request))
            self._believe(True)
            # Whoever was in the way may have gone before there was anybody to call.
            if self._is_free(message, busy):
                self._deferral.call([turn])
        except TROUBLE as error:
            log.warning("not parked; the sweep queues it", run_id=request.id, reason=one_line(error))

    def call_next(self, message: Message, awaited: TurnAwaited | None) -> None:
        """After a run: call who waits for what it had or was called for, but not for what it awaits."""
        if message.database_id not in self._equipment.databases:
            return
        try:
            turns = [
                self._turn(message, kind)
                for kind, is_needed in (
                    (DatabaseFull, lambda: self._equipment.settings.limit_of(message.database_id) > 0),
                    (MatviewBusy, self._anyone_waits),
                )
                if not isinstance(awaited, kind) and is_needed()
            ]
            if turns:
                self._deferral.call(turns)
        except NameRefused:
            # No matview can have that name, so nobody waits for it.
            return
        except TROUBLE as error:
            log.warning("nobody was called; the next tries unasked", reason=one_line(error))

    @cached_property
    def _channel(self) -> Any:
        return self._app.connection_for_write().channel()

    @cached_property
    def _deferral(self) -> Deferral:
        return Deferral(self._channel.conn_or_acquire)

    def _ready(self, request: Any, retries: int) -> Ready:
        return ready_again(self._app, self._channel, request, retries)

    def _anyone_waits(self) -> bool:
        """For any turn at all, as it was a moment ago."""
        if time.monotonic() - self._asked_at > BELIEF_SECONDS:
            self._believe(self._deferral.anyone_waits_for_a_turn())
        return self._anyone

    def _believe(self, anyone: bool) -> None:
        self._anyone, self._asked_at = anyone, time.monotonic()

    def _turn(self, message: Message, kind: type[TurnAwaited]) -> str:
        """The name under which runs wait for a database's slots, or for a matview of it."""
        number = self._equipment.databases.first_name(message.database_id)
        place = "reporting" if number is None else str(number)
        if issubclass(kind, DatabaseFull):
            return place
        return f"{place} {matview_name(message.table_name, self._equipment.settings.db_schema)}"

    def _is_free(self, message: Message, busy: TurnAwaited) -> bool:
        """Whether what the run found taken is free by now; yes where that can't be told."""
        limit = self._equipment.settings.limit_of(message.database_id)
        try:
            with self._equipment.databases.session(message.database_id) as session:
                if isinstance(busy, DatabaseFull):
                    return slots.is_one_free(session, limit)
                matview = matview_name(message.table_name, self._equipment.settings.db_schema)
                return lock.holder(session, matview) is None
        except psycopg2.Error:
            return True
