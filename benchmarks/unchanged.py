"""``python -m benchmarks unchanged``: how long a night is in which one table of twenty was written to.

Against a night in which all were, with skipping on in both; and how long it takes to decide of all reports.
"""

import statistics
import time
from dataclasses import dataclass

from rich.console import Console

from benchmarks.arena import Arena, BenchmarkFailed, connect, rows
from benchmarks.contestants import SeederWorker, worker
from benchmarks.measuring import Say
from benchmarks.workload import Workload
from seeder.config.settings import Settings
from seeder.equipment import Equipment
from seeder.matviews import policy_of
from seeder.matviews.freshness.unchanged import decisions

MANIFESTS = 2000
TABLES = 40
WRITTEN = 2
REPETITIONS = 3
GOAL = 0.08
SKIPPING = {"SEEDER_SKIP_UNCHANGED": "true"}

PREPARE = """
do $$
begin
    for i in 0 .. %(tables)s - 1 loop
        execute format('create table public.source_%%s as
            select g as id, g %%%% 7 as product, g::numeric as amount from generate_series(1, 500) as g', i);
    end loop;
end $$;
insert into reporting.seeder_custom_report_manifest
    (id, table_name, report_name, agency_id, agency_slug, query, enabled)
select i, 'report_' || i, 'Report ' || i, i % 100, 'agency-' || i % 100,
       'select product, sum(amount) as revenue from public.source_' || i % %(tables)s || ' group by product',
       true
from generate_series(1, %(manifests)s) as i
"""

#: A session that is at rest for long enough tells of what it wrote by itself.
WRITE = "insert into public.source_{number} values (1, 1, 1)"
TELL = "select pg_stat_force_next_flush()"

SKIPPED = """
select count(*) from reporting.seeder_run_history where id > %s and note like 'Unchanged since %%'
"""


@dataclass(frozen=True)
class Nights:
    """Seconds of the two, one after the other, and of the decision about all reports."""

    full: float
    quiet: float
    decided: float

    @property
    def ratio(self) -> float:
        return self.quiet / self.full


def measure(arena: Arena, manifests: int, repetitions: int, concurrency: int, say: Say) -> list[Nights]:
    """Raises BenchmarkFailed where not just those were skipped that read nothing new."""
    url = arena.make_database("unchanged")
    connection = connect(url)
    text = PREPARE.replace("%(tables)s", str(TABLES)).replace("%(manifests)s", str(manifests))
    with connection.cursor() as cursor:
        cursor.execute(text.replace("%%", "%"))
    names = {f"report_{number}": f"reporting.report_{number}" for number in range(1, manifests + 1)}
    workload = Workload("unchanged", f"{manifests} manifests over {TABLES} tables", GOAL, url, names)
    equipment = Equipment(Settings(skip_unchanged=True), url)
    nights = []
    with worker(arena, workload, "unchanged", 1, concurrency, settings=SKIPPING) as seeding:
        for what in ("creating", "noting the sources of"):
            say(f"unchanged: {what} {manifests:,} matviews")
            seeding.run()
        for number in range(1, repetitions + 1):
            full = _night(connection, seeding, manifests, TABLES)
            quiet = _night(connection, seeding, manifests, WRITTEN)
            nights.append(Nights(full, quiet, _decided(equipment)))
            say(f"unchanged: {number} of {repetitions}: {nights[-1].ratio:.3f}")
    equipment.databases.dispose()
    connection.close()
    return nights


def show(out: Console, manifests: int, nights: list[Nights]) -> None:
    ratios = [one.ratio for one in nights]
    ratio, decided = statistics.median(ratios), statistics.median(one.decided for one in nights)
    out.print(
        f"\n[bold]unchanged[/]: with {WRITTEN} of {TABLES} tables written to, a night of {manifests:,} "
        f"manifests takes {ratio:.3f} ({min(ratios):.3f} to {max(ratios):.3f}) of a full one; goal {GOAL}, "
        f"{'reached' if ratio <= GOAL else 'missed'}\n"
        f"{statistics.median(one.quiet for one in nights):.1f} s instead of "
        f"{statistics.median(one.full for one in nights):.1f} s; it is decided in {decided:.2f} s",
        highlight=False,
    )


def _night(connection: object, seeding: SeederWorker, manifests: int, written: int) -> float:
    with connection.cursor() as cursor:  # type: ignore[attr-defined]
        for number in range(written):
            cursor.execute(WRITE.format(number=number))
        cursor.execute(TELL)
    [(last_id,)] = rows(connection, "select max(id) from reporting.seeder_run_history")
    leg = seeding.run()
    [(skipped,)] = rows(connection, SKIPPED, last_id)
    expected = sum(number % TABLES >= written for number in range(1, manifests + 1))
    if skipped != expected:
        raise BenchmarkFailed(f"{skipped} reports were skipped, and {expected} read nothing new")
    return leg.seconds


def _decided(equipment: Equipment) -> float:
    policy = policy_of(equipment.settings)
    with equipment.databases.session() as session:
        asked = [(one, policy) for one in equipment.manifests.every(session)]
        began = time.perf_counter()
        decisions(session, asked, policy.limits.search_path)
        return time.perf_counter() - began
