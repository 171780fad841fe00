"""The start of a run: take the matview's lock, record the run as running, read its manifest.

The lock is on the matview's database, the record and the manifest are in the reporting database. Where these
are one database, all of it is one round trip and one transaction:

1. ``transitions.LOCK_STATUS``: the record's row of the table is locked, for which 1 s is waited at most.
   Nothing else is held meanwhile.
2. ``lock.TRY_LOCK`` and ``slots.TRY_SLOT``: the matview's lock, and one of the database's slots where it has
   a limit, are taken if they are free. They belong to the session, and stay with it after the transaction.
3. ``transitions.START``: the run becomes ``running``, provided that 2 has succeeded.
4. ``transitions.STARTED``, beside it ``lock.THERE`` and the manifest: the run as it is now, and what bears
   the matview's name. The limits of a refresh hold from here on.

Where they are two, it is a round trip to each: 2 with the limits and ``found.LOOK`` (``lock.take``), then 1,
3 and 4 with the manifest alone beside it. So the lock is held while the record is waited for; where a run
gets no further, ``Claims.claim`` releases it.
"""

from dataclasses import dataclass
from typing import Any

import psycopg2

from seeder.errors import Duplicate, MatviewBusy, RecordHeld, UnknownRun
from seeder.history import HistoryRepository, Seen
from seeder.manifests import Manifest, ManifestReader
from seeder.matviews import Found, Limits
from seeder.matviews.locks import lock, slots
from seeder.models import RunStatus
from seeder.postgres.application_names import application_name, read_application_name
from seeder.postgres.databases import Databases, named_elsewhere
from seeder.postgres.failures import in_place, judged
from seeder.postgres.session import Session
from seeder.runs.message import Message
from seeder.sql.names import MatviewName


@dataclass(frozen=True)
class Started:
    """A run that has started: its session holds the matview's lock."""

    #: The attempt that this is.
    seen: Seen
    #: What bore the matview's name when the lock was taken.
    found: Found
    #: None is gone, or switched off.
    manifest: Manifest | None
    #: How many tries have ended or were lost before; None is none, or that no column says so.
    attempts: int | None


def start(
    message: Message,
    matview: MatviewName,
    session: Session,
    *,
    databases: Databases,
    history: HistoryRepository,
    manifests: ManifestReader,
    limits: Limits,
    slots_in_all: int,
) -> Started:
    """Start the message's run in this session, which is one of the matview's database.

    Raises Duplicate where there is nothing to do: the run is over, or this attempt or a later one of it is at
    work. MatviewBusy where another run has the lock, DatabaseFull where none of the slots (0 is no limit) is
    free, RecordHeld where somebody holds the record, UnknownRun where there is no such run.
    """
    wanted: dict[str, Any] = {"report_type": message.report_type, "manifest_id": message.manifest_id}
    name = application_name(message.run_id, message.attempt)
    try:
        if databases.same_database(message.database_id):
            row = history.start_beside(
                f"{lock.THERE} left join ({manifests.one}) as manifest on true",
                message.run_id,
                message.table_name,
                session,
                before=(lock.TRY_LOCK, slots.TRY_SLOT) if slots_in_all else (lock.TRY_LOCK,),
                only_if=lock.LOCK_AND_SLOT_TAKEN if slots_in_all else lock.LOCK_TAKEN,
                **wanted,
                **lock.values(matview, name, limits, slots_in_all),
            )
            found = lock.taken(row, session, matview, slots_in_all)
        else:
            try:
                found = lock.take(session, matview, name, limits, slots_in_all)
            except psycopg2.Error as error:
                raise in_place(judged(error), named_elsewhere(message.database_id)) from error
            row = history.start_beside(manifests.one, message.run_id, message.table_name, **wanted)
    except MatviewBusy as busy:
        if _is_alive_elsewhere(message, busy):
            raise Duplicate(run_id=message.run_id) from None
        raise
    except psycopg2.errors.LockNotAvailable:
        # Nothing here waits for a lock but the record of the start.
        raise RecordHeld(table_name=str(matview)) from None
    if row.status is None:
        raise UnknownRun(run_id=message.run_id)
    if row.status != RunStatus.RUNNING:
        raise Duplicate(run_id=message.run_id)
    return Started(
        Seen(message.run_id, message.table_name, row.status, row.start_time),
        found,
        None if row.manifest_id is None else manifests.manifest(row),
        row.attempts,
    )


def _is_alive_elsewhere(message: Message, busy: MatviewBusy) -> bool:
    """Whether the lock's holder is this very run: the message was delivered twice.

    It isn't where this is the run's next attempt, whose message may overtake the record of the last one.
    """
    holder = read_application_name(busy.session_name)
    return bool(holder and holder[0] == message.run_id and holder[1] >= message.attempt)
