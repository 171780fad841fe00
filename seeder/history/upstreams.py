"""Runs that wait for others, as the record knows them: what they wait for, and that they end with it.

What a run waits for is said nowhere in the record, nor need it be: it follows from what its report reads, its
seeding, and what was unfinished when it was recorded.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from seeder.history.inserting import ManyRuns
from seeder.history.queries import WINDOW_DAYS
from seeder.history.standing import is_not_run
from seeder.history.statements import Statements
from seeder.models import RunStatus
from seeder.postgres.session import Session
from seeder.run_ids import sql_belongs_to, sql_seeding_of

#: Of these tables what hasn't ended, but nothing of one seeding.
UNFINISHED_OF_TABLES = f"""
select table_name, run_id
from {{history}}
where table_name = any(%(tables)s) and status in ('pending', 'running')
  and {sql_seeding_of("run_id")} <> %(seeding_id)s
  and start_time > now() - make_interval(days => %(days)s)
"""

#: Of each reader and each table that it reads: the run of its own seeding, or where there is none those that
#: had yet to end when it was recorded.
AWAITED = """
with asked as (
    select * from jsonb_to_recordset(%(pairs)s) as asked (run_id text, upstream text, table_name text)
)
select asked.run_id as reader, h.run_id, h.table_name, h.agency_slug, h.status, h.errors
from asked
join {history} h on h.run_id = asked.upstream
union all
select asked.run_id, h.run_id, h.table_name, h.agency_slug, h.status, h.errors
from asked
join {history} own on own.run_id = asked.run_id
join {history} h on h.table_name = asked.table_name
where not exists (select from {history} there where there.run_id = asked.upstream)
  and h.created_at <= own.created_at
  and coalesce(h.finish_time, 'infinity') > own.created_at
  and h.start_time > own.created_at - make_interval(days => %(days)s)
"""

KNOWN = """
select run_id, table_name, agency_slug, status, errors from {history} where run_id = any(%(run_ids)s)
"""


@dataclass(frozen=True)
class Upstream:
    """A run that others wait for."""

    run_id: str
    table_name: str
    agency_slug: str
    status: str
    errors: str | None

    @property
    def has_ended(self) -> bool:
        return self.status in (RunStatus.SUCCESS, RunStatus.ERROR)

    @property
    def has_failed(self) -> bool:
        return self.status == RunStatus.ERROR

    @property
    def is_root(self) -> bool:
        """Of one that has failed: whether it did so itself."""
        return not is_not_run(self.errors)


#: Whether anything of a seeding has yet to end: of all agencies, or of those whose slug's hash begins like
#: this (seeder.runs.moments).
UNFINISHED_OF_SEEDING = f"""
select exists (
    select from {{history}}
    where {sql_belongs_to("run_id", "cast(%(seeding_id)s as text)")}
      and status in ('pending', 'running')
      and starts_with(encode(sha256(convert_to(agency_slug, 'UTF8')), 'hex'), %(share)s)
) as found
"""


class UpstreamRuns:
    """A part of HistoryRepository, which is the only writer of runs and status."""

    def __init__(
        self,
        session: Callable[[Session | None], AbstractContextManager[Session]],
        sql: Statements,
        many: ManyRuns,
    ) -> None:
        self._session = session
        self._sql = sql
        self._many = many

    def unfinished(self, table_names: Iterable[str], seeding_id: str) -> dict[str, frozenset[str]]:
        """table_name → its runs that haven't ended, but those of that seeding."""
        tables = list(table_names)
        if not tables:
            return {}
        with self._session(None) as session:
            rows = session.rows(
                self._sql(UNFINISHED_OF_TABLES), tables=tables, seeding_id=seeding_id, days=WINDOW_DAYS
            )
        found: dict[str, set[str]] = {}
        for row in rows:
            found.setdefault(row.table_name, set()).add(row.run_id)
        return {table_name: frozenset(run_ids) for table_name, run_ids in found.items()}

    def anything_left(self, seeding_id: str, share: str) -> bool:
        """Whether a run of the seeding has yet to end, of those agencies."""
        with self._session(None) as session:
            sql = self._sql(UNFINISHED_OF_SEEDING)
            return bool(session.row(sql, seeding_id=seeding_id, share=share).found)

    def awaited(self, pairs: Sequence[tuple[str, str, str]]) -> dict[str, list[Upstream]]:
        """Of each run what it waits for, or waited for, by triples of its run_id, the run_id that an upstream
        has in the same seeding, and that one's table."""
        if not pairs:
            return {}
        asked = [{"run_id": a, "upstream": b, "table_name": c} for a, b, c in pairs]
        with self._session(None) as session:
            rows = session.rows(
                self._sql(AWAITED), pairs=json.dumps(asked, ensure_ascii=False), days=WINDOW_DAYS
            )
        found: dict[str, list[Upstream]] = {}
        for row in rows:
            found.setdefault(row.reader, []).append(
                Upstream(row.run_id, row.table_name, row.agency_slug, row.status, row.errors)
            )
        return found

    def known(self, run_ids: Iterable[str]) -> list[Upstream]:
        """Those of the runs that are recorded."""
        asked = list(run_ids)
        if not asked:
            return []
        with self._session(None) as session:
            return [Upstream(**row._asdict()) for row in session.rows(self._sql(KNOWN), run_ids=asked)]

    def not_run(self, words: Mapping[str, str], session: Session | None = None) -> frozenset[str]:
        """pending → error, without a failure of their own: what they read has failed.

        ``words``: by run_id, the message of an UpstreamFailed. Returns those that were pending, and of
        whose rows nobody holds one.
        """
        if not words:
            return frozenset()
        with self._session(session) as open_session:
            return self._many.not_run(open_session, words)
