"""When the runs of a seeding that somebody waits for will have ended, if each takes as long as usual."""

from collections.abc import Callable, Collection, Sequence
from statistics import median

from seeder.broker.planned import Planned
from seeder.history import HistoryRepository
from seeder.seedings.course import course
from seeder.seedings.graph import Graph


class ExpectedEnd:
    """What is known of it before it begins; how far it is, is asked each time."""

    def __init__(
        self,
        planned: Sequence[Planned],
        history: HistoryRepository,
        limit_of: Callable[[int | None], int],
    ) -> None:
        self._history = history
        self._limit_of = limit_of
        self._graph = Graph({one.run.run_id: one.upstreams for one in planned if one.upstreams})
        self._databases = {one.run.run_id: one.database_id for one in planned}
        usual = history.usual_seconds() if planned else {}
        known = {
            one.run.run_id: seconds for one in planned if (seconds := usual.get(one.run.table_name, 0.0)) > 0
        }
        otherwise = median(known.values()) if known else 0.0
        #: Nothing where nothing is known of any.
        self._seconds = {one: known.get(one, otherwise) for one in self._databases} if known else {}
        self._places = history.side_by_side() if known else 0

    def seconds_left(self, waiting: Collection[str]) -> float | None:
        """Until the last of these runs ends; None where that can't be known."""
        seconds = {one: self._seconds[one] for one in waiting if one in self._seconds}
        if not seconds:
            return None
        at_work = self._history.at_work_for(seconds)
        return course(self._graph, seconds, self._places, self._databases, self._limit_of, at_work).seconds
