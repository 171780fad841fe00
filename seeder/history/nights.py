"""Seedings, the latest first, and the runs of one: what the pages about nights show.

The contract has no table of seedings, and no index but the one on run_id knows them. Seedings lie in it one
behind the other, so the list goes from one to the next with one step into the index each, over all their runs
(https://wiki.postgresql.org/wiki/Loose_indexscan).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from seeder.history.pages import COUNTED, SeedingCounts
from seeder.history.standing import Standing, standing_of
from seeder.history.statements import Statements
from seeder.postgres.databases import Databases
from seeder.postgres.failures import expecting_contract
from seeder.run_ids import sql_belongs_to, sql_seeding_of, sql_start_of

#: Steps of one page of the list (a recursive query goes only as far as its LIMIT lets it). Where many single
#: tables were refreshed by hand it may hold few nights.
STEPS = 2_000

#: Backwards in the order of the index, whatever collation that has (run_ids.sql_belongs_to). Whatever a
#: run_id looks like, each step goes on from before it.
SEEDING_IDS = f"""
with recursive step (run_id) as (
    (
        select run_id from {{history}}
        where %(before)s::text is null or run_id < {sql_start_of("%(before)s")}
        order by run_id desc limit 1
    )
  union all
    select (
               select h.run_id from {{history}} h
               where h.run_id < least(step.run_id, {sql_start_of(sql_seeding_of("step.run_id"))})
               order by h.run_id desc limit 1
           )
    from step
    where step.run_id is not null
)
select {sql_seeding_of("run_id")} as seeding_id from step where run_id is not null limit %(most)s
"""

#: What the list shows of each.
COUNTS = f"""
select seeding_id, counts.*
from unnest(cast(%(seeding_ids)s as text[])) as seeding_id
cross join lateral (
    {COUNTED}where {sql_belongs_to("run_id", "seeding_id")}
) counts
"""

#: Of a report's error the first line says which it is.
RUNS = f"""
select run_id, table_name, report_name, agency_slug, status, created_at, start_time, finish_time,
       records_processed as records, left(split_part(errors, chr(10), 1), 300) as error
from {{history}}
where {sql_belongs_to("run_id", "%(seeding_id)s")}
order by start_time, id
"""


@dataclass(frozen=True, slots=True)
class NightRun:
    """One run of a seeding, with what its timeline needs."""

    run_id: str
    table_name: str
    report_name: str
    agency_slug: str
    status: str
    #: When it was recorded, which is when it was queued.
    created_at: datetime
    start_time: datetime
    finish_time: datetime | None
    records: int | None
    #: The first line of what went wrong.
    error: str | None

    @property
    def standing(self) -> Standing:
        return standing_of(self.status, self.error)


class Nights:
    """Reads seedings for the pages about nights."""

    def __init__(self, databases: Databases, schema: str) -> None:
        self._databases = databases
        self.sql = Statements(schema)

    def seeding_ids(self, before: str | None = None, most: int = STEPS) -> list[str]:
        """The ids of seedings, or of whatever else has runs, the latest first; after so many the list ends,
        and goes on ``before`` the last one."""
        with expecting_contract(), self._databases.session() as session:
            found = session.rows(self.sql(SEEDING_IDS), before=before, most=most)
        # What isn't one of ours may take two steps.
        return list(dict.fromkeys(row.seeding_id for row in found))

    def counts(self, seeding_ids: list[str]) -> dict[str, SeedingCounts]:
        """Each seeding's runs by standing."""
        with expecting_contract(), self._databases.session() as session:
            found = session.rows(self.sql(COUNTS), seeding_ids=seeding_ids)
        return {row.seeding_id: _counts(row) for row in found}

    def runs(self, seeding_id: str) -> list[NightRun]:
        """All runs of a seeding, by their beginning."""
        with expecting_contract(), self._databases.session() as session:
            return [NightRun(**row._asdict()) for row in session.rows(self.sql(RUNS), seeding_id=seeding_id)]


def _counts(row: Any) -> SeedingCounts:
    values = row._asdict()
    del values["seeding_id"]
    return SeedingCounts(**values)
