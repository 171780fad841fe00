"""Runs that wait for what they read, seen to by the sweep: those that Redis has forgotten, and those that
nobody let go of.

What waits for what is worked out anew, from what the reports read now and from the record.
"""

from collections.abc import Mapping, Sequence
from math import ceil

import structlog

from seeder.broker.planned import Planned
from seeder.broker.queues import RUN_PRIORITIES
from seeder.equipment import Equipment
from seeder.history import NewRun, Run
from seeder.history.upstreams import Upstream
from seeder.run_ids import manifest_identity, run_id_of, seeding_of
from seeder.seedings.fan_out import graph_of
from seeder.seedings.graph import Graph
from seeder.seedings.release import Release

log = structlog.get_logger(__name__)


class WaitingRuns:
    """What one sweep does about them."""

    def __init__(self, release: Release, equipment: Equipment, database_of: Mapping[str, int | None]) -> None:
        self._equipment = equipment
        self._database_of = database_of
        self._release = release
        #: How many ended, as what they read has failed.
        self.not_run = 0

    def let_go(self) -> None:
        """See to those whose last upstream has ended, or was never recorded, and nobody told them."""
        waits = self._release.upstreams.every()
        if not waits:
            return
        awaited = frozenset().union(*waits.values())
        known = {one.run_id: one for one in self._equipment.history.upstreams.known({*awaited, *waits})}
        self.not_run += len(self._release.settle(awaited & known.keys()))
        over = {run_id for run_id, one in known.items() if one.has_ended}
        self._release.upstreams.drop(sorted(over & waits.keys()))
        for run_id, upstreams in waits.items():
            gone = {one for one in upstreams if one not in known or self._release.goes_on_after(known[one])}
            if run_id not in over and gone and self._release.upstreams.let_go(run_id, gone):
                log.warning("let go of by the sweep", run_id=run_id)

    def put_in_order(self, lost: Sequence[Run]) -> frozenset[str]:
        """Of runs whose message is gone have those wait again that have to, and end those that needn't begin;
        returns them."""
        if not lost:
            return frozenset()
        awaited = self._awaited(lost)
        ended = self._release.end(awaited)
        self.not_run += len(ended)
        unfinished = {
            run_id: frozenset(one.run_id for one in found if not one.has_ended)
            for run_id, found in awaited.items()
            if run_id not in ended
        }
        waits = {**self._release.upstreams.every(), **unfinished}
        # What reads what may have changed since others of them were made to wait.
        circular = frozenset().union(*Graph(waits).knots())
        held = [
            (self._planned(run), found)
            for run in lost
            if (found := unfinished.get(run.run_id)) and run.run_id not in circular
        ]
        self._release.hold(held)
        if held:
            log.warning("made to wait again, as Redis had lost them", runs=len(held))
        return ended | {one.run.run_id for one, _ in held}

    def _awaited(self, lost: Sequence[Run]) -> dict[str, list[Upstream]]:
        with self._equipment.databases.session() as session:
            manifests = self._equipment.manifests.every(session)
        graph = graph_of(self._equipment, manifests)
        tables = {one.identity: one.table_name for one in manifests}
        return self._equipment.history.upstreams.awaited(
            [
                (run.run_id, run_id_of(seeding_of(run.run_id), source), tables[source])
                for run in lost
                for source in sorted(graph.sources(manifest_identity(run.report_type, run.manifest_id)))
            ]
        )

    def _planned(self, run: Run) -> Planned:
        return planned_again(run, self._database_of, {})


def planned_again(
    run: Run, database_of: Mapping[str, int | None], usual_seconds: Mapping[str, float]
) -> Planned:
    """A recorded run whose message is made anew; it goes before those that are yet to come."""
    return Planned(
        NewRun(
            run.run_id,
            run.report_type,
            run.manifest_id,
            run.table_name,
            run.report_name,
            agency_id=0,
            agency_slug=run.agency_slug,
        ),
        database_of.get(manifest_identity(run.report_type, run.manifest_id)),
        RUN_PRIORITIES[0],
        ceil(usual_seconds.get(run.table_name, 0)),
        retries=run.attempts or 0,
    )
