"""The moments that the runs of a seeding share (SEEDER_SAME_MOMENT): who holds them, and until when.

The first run that asks opens one: a connection of its worker's process exports its snapshot, and then idles
in that transaction. Its name in pg_stat_activity says which snapshot, and since when; an advisory lock, which
ends with the transaction, says whose. So nothing about it is kept anywhere else, any worker on any machine
finds it, and it ends with whatever ends that session: its process' death, a restart of the server, a person.
PostgreSQL itself ends it when it has lasted for SEEDER_SAME_MOMENT_MAX (idle_in_transaction_session_timeout),
as it keeps VACUUM from removing what has died since.

Agencies have moments of their own in sixteen shares at most: a connection for each of a thousand would be
more than a server has.
"""

import hashlib
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

import psycopg2
import structlog

from seeder.config.types import SameMoment
from seeder.equipment import Equipment
from seeder.errors import SeederError
from seeder.matviews import Moment, Share
from seeder.postgres.application_names import IDLE_NAME
from seeder.postgres.failures import one_line
from seeder.postgres.session import OWN_PATH, Row, Session
from seeder.run_ids import seeding_of
from seeder.runs.message import Message

#: The first half of the lock's key, beside the slots' (seeder.matviews.locks.slots).
CLASS = 24302

BEGIN = """
begin isolation level repeatable read read only;
set local idle_in_transaction_session_timeout = {milliseconds};
"""

#: The first statement takes the snapshot, so that is its moment.
OPEN = f"""{OWN_PATH}
select pg_try_advisory_xact_lock({CLASS}, %(key)s) as held, extract(epoch from clock_timestamp()) as at
"""

EXPORT = f"""
select set_config(
    'application_name', concat_ws(' ', '{IDLE_NAME} moment', pg_export_snapshot(), %(at)s::text), true
) as name
"""

#: The holder's session; its name is nobody's business where its role is another.
FIND = f"""
select a.application_name as name
from pg_locks as l left join pg_stat_activity as a on a.pid = l.pid
where l.locktype = 'advisory' and l.granted and l.objsubid = 2 and l.classid = {CLASS}
  and l.objid = cast(%(key)s as oid)
  and l.database = (select oid from pg_database where datname = current_database())
"""

#: For so long a run waits until the one that opens a moment has told its name.
PATIENCE_SECONDS = 2.0
LOOK_AGAIN_SECONDS = 0.02
#: Where there was none to be had, nobody of this process asks again so soon.
DESPAIR_SECONDS = 30.0
#: Between two looks whether a moment is still needed.
WATCH_SECONDS = 2.0

log = structlog.get_logger(__name__)


class Group(NamedTuple):
    """Whose runs share a moment, and in which database."""

    database_id: int | None
    seeding_id: str
    #: What the hash of the agency's slug begins with; empty is all.
    share: str

    @property
    def key(self) -> int:
        """Of the lock: 31 bits, so that it is a positive integer."""
        words = f"{self.seeding_id}/{self.share}".encode()
        return int.from_bytes(hashlib.blake2b(words, digest_size=4).digest(), "big") >> 1


def share_of(agency_slug: str) -> str:
    return hashlib.sha256(agency_slug.encode()).hexdigest()[:1]


@dataclass
class Moments:
    """Those that a process uses, and those that it holds."""

    equipment: Equipment
    _held: dict[Group, Session] = field(default_factory=dict)
    _hopeless: dict[Group, float] = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _watching: bool = False

    def of(self, message: Message, agency_slug: str) -> Share | None:
        """How the run comes to its moment; None where each run has its own."""
        same = self.equipment.settings.same_moment
        if same is SameMoment.OFF:
            return None
        is_agency = same is SameMoment.AGENCY
        group = Group(
            self.equipment.databases.first_name(message.database_id),
            seeding_of(message.run_id),
            share_of(agency_slug) if is_agency else "",
        )
        whose = f"the reports of {agency_slug}" if is_agency else "the reports of its seeding"
        return lambda session, is_next: self._share(session, group, whose, is_next=is_next)

    def close(self) -> None:
        """End those that this process holds."""
        with self._guard:
            held, self._held = self._held, {}
        for session in held.values():
            _end(session)

    def _share(self, session: Session, group: Group, whose: str, *, is_next: bool) -> Moment | None:
        """The group's moment, opened if there is none."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        if self._hopeless.get(group, 0.0) > time.monotonic():
            return None
        reason = "the session that holds it doesn't tell: it is another role's"
        while time.monotonic() < deadline:
            row = session.row(FIND, key=group.key)
            if row is None:
                try:
                    row = self._opened(group)
                except psycopg2.Error as error:
                    reason = one_line(error)
                    break
            if row and (found := _read(row.name)):
                snapshot, at = found
                return Moment(snapshot, at, whose, is_next)
            time.sleep(LOOK_AGAIN_SECONDS)
        log.warning("no moment to share", seeding_id=group.seeding_id, reason=reason)
        self._hopeless[group] = time.monotonic() + DESPAIR_SECONDS
        return None

    def _opened(self, group: Group) -> Row | None:
        """A row with the name of the session that holds it from now on; None where somebody was faster."""
        session = self.equipment.databases.open(group.database_id)
        try:
            milliseconds = round(1000 * self.equipment.settings.same_moment_max)
            session.run_text(BEGIN.format(milliseconds=milliseconds))
            row = session.row(OPEN, key=group.key)
            if row.held:
                told: Row = session.row(EXPORT, at=f"{row.at:.3f}")
                log.info("a moment is held", seeding_id=group.seeding_id, database_id=group.database_id)
                self._hold(group, session)
                return told
        except BaseException:
            _end(session)
            raise
        _end(session)
        return None

    def _hold(self, group: Group, session: Session) -> None:
        with self._guard:
            # One that has ended, and hasn't been noticed yet.
            before = self._held.pop(group, None)
            self._held[group] = session
            begin, self._watching = not self._watching, True
        if before:
            _end(before)
        if begin:
            threading.Thread(target=self._watch, name="seeder moments", daemon=True).start()

    def _watch(self) -> None:
        """End what nobody needs any more, as long as there is something to be ended."""
        while True:
            time.sleep(WATCH_SECONDS)
            with self._guard:
                held = dict(self._held)
                if not held:
                    self._watching = False
                    return
            for group, session in held.items():
                if session.closed or session.deserted or not self._is_needed(group):
                    self._end_held(group, session)

    def _end_held(self, group: Group, session: Session) -> None:
        """Unless another thread has."""
        with self._guard:
            if self._held.get(group) is not session:
                return
            del self._held[group]
        _end(session)

    def _is_needed(self, group: Group) -> bool:
        try:
            return self.equipment.history.upstreams.anything_left(group.seeding_id, group.share)
        except (psycopg2.Error, SeederError):
            # It ends by itself, if need be.
            return True


def _read(name: str | None) -> tuple[str, datetime] | None:
    words = (name or "").split(" ")
    if len(words) != 4 or words[:2] != [IDLE_NAME, "moment"]:
        return None
    return words[2], datetime.fromtimestamp(float(words[3]), UTC)


def _end(session: Session) -> None:
    """With its connection, which is called otherwise and in a transaction."""
    with suppress(psycopg2.Error):
        session.close()
    session.release()
