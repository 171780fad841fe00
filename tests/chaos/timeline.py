"""All that is known of one run and what happened around it, in the order of time."""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from chaos.faults import Kind
from chaos.place import Place

EVENTS = """
select e.at, e.run_id, e.status, e.consecutive_failures, e.errors, e.pid
from public.events e
where e.table_name = (select table_name from public.events where run_id = %s limit 1)
order by e.id
"""

WITNESSED = """
select began, ended, pid from public.witnessed
where 'report_' || report = (select table_name from public.events where run_id = %s limit 1)
"""

#: Celery's, structlog's and PostgreSQL's, which all are told UTC.
MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)[,.](\d+)")

#: What PostgreSQL logs of each statement whose costs seeder asks for (seeder.postgres.session.REPORT).
BESIDE_THE_POINT = ("LOG:  QUERY STATISTICS", "DETAIL:  ! system usage stats", "| STATEMENT:")

#: Other runs of the table, and faults, are shown so near the run's own time.
AROUND = timedelta(seconds=10)


def timeline(place: Place, run_id: str, faults: Sequence[tuple[datetime, Kind, str]]) -> list[str]:
    """Lines: the run's moves and its table's, who refreshed it, the faults, and what the logs say of it."""
    events = place.sql(EVENTS, run_id)
    own = [row.at for row in events if row.run_id == run_id]
    if not own:
        return [f"nothing is known of {run_id}"]
    first, last = min(own) - AROUND, max(own) + AROUND
    found = [(row.at, _move(row)) for row in events]
    found += [
        (row.ended, f"refreshed by pid {row.pid}, from {row.began:%H:%M:%S.%f} on")
        for row in place.sql(WITNESSED, run_id)
    ]
    found += [(at, f"FAULT {kind}: {hit}") for at, kind, hit in faults]
    for log in [place.postgres.log, *(one.log for one in (*place.workers, *place.beats))]:
        found += [
            (at, f"{log.stem}: {line[:400]}")
            for at, line in _lines(log)
            if run_id in line and not any(words in line for words in BESIDE_THE_POINT)
        ]
    return [f"{at:%H:%M:%S.%f} {words}" for at, words in sorted(found) if first <= at <= last]


def _move(row: Any) -> str:
    reason = (row.errors or "").split("\n", 1)[0]
    return f"{row.run_id} → {row.status} ({row.consecutive_failures} failures, pid {row.pid}) {reason}"


def _lines(log: Path) -> Iterator[tuple[datetime, str]]:
    for line in log.read_text(errors="replace").splitlines():
        if moment := MOMENT.search(line):
            day, second, fraction = moment.groups()
            yield datetime.fromisoformat(f"{day}T{second}.{fraction[:6]:0<6}").replace(tzinfo=UTC), line
