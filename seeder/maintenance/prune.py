"""What nobody needs any more: old runs in the record, and the copies that dead runs left in the databases."""

from typing import Any

import psycopg2
import structlog

from seeder.equipment import Equipment
from seeder.matviews import discard_leftovers
from seeder.postgres.failures import one_line

log = structlog.get_logger(__name__)


def prune(equipment: Equipment) -> dict[str, Any]:
    """Returns how many runs were deleted, and which copies dropped. A database that is down keeps its own."""
    databases = equipment.databases
    copies = []
    for database_id in databases:
        if databases.first_name(database_id) != database_id:
            continue
        try:
            with databases.session(database_id) as session:
                copies += [str(name) for name in discard_leftovers(session)]
        except psycopg2.Error as error:
            reason = databases.scrubbed(one_line(error))
            log.warning("leftover copies can't be looked for", database_id=database_id, reason=reason)
    return {"deleted": equipment.history.prune(equipment.settings.history_days), "copies": copies}
