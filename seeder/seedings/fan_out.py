"""A seeding from request to queue: read, plan, record, publish. In this order, so that no run is ever lost:
what is recorded and not published is found by the sweep."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from celery import Celery

from seeder.broker.messages import not_on_their_way, publish
from seeder.broker.planned import Planned
from seeder.broker.queues import refresh_queues
from seeder.equipment import Equipment
from seeder.errors import BrokerUnreachable, NotPublished, TableSwitchedOff, UnknownTable
from seeder.history import Recorded, Refusal
from seeder.history.held import settle
from seeder.manifests import Manifest, owned
from seeder.matviews import policy_of
from seeder.run_ids import adhoc_seeding_id, manifest_identity
from seeder.seedings import unrecorded
from seeder.seedings.graph import Graph
from seeder.seedings.order import read_graph
from seeder.seedings.overdue import DueTicks
from seeder.seedings.planning import Plan, Selection, plan, scheduled_seeding_id, select
from seeder.seedings.release import Release
from seeder.seedings.skipping import unchanged

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Seeding:
    """What a fan-out did, as its caller is told."""

    seeding_id: str
    #: Messages sent: where a tick is seeded again, only what was missing of the first time.
    queued: int
    #: Those of them that wait for what they read.
    waiting: int
    #: Manifests that can't be used: run_id → why. They are in the history as errors.
    refused: dict[str, str]
    #: Runs that needn't be done, as nothing that they read has changed: successes in the history.
    unchanged: frozenset[str]
    #: Runs that weren't begun, as what they read can't be used: run_id → why. Errors in the history, too.
    not_run: dict[str, str]
    #: Runs that the database would not hold, by a constraint of its owners: run_id → why.
    not_recorded: dict[str, str]
    #: The identities of those among them that it will, once somebody lets go of a row: the sweep sees to it.
    locked: frozenset[str]
    #: Tables of which a run waits to begin, which does the work: table_name → its run_id.
    already_queued: dict[str, str]
    #: Tables whose status row another session holds: table_name → the run, which shows once they let go.
    held: dict[str, str]
    #: The seeding's runs, whether queued now or by an earlier fan-out of the same tick.
    run_ids: tuple[str, ...]
    #: Those of them that were planned, with what each waits for.
    planned: tuple[Planned, ...] = ()

    @property
    def awaited(self) -> tuple[str, ...]:
        """The runs that do what was asked for, whoever queued them."""
        return (*self.run_ids, *self.already_queued.values())

    def as_dict(self) -> dict[str, Any]:
        return {
            "seeding_id": self.seeding_id,
            "queued": self.queued,
            "waiting": self.waiting,
            "refused": self.refused,
            "unchanged": len(self.unchanged),
            "not_run": self.not_run,
            "not_recorded": self.not_recorded,
            "already_queued": self.already_queued,
            "held": self.held,
        }


def seed(app: Celery, equipment: Equipment, selection: Selection, *, scheduled: bool = False) -> Seeding:
    """Start a seeding. Repeating a scheduled one, whole or half done, completes it and doubles nothing.

    Raises UserError: unknown agency, table or type, incomplete schema, Redis out of reach.
    """
    if not scheduled:
        return _seed(app, equipment, selection, adhoc_seeding_id(datetime.now(UTC)))
    # Which tick it is, one clock says for all hosts.
    seeding_id = scheduled_seeding_id(equipment.settings, DueTicks.of(equipment).now())
    with equipment.history.one_fan_out(seeding_id):
        return _seed(app, equipment, selection, seeding_id, scheduled=True)


def _seed(
    app: Celery, equipment: Equipment, selection: Selection, seeding_id: str, *, scheduled: bool = False
) -> Seeding:
    history = equipment.history
    repeated = scheduled and history.recorded([seeding_id])[0]
    with equipment.databases.session() as session:
        manifests = equipment.manifests.every(session)
    usual_seconds = history.usual_seconds()
    with _told_if_switched_off(equipment):
        graph = graph_of(equipment, manifests)
        made = plan(
            seeding_id,
            manifests,
            selection,
            equipment.databases,
            usual_seconds,
            graph,
            equipment.settings.on_upstream_error,
            equipment.settings.limit_of,
        )
    words = {run.run_id: told for run, told in made.not_run}
    skipped = unchanged(equipment, made, manifests)
    with history.at_once() as session:
        runs = [one.run for one in made.planned]
        upstreams = {one.run.run_id: one.upstreams for one in made.planned if one.upstreams}
        recorded = history.queue(runs, upstreams, scheduled=scheduled, session=session)
        ending = history.queue([run for run, _ in made.not_run], scheduled=scheduled, session=session)
        not_recorded = recorded.refused + ending.refused + history.refuse(made.refusals, session)
        not_run = history.upstreams.not_run(words, session)
        left = history.unchanged(skipped, session)
    waiting = _waiting(equipment, made.planned)
    try:
        if repeated:
            waiting = not_on_their_way(app, waiting, refresh_queues(equipment.settings))
        held_back = _held_back(equipment, made, waiting, recorded, left)
        # Before anything is published, so that none of this seeding ends before its readers wait for it.
        with closing(Release(app, equipment)) as release:
            release.hold([(one, held_back[one.run.run_id]) for one in waiting if one.run.run_id in held_back])
        publish(app, [one for one in waiting if one.run.run_id not in held_back])
    except BrokerUnreachable as error:
        raise NotPublished(seeding_id=seeding_id, count=len(waiting), **error.facts) from error
    held = settle(history, recorded.held, _pending(equipment, made.refusals))
    unheld = {one.run.run_id: one.reason for one in not_recorded}
    locked = frozenset(
        manifest_identity(one.run.report_type, one.run.manifest_id) for one in not_recorded if one.passing
    )
    unrecorded.note(app, locked)
    run_ids = tuple(
        one.run.run_id
        for one in made.planned
        if one.run.run_id not in unheld and one.run.table_name not in recorded.waiting
    )
    seeding = Seeding(
        seeding_id,
        queued=len(waiting),
        waiting=len(held_back),
        refused={one.run.run_id: one.errors for one in made.refusals},
        unchanged=left,
        not_run={run_id: words[run_id] for run_id in sorted(not_run)},
        not_recorded=unheld,
        locked=locked,
        already_queued=recorded.waiting,
        held={run.table_name: run.run_id for run in held},
        run_ids=run_ids,
        planned=made.planned,
    )
    log.info(
        "seeding queued",
        seeding_id=seeding_id,
        queued=seeding.queued,
        waiting=seeding.waiting,
        already_queued=len(seeding.already_queued),
        refused=len(seeding.refused),
        unchanged=len(seeding.unchanged),
        not_run=len(seeding.not_run),
    )
    for table_name, run_id in seeding.held.items():
        log.warning(
            "another session holds the table's status row; the run shows once they let go",
            table_name=table_name,
            run_id=run_id,
        )
    for one in not_recorded:
        tell = log.warning if one.passing else log.error
        tell("run not recorded, so not queued", run_id=one.run.run_id, reason=one.reason)
    return seeding


def of_tables(equipment: Equipment, names: Iterable[str]) -> Selection:
    """The manifests of all these tables. Raises UnknownTable for the first of which there is none."""
    with equipment.databases.session() as session:
        manifests = equipment.manifests.every(session)
    with _told_if_switched_off(equipment):
        found = [one for name in names for one in select(manifests, Selection(table_name=name))]
    return Selection(identities=frozenset(one.identity for one in found))


@contextmanager
def _told_if_switched_off(equipment: Equipment) -> Iterator[None]:
    """A block in which no manifest that is on may be of a table."""
    try:
        yield
    except UnknownTable as error:
        with equipment.databases.session() as session:
            if equipment.manifests.has_table(session, error.table_name):
                raise TableSwitchedOff(**error.facts) from None
        raise


def graph_of(equipment: Equipment, manifests: Sequence[Manifest]) -> Graph:
    """What the manifests read of each other, by the databases as they are now."""
    shared = owned(manifests, equipment.databases)
    return read_graph(equipment.databases, shared, policy_of(equipment.settings))


def _held_back(
    equipment: Equipment,
    made: Plan,
    waiting: Sequence[Planned],
    recorded: Recorded,
    left: frozenset[str],
) -> dict[str, frozenset[str]]:
    """Of the runs that are to be queued those that wait, each with the runs that it waits for: of this
    seeding, or of another where that refreshes what it reads."""
    own = {one.run.run_id: one.run.table_name for one in made.planned}
    instead = {run_id: recorded.waiting[table] for run_id, table in own.items() if table in recorded.waiting}
    unheld = {one.run.run_id for one in recorded.refused}
    elsewhere = {table for one in waiting for table in made.elsewhere.get(one.run.run_id, ())}
    others = equipment.history.upstreams.unfinished(elsewhere, made.seeding_id)
    found = {
        one.run.run_id: frozenset(
            [
                *(instead.get(run_id, run_id) for run_id in one.upstreams - unheld - left),
                *(
                    run_id
                    for table in made.elsewhere.get(one.run.run_id, ())
                    for run_id in others.get(table, ())
                ),
            ]
        )
        for one in waiting
    }
    return {run_id: upstreams for run_id, upstreams in found.items() if upstreams}


def _waiting(equipment: Equipment, planned: tuple[Planned, ...]) -> list[Planned]:
    """Those recorded and not yet taken: of a repeated fan-out most are over by now."""
    pending = equipment.history.still_pending(_ids(planned))
    return [one for one in planned if one.run.run_id in pending]


def _pending(equipment: Equipment, refusals: tuple[Refusal, ...]) -> list[Refusal]:
    """Those that couldn't be ended at once."""
    if not refusals:
        return []
    pending = equipment.history.still_pending([one.run.run_id for one in refusals])
    return [one for one in refusals if one.run.run_id in pending]


def _ids(planned: tuple[Planned, ...]) -> list[str]:
    return [one.run.run_id for one in planned]
