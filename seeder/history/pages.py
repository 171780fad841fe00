"""The history, page by page: each page reads a bounded range of an index, however long the history is."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from seeder.history.rows import Run
from seeder.history.statements import Statements
from seeder.postgres.databases import Databases
from seeder.postgres.failures import expecting_contract
from seeder.run_ids import seeding_of, sql_belongs_to

#: Runs one page of all jobs' history looks at, at most; where its filter takes few of them the page is short.
EXAMINED = 20_000

#: A table has one row per run and time, so its own history is never long.
OF_TABLE = """
select {run_columns}, id
from {runs}
where table_name = %(table_name)s
  and (%(standings)s::text[] is null or {standing} = any(%(standings)s))
  and (%(since)s::timestamptz is null or start_time >= %(since)s)
  and (%(until)s::timestamptz is null or start_time < %(until)s)
  and (%(before_id)s::bigint is null or id < %(before_id)s)
order by id desc
limit %(limit)s
"""

#: What an index can find is inside, what it can't outside of the bound.
OF_ALL = """
select {run_columns}, id
from (
    select *
    from {history}
    where (%(agency)s::text is null or agency_slug = %(agency)s)
      and (%(table_name)s::text is null or table_name = %(table_name)s)
      and (%(since)s::timestamptz is null or start_time >= %(since)s)
      and (%(until)s::timestamptz is null or start_time < %(until)s)
      and (%(before_id)s::bigint is null or (start_time, id) < (%(before_time)s::timestamptz, %(before_id)s))
    order by start_time desc, id desc
    limit %(examined)s
) h cross join {absent}
where (%(standings)s::text[] is null or {standing} = any(%(standings)s))
  and (%(report_type)s::text is null or report_type = %(report_type)s)
  and (%(text)s::text is null
       or strpos(lower(table_name || chr(10) || report_name || chr(10) || agency_slug), lower(%(text)s)) > 0)
order by start_time desc, id desc
limit %(limit)s
"""

#: Where the stretch that OF_ALL looks at ends; no row where it reaches the end of the history.
EXAMINED_TO = """
select start_time, id
from {history}
where (%(agency)s::text is null or agency_slug = %(agency)s)
  and (%(table_name)s::text is null or table_name = %(table_name)s)
  and (%(since)s::timestamptz is null or start_time >= %(since)s)
  and (%(until)s::timestamptz is null or start_time < %(until)s)
  and (%(before_id)s::bigint is null or (start_time, id) < (%(before_time)s::timestamptz, %(before_id)s))
order by start_time desc, id desc
offset %(examined)s - 1 limit 1
"""

#: Counts a seeding's runs; of which one a statement says behind it.
COUNTED = """
select count(*) as runs,
       count(*) filter (where status = 'pending') as pending,
       count(*) filter (where status = 'running') as running,
       count(*) filter (where status = 'success') as success,
       count(*) filter (where {standing} = 'error') as error,
       count(*) filter (where {standing} = 'cancelled') as cancelled,
       count(*) filter (where {standing} = 'not_run') as not_run,
       min(created_at) as recorded_at,
       max(finish_time) as finish_time,
       coalesce(sum(duration_seconds) filter (where finish_time is not null), 0)::integer as worked_seconds
from {history}
"""

SEEDING = f"{COUNTED}where {sql_belongs_to('run_id', '%(seeding_id)s')}"

#: The first row of a stretch of the index on start_time.
RUN_BEFORE = """
select run_id from {history} where start_time < %(moment)s order by start_time desc limit 1
"""


@dataclass(frozen=True)
class DatedRun(Run):
    """A run with its place in the order of recording."""

    id: int


@dataclass(frozen=True)
class RunFilter:
    """Which runs; None is no filter. Times are those of the beginning, the second one not included."""

    agency: str | None = None
    table_name: str | None = None
    report_type: str | None = None
    standings: tuple[str, ...] | None = None
    text: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Place:
    """Where a page of all jobs' history ends."""

    start_time: datetime
    id: int


@dataclass(frozen=True)
class SeedingCounts:
    """A seeding's runs by standing; times are None where there are none."""

    runs: int
    pending: int
    running: int
    success: int
    error: int
    cancelled: int
    not_run: int
    recorded_at: datetime | None
    finish_time: datetime | None
    #: The durations of its ended runs together.
    worked_seconds: int

    @property
    def ended(self) -> int:
        return self.success + self.error + self.cancelled + self.not_run


class RunPages:
    """Reads the history a page at a time."""

    def __init__(self, databases: Databases, schema: str) -> None:
        self._databases = databases
        self.sql = Statements(schema)

    def of_table(
        self, wanted: RunFilter, before_id: int | None, limit: int
    ) -> tuple[list[DatedRun], int | None]:
        """A table's runs, the one recorded last first, and where the page ends if there are more."""
        found = self._runs(OF_TABLE, wanted, limit + 1, before_id=before_id)
        return found[:limit], found[limit - 1].id if len(found) > limit else None

    def of_all(
        self, wanted: RunFilter, before: Place | None, limit: int
    ) -> tuple[list[DatedRun], Place | None]:
        """Runs, the one that began last first, and where the page ends if there may be more."""
        where = {"before_time": before and before.start_time, "before_id": before and before.id}
        found = self._runs(OF_ALL, wanted, limit + 1, **where)
        if len(found) > limit:
            return found[:limit], Place(found[limit - 1].start_time, found[limit - 1].id)
        row = self._row(EXAMINED_TO, **_values(wanted), **where, examined=EXAMINED)
        return found, row and Place(row.start_time, row.id)

    def seeding(self, seeding_id: str) -> SeedingCounts:
        return SeedingCounts(**self._row(SEEDING, seeding_id=seeding_id)._asdict())

    def seeding_before(self, moment: datetime) -> str | None:
        """The seeding of the run that began last before that moment."""
        row = self._row(RUN_BEFORE, moment=moment)
        return row and seeding_of(row.run_id)

    def _runs(self, statement: str, wanted: RunFilter, limit: int, **where: Any) -> list[DatedRun]:
        with expecting_contract(), self._databases.session() as session:
            found = session.rows(
                self.sql(statement), **_values(wanted), **where, limit=limit, examined=EXAMINED
            )
        return [DatedRun(**row._asdict()) for row in found]

    def _row(self, statement: str, **values: Any) -> Any:
        with expecting_contract(), self._databases.session() as session:
            return session.row(self.sql(statement), **values)


def _values(wanted: RunFilter) -> dict[str, Any]:
    standings: Sequence[str] | None = wanted.standings and list(wanted.standings)
    return {**vars(wanted), "standings": standings or None}
