"""Runs that wait: for the moment of their next try, or for a turn, which the run before them gives them."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from typing import Any

import psycopg2
import structlog
from celery import Celery

from seeder.broker.attempts import Attempts
from seeder.broker.delayed import Deferral, Ready
from seeder.broker.messages import TROUBLE, queue_of_run, queued_messages, ready_again, usual_seconds
from seeder.broker.upstreams import Upstreams
from seeder.config.urls import masked_broker
from seeder.equipment import Equipment
from seeder.errors import BrokerUnreachable, DatabaseFull, NameRefused, RecordHeld, TurnAwaited
from seeder.matviews.locks import lock, slots
from seeder.postgres.failures import one_line
from seeder.runs.message import Message
from seeder.sql.names import matview_name

log = structlog.get_logger(__name__)

#: For how long a process takes it that no run waits for a turn, rather than ask Redis after each run. A run
#: that has come to wait meanwhile tries again by itself (broker.delayed.TURN_SECONDS).
BELIEF_SECONDS = 1.0


class Turn(StrEnum):
    """What a run waits its turn for."""

    #: A slot of its database (SEEDER_MAX_PER_DATABASE).
    DATABASE = "database"
    #: Another run of its matview.
    MATVIEW = "matview"


@dataclass(frozen=True)
class Whereabouts:
    """Where a pending run is: kept until a moment, or until its turn; else in its queue, or nowhere."""

    #: Its next try, after one that failed.
    until: datetime | None = None
    turn: Turn | None = None
    #: How many wait for the same turn and go first.
    before: int = 0
    #: The runs that have to end first.
    upstreams: frozenset[str] = frozenset()
    #: The runs that these wait for in turn, as far as they wait for nobody themselves.
    foremost: frozenset[str] = frozenset()
    #: Messages in the queue it belongs into, its own among them if it is there; None where it is kept.
    queued: int | None = None


class DelayedRuns:
    """The waiting runs, as one process reaches them: through a channel of kombu's, opened at first use."""

    def __init__(self, app: Celery, equipment: Equipment) -> None:
        self._app = app
        self._equipment = equipment
        self._asked_at = float("-inf")
        self._anyone = False

    def wait_for_next_try(self, request: Any, seconds: float, attempts: int) -> None:
        """The run is tried again after so many seconds. Without Redis it stays pending until the sweep.

        ``attempts``: how many of its tries have failed or were lost.
        """
        try:
            self._attempts.note({request.id: attempts})
            self._deferral.defer(self._ready(request, attempts), seconds)
        except TROUBLE as error:
            log.warning("not deferred; the sweep queues it", run_id=request.id, reason=one_line(error))

    def wait_for_turn(self, request: Any, message: Message, busy: TurnAwaited) -> None:
        """The run is tried again when the run in its way has ended and calls it; this was no try."""
        turn = self._turn(message, busy)
        try:
            self._deferral.park(self._ready(request, request.retries), turn, -usual_seconds(request))
            self._believe(True)
            # The run in its way may have ended before this one could be called.
            if self._is_free(message, busy):
                self._deferral.call([turn])
        except TROUBLE as error:
            log.warning("not parked; the sweep queues it", run_id=request.id, reason=one_line(error))

    def call_next(self, message: Message, awaited: TurnAwaited | None) -> None:
        """After a run: call who waits for what it had or was called for, but not for what it awaits."""
        if message.database_id not in self._equipment.databases:
            return
        turns = []
        try:
            if self._equipment.settings.limit_of(message.database_id) > 0:
                turns.append(self._turn_of_database(message))
            if self._anyone_waits():
                matview = matview_name(message.table_name, self._equipment.settings.db_schema)
                turns.append(self._turn_of_matview(message, str(matview)))
            if awaited:
                turns = [turn for turn in turns if turn != self._turn(message, awaited)]
            if turns:
                self._deferral.call(turns)
        except NameRefused:
            # No matview can have that name, so nobody waits for it.
            return
        except TROUBLE as error:
            log.warning("no waiting run was called; it tries again by itself", reason=one_line(error))

    def whereabouts(self, message: Message) -> Whereabouts:
        """Where a pending run waits. Raises BrokerUnreachable."""
        turns = {self._turn_of_database(message): Turn.DATABASE}
        try:
            matview = matview_name(message.table_name, self._equipment.settings.db_schema)
            turns[self._turn_of_matview(message, str(matview))] = Turn.MATVIEW
        except NameRefused:
            pass
        try:
            kept = self._deferral.whereabouts(message.run_id, list(turns))
            if kept is None:
                queue = queue_of_run(self._app, message.database_id)
                return Whereabouts(queued=queued_messages(self._channel, queue))
            waiting = Upstreams.over(self._channel)
            upstreams = waiting.of(message.run_id)
            foremost = waiting.foremost(message.run_id) if upstreams else frozenset()
        except TROUBLE as error:
            raise BrokerUnreachable(
                url=masked_broker(self._app.conf.broker_url), reason=one_line(error)
            ) from error
        until = None if kept.until is None else datetime.fromtimestamp(kept.until, UTC)
        return Whereabouts(
            until=until,
            turn=turns.get(kept.turn or ""),
            before=kept.before,
            upstreams=upstreams,
            foremost=foremost - upstreams,
        )

    @cached_property
    def _channel(self) -> Any:
        return self._app.connection_for_write().channel()

    @cached_property
    def _deferral(self) -> Deferral:
        return Deferral.over(self._channel)

    @cached_property
    def _attempts(self) -> Attempts:
        return Attempts.over(self._channel)

    def _ready(self, request: Any, retries: int) -> Ready:
        return ready_again(self._app, self._channel, request, retries)

    def _anyone_waits(self) -> bool:
        """For any turn at all, as it was a moment ago."""
        if time.monotonic() - self._asked_at > BELIEF_SECONDS:
            self._believe(self._deferral.anyone_waits_for_a_turn())
        return self._anyone

    def _believe(self, anyone: bool) -> None:
        self._anyone, self._asked_at = anyone, time.monotonic()

    def _turn(self, message: Message, busy: TurnAwaited) -> str:
        """The name under which runs wait for what was found taken. That may be another matview than the
        run's own: one that reads it, and that a swap would build anew too."""
        if isinstance(busy, DatabaseFull):
            return self._turn_of_database(message)
        return self._turn_of_matview(message, busy.table_name)

    def _turn_of_database(self, message: Message) -> str:
        number = self._equipment.databases.first_name(message.database_id)
        return "reporting" if number is None else str(number)

    def _turn_of_matview(self, message: Message, matview: str) -> str:
        return f"{self._turn_of_database(message)} {matview}"

    def _is_free(self, message: Message, busy: TurnAwaited) -> bool:
        """Whether what the run found taken is free by now; yes where that can't be told."""
        if isinstance(busy, RecordHeld):
            # The session that holds the record calls no run: this one tries again by itself.
            return False
        limit = self._equipment.settings.limit_of(message.database_id)
        try:
            with self._equipment.databases.session(message.database_id) as session:
                if isinstance(busy, DatabaseFull):
                    return slots.is_one_free(session, limit)
                matview = matview_name(busy.table_name, self._equipment.settings.db_schema)
                return lock.holder(session, matview) is None
        except psycopg2.Error:
            return True
        except NameRefused:
            # Not a manifest's: the run tries again by itself.
            return False
