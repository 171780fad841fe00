"""A seeding from request to queue: read, plan, record, publish. In this order, so that no run is ever lost:
what is recorded and not published is found by the sweep."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
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
from seeder.history import Refusal
from seeder.history.held import settle
from seeder.seedings import unrecorded
from seeder.seedings.overdue import DueTicks
from seeder.seedings.planning import Selection, adhoc_seeding_id, plan, scheduled_seeding_id, select

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Seeding:
    """What a fan-out did, as its caller is told."""

    seeding_id: str
    #: Messages sent: where a tick is seeded again, only what was missing of the first time.
    queued: int
    #: Manifests that can't be used: run_id → why. They are in the history as errors.
    refused: dict[str, str]
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

    @property
    def awaited(self) -> tuple[str, ...]:
        """The runs that do what was asked for, whoever queued them."""
        return (*self.run_ids, *self.already_queued.values())

    def as_dict(self) -> dict[str, Any]:
        return {
            "seeding_id": self.seeding_id,
            "queued": self.queued,
            "refused": self.refused,
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
        made = plan(seeding_id, manifests, selection, equipment.databases, usual_seconds)
    with history.at_once() as session:
        recorded = history.queue([one.run for one in made.planned], scheduled=scheduled, session=session)
        not_recorded = recorded.refused + history.refuse(made.refusals, session)
    waiting = _waiting(equipment, made.planned)
    try:
        if repeated:
            waiting = not_on_their_way(app, waiting, refresh_queues(equipment.settings))
        publish(app, waiting)
    except BrokerUnreachable as error:
        raise NotPublished(seeding_id=seeding_id, count=len(waiting), **error.facts) from error
    held = settle(history, recorded.held, _pending(equipment, made.refusals))
    unheld = {one.run.run_id: one.reason for one in not_recorded}
    locked = frozenset(f"{one.run.report_type}-{one.run.manifest_id}" for one in not_recorded if one.passing)
    unrecorded.note(app, locked)
    run_ids = tuple(
        one.run.run_id
        for one in made.planned
        if one.run.run_id not in unheld and one.run.table_name not in recorded.waiting
    )
    seeding = Seeding(
        seeding_id,
        queued=len(waiting),
        refused={one.run.run_id: one.errors for one in made.refusals},
        not_recorded=unheld,
        locked=locked,
        already_queued=recorded.waiting,
        held={run.table_name: run.run_id for run in held},
        run_ids=run_ids,
    )
    log.info(
        "seeding queued",
        seeding_id=seeding_id,
        queued=seeding.queued,
        already_queued=len(seeding.already_queued),
        refused=len(seeding.refused),
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
            if equipment.manifests.has_table(session, error.facts["table_name"]):
                raise TableSwitchedOff(**error.facts) from None
        raise


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
