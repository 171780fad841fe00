"""Prunes: deletes old runs from the record, and drops the copies of matviews that dead runs left behind."""

from typing import TypedDict

import psycopg2
import structlog

from seeder.equipment import Equipment
from seeder.history import HistoryRepository
from seeder.maintenance.duties import PRUNE
from seeder.matviews import discard_leftovers
from seeder.postgres.databases import Databases
from seeder.postgres.failures import one_line

log = structlog.get_logger(__name__)


#: If deleting so few rows takes too long, the number of rows isn't the reason.
SMALLEST_BATCH = 50


class Pruned(TypedDict):
    copies: list[str]
    deleted: int


def prune(equipment: Equipment) -> Pruned:
    """Returns how many runs were deleted, and which copies dropped. A database that is down is skipped."""
    with PRUNE.carried_out(equipment.databases) as facts:
        copies = facts["copies"] = _drop_copies(equipment.databases)
        deleted = facts["deleted"] = _delete_runs(equipment.history, equipment.settings.history_days)
    return Pruned(copies=copies, deleted=deleted)


def _delete_runs(history: HistoryRepository, days: int) -> int:
    """In batches, which get smaller if a statement takes too long."""
    deleted, batch = 0, PRUNE.batch
    while True:
        try:
            count = history.prune(days, batch)
        except psycopg2.errors.QueryCanceled:
            batch //= 4
            if batch < SMALLEST_BATCH:
                raise
            log.warning("deleting old runs takes too long; fewer are deleted at a time", batch=batch)
            continue
        deleted += count
        if count < batch:
            return deleted


def _drop_copies(databases: Databases) -> list[str]:
    copies = []
    for database_id in databases:
        if databases.first_name(database_id) != database_id:
            continue
        try:
            with databases.session(database_id) as session:
                copies += [str(name) for name in discard_leftovers(session)]
        except psycopg2.Error as error:
            reason = databases.scrubbed(one_line(error))
            log.warning("can't look for copies of dead runs", database_id=database_id, reason=reason)
    return copies
