"""When a seeding would end if it began now, and what decides that: from what each report usually takes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from seeder.diagnosis.forecast import Forecast
from seeder.seedings.course import course
from seeder.seedings.graph import Graph

#: How many of the longest are named.
LONGEST = 10


@dataclass(frozen=True)
class Expectation:
    """Of a seeding of what was foreseen; durations in seconds."""

    #: From its beginning to the end of its last run.
    seconds: float
    #: How many runs that takes side by side.
    places: int
    #: The tables of the runs, first to last, each of which begins when the one before has ended.
    critical_path: tuple[str, ...]
    #: The tables that take longest, with how long.
    longest: tuple[tuple[str, float], ...]
    #: What all runs take together.
    work: float
    #: Reports that have never run, or not lately: how many by the planner's cost, and how many by nothing but
    #: what is usual for the others.
    by_cost: int
    by_others: int


def expected(
    foreseen: Sequence[Forecast],
    usual_seconds: Mapping[str, float],
    places: int,
    limit_of: Callable[[int | None], int],
) -> tuple[list[Forecast], Expectation | None]:
    """The reports with when each would begin and end, and what that comes to; None where nothing is known of
    any, or nothing would be done.

    ``usual_seconds`` is by table, as ``HistoryRepository.usual_seconds`` has it: 0 is unknown. A report
    without takes what its planner's cost means here: the median of seconds over cost among those of which
    both are known; where it has no cost either, the median of the others.
    """
    runs = {one.table_name: one for one in foreseen if one.is_run}
    known = {table: usual_seconds[table] for table in runs if usual_seconds.get(table, 0.0) > 0}
    if not known:
        return list(foreseen), None
    ratios = [known[table] / cost for table in known if (cost := runs[table].cost)]
    of_others = median(known.values())
    guessed = {
        table: one.cost * median(ratios) if one.cost and ratios else of_others
        for table, one in runs.items()
        if table not in known
    }
    by_cost = sum(bool(runs[table].cost and ratios) for table in guessed)
    seconds = {**known, **guessed}
    graph = Graph({table: frozenset(one.waits_for) for table, one in runs.items()})
    found = course(graph, seconds, places, {table: one.database_id for table, one in runs.items()}, limit_of)
    path = frozenset(found.critical_path)
    timed = [
        replace(
            one,
            begins_seconds=found.legs[one.table_name].begins,
            ends_seconds=found.legs[one.table_name].ends,
            is_critical=one.table_name in path,
        )
        if one.is_run and one.table_name in found.legs
        else one
        for one in foreseen
    ]
    longest = sorted(seconds.items(), key=lambda pair: (-pair[1], pair[0]))[:LONGEST]
    return timed, Expectation(
        found.seconds,
        places,
        found.critical_path,
        tuple(longest),
        sum(seconds.values()),
        by_cost,
        len(guessed) - by_cost,
    )
