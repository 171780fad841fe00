"""What the record holds of tables that no manifest names any more: read, and deleted on request."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import datetime

from seeder.history.rows import NewRun
from seeder.history.standing import as_failure
from seeder.history.statements import Statements
from seeder.postgres.session import Session
from seeder.run_ids import manifest_identity
from seeder.wording import shortened

#: What is remembered of tables as runs of these manifests: the last run, and when the last success ended.
REMEMBERED = """
select asked.table_name, asked.report_type, asked.manifest_id, last.report_name, last.agency_id,
       last.agency_slug,
       (
           select max(h.finish_time) from {history} h
           where h.table_name = asked.table_name and h.status = 'success'
             and h.report_type = asked.report_type and h.manifest_id = asked.manifest_id
       ) as last_success
from unnest(cast(%(tables)s as text[]), cast(%(types)s as text[]), cast(%(ids)s as integer[]))
     as asked (table_name, report_type, manifest_id)
cross join lateral (
    select h.report_name, h.agency_id, h.agency_slug
    from {history} h
    where h.table_name = asked.table_name
      and h.report_type = asked.report_type and h.manifest_id = asked.manifest_id
    order by h.id desc
    limit 1
) last
"""

#: Of tables that none of these names is.
STATUSES_OF_OTHERS = """
select s.table_name, s.report_type, s.manifest_id, s.report_name, s.agency_slug, s.updated_at,
       exists (
           select from {history} h
           where h.table_name = s.table_name and h.status in ('pending', 'running')
             and h.start_time > now() - interval '{window_days} days'
       ) as unfinished
from {status} s
where not exists (select from unnest(cast(%(tables)s as text[])) as known where known = s.table_name)
order by s.table_name
"""

#: A terminal row of a run that never was, so that the table's history says what became of its matview. An
#: error makes nothing look fresh that isn't there any more; it counts as no failure.
NOTE_DROP = """
insert into {history}
    (run_id, manifest_id, table_name, report_name, agency_id, agency_slug, report_type, status,
     finish_time, duration_seconds, records_processed, bytes_processed, errors, consecutive_failures)
values (%(run_id)s, %(manifest_id)s, %(table_name)s, %(report_name)s, %(agency_id)s, %(agency_slug)s,
        %(report_type)s, 'error', now(), 0, null, null, %(errors)s, 0)
on conflict (run_id) do nothing
"""

#: Only if it is as it was seen: a session that has written it since still needs it.
FORGET = """
delete from {status} where table_name = %(table_name)s and updated_at = %(seen)s
"""

#: table_name, report_type, manifest_id
Key = tuple[str, str, int]


@dataclass(frozen=True)
class Remembered:
    """What the record knows of a table as a manifest's."""

    report_name: str
    agency_id: int
    agency_slug: str
    #: When its last successful run ended; None where the history has none.
    last_success: datetime | None


@dataclass(frozen=True)
class OtherStatus:
    """A status row of a table that no manifest names."""

    table_name: str
    report_type: str
    manifest_id: int
    report_name: str
    agency_slug: str
    updated_at: datetime
    #: A run of it is queued or at work.
    unfinished: bool

    @property
    def identity(self) -> str:
        return manifest_identity(self.report_type, self.manifest_id)


class Abandoned:
    """A part of HistoryRepository, which is the only writer of runs and status."""

    def __init__(
        self,
        session: Callable[[Session | None], AbstractContextManager[Session]],
        sql: Statements,
    ) -> None:
        self._session = session
        self._sql = sql

    def remembered(self, wanted: Iterable[Key]) -> dict[Key, Remembered]:
        """Of each what is known, where anything is."""
        asked = list(wanted)
        if not asked:
            return {}
        with self._session(None) as session:
            found = session.rows(
                self._sql(REMEMBERED),
                tables=[table for table, _, _ in asked],
                types=[report_type for _, report_type, _ in asked],
                ids=[manifest_id for _, _, manifest_id in asked],
            )
        return {
            (row.table_name, row.report_type, row.manifest_id): Remembered(
                row.report_name, row.agency_id, row.agency_slug, row.last_success
            )
            for row in found
        }

    def statuses_of_others(self, table_names: Iterable[str]) -> list[OtherStatus]:
        """The status rows of all tables but these."""
        with self._session(None) as session:
            found = session.rows(self._sql(STATUSES_OF_OTHERS), tables=list(table_names))
        return [OtherStatus(**row._asdict()) for row in found]

    def note_drop(self, dropped: NewRun, words: str) -> None:
        """Record in a table's history that its matview was dropped."""
        with self._session(None) as session:
            session.run(self._sql(NOTE_DROP), **asdict(dropped), errors=shortened(as_failure(words)))

    def forget(self, table_name: str, seen: datetime) -> bool:
        """Delete the table's status row, unless it was written since it was ``seen``, which is its
        ``updated_at``; says whether it was deleted."""
        with self._session(None) as session:
            return session.run(self._sql(FORGET), table_name=table_name, seen=seen) > 0
