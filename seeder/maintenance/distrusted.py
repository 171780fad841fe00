"""Which reports aren't skipped any more since an audit found them wrong, from their matviews' comments."""

from collections.abc import Collection
from dataclasses import dataclass

import psycopg2
import structlog

from seeder.matviews.freshness.audit import found_wrong
from seeder.matviews.freshness.distrust import Distrust
from seeder.postgres.databases import Databases
from seeder.postgres.failures import one_line

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Distrusted:
    """A report that was called unchanged and was not, and what was found."""

    table_name: str
    agency_slug: str
    manifest: str
    found: Distrust

    def __str__(self) -> str:
        return (
            f"{self.table_name} (agency {self.agency_slug}) isn't skipped: an audit found it wrong "
            f"{self.found}. When you know why: seeder audit --trust {self.table_name}"
        )


def distrusted(databases: Databases, reports: Collection[tuple[str, str, str]]) -> list[Distrusted]:
    """Of these, given as manifest, table and agency. What another database than the reporting one can't
    tell is left out. Raises psycopg2.Error."""
    found: dict[str, Distrust] = {}
    for database_id in databases:
        if databases.first_name(database_id) != database_id:
            continue
        try:
            with databases.session(database_id) as session:
                found |= found_wrong(session)
        except psycopg2.Error as error:
            if database_id is None:
                raise
            reason = databases.scrubbed(one_line(error))
            log.warning("can't ask a database for audits", database_id=database_id, reason=reason)
    return [
        Distrusted(table_name, agency_slug, manifest, found[manifest])
        for manifest, table_name, agency_slug in sorted(reports)
        if manifest in found
    ]
