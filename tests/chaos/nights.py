"""Whether seedings kept to their order, and whether what was told as unchanged was."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from chaos.auditing import Violation
from chaos.place import Place
from chaos.reports import Report
from seeder.run_ids import seeding_moment, seeding_of, sql_seeding_of

#: So old may be what is told as unchanged (docs/night.md); a second is for a commit that waits for its disk.
AS_OF = timedelta(seconds=61)

#: Of each run of a reader that was begun: the runs of what it reads that were recorded by then in the same
#: seeding, and hadn't ended well when it began.
OUT_OF_ORDER = f"""
with edge as (
    select * from unnest(%s::text[], %s::text[]) as edge (reader, source)
), run as (
    select run_id, table_name, {sql_seeding_of("run_id")} as seeding_id,
           min(at) as recorded,
           min(at) filter (where status = 'running') as began,
           min(at) filter (where status in ('success', 'error')) as ended,
           bool_or(status = 'error') as failed
    from public.events
    group by run_id, table_name
)
select reader.run_id, reader.began, source.run_id as source, source.ended, source.failed
from edge
join run reader on reader.table_name = edge.reader
join run source on source.table_name = edge.source and source.seeding_id = reader.seeding_id
where source.recorded < reader.began
  and (source.ended is null or source.ended > reader.began or source.failed)
order by reader.began
"""

#: A run that was begun looks after that; one that never was has been looked at when its seeding began.
UNCHANGED = """
select run_id, table_name, max(at) filter (where status = 'running') as began,
       max(at) filter (where status = 'success') as ended
from public.events
group by run_id, table_name
having bool_or(status = 'success' and starts_with(note, 'Unchanged since '))
"""

CONTENTS = "select name, digest, pg_xact_commit_timestamp(xmin) as at from public.held order by at"

#: Of a seeding.
NEEDLESS = f"""
select run_id, table_name, note from reporting.seeder_run_history
where {sql_seeding_of("run_id")} = %s and table_name = any(%s) and status = 'success'
  and not coalesce(starts_with(note, 'Unchanged since '), false)
"""


class Contents:
    """What a table or a matview held from which moment on."""

    def __init__(self) -> None:
        self._moments: list[datetime] = []
        self._digests: list[str] = []

    def add(self, at: datetime, digest: str) -> None:
        self._moments.append(at)
        self._digests.append(digest)

    def since(self, moment: datetime, until: datetime | None = None) -> set[str]:
        """What it held at that moment and later."""
        first = max(bisect_right(self._moments, moment) - 1, 0)
        last = len(self._moments) if until is None else bisect_right(self._moments, until)
        return set(self._digests[first:last])


def nobody_went_before_what_they_read(place: Place, reports: Sequence[Report]) -> Iterator[Violation]:
    edges = [(one.table_name, f"report_{source}") for one in reports for source in one.reads]
    readers, sources = ([edge[end] for edge in edges] for end in (0, 1))
    for row in place.sql(OUT_OF_ORDER, readers, sources):
        ended = "hasn't ended" if row.ended is None else f"ended at {row.ended:%H:%M:%S.%f}"
        failed = ", in an error" if row.failed else ""
        what = f"{row.run_id} began at {row.began:%H:%M:%S.%f}; {row.source}, which it reads, {ended}{failed}"
        yield Violation("what is read is refreshed first", what, row.run_id)


def what_was_unchanged_was_right(place: Place, reports: Sequence[Report]) -> Iterator[Violation]:
    """What it held is what its source held a minute before, or has come to hold since."""
    reads = {one.table_name: one.source.partition(".")[2] for one in reports if one.quiet}
    contents: dict[str, Contents] = {}
    for row in place.sql(CONTENTS):
        contents.setdefault(row.name, Contents()).add(row.at, row.digest)
    for run in place.sql(UNCHANGED):
        if run.table_name not in reads:
            what = f"{run.run_id} was told as unchanged, though it calls what nobody can know"
            yield Violation("what is told as unchanged is", what, run.run_id)
            continue
        looked = _looked(run)
        held = contents[run.table_name].since(looked, run.ended)
        if not held & contents[reads[run.table_name]].since(looked - AS_OF):
            what = f"{run.run_id}: {run.table_name} isn't what {reads[run.table_name]} was a minute before"
            yield Violation("what is told as unchanged is", what, run.run_id)


def what_rested_was_skipped(place: Place, reports: Sequence[Report], seeding_id: str) -> Iterator[Violation]:
    """In the second of two seedings between which nobody wrote."""
    over_tables = [one.table_name for one in reports if one.quiet and not one.reads]
    for row in place.sql(NEEDLESS, seeding_id, over_tables):
        what = f"{row.run_id} was done, though nothing had changed: {row.note}"
        yield Violation("what hasn't changed isn't done", what, row.run_id)


def _looked(run: Any) -> datetime:
    moment = run.began or seeding_moment(seeding_of(run.run_id))
    assert moment, run.run_id
    return moment
