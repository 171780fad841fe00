"""Which runs of a seeding needn't be done, as nothing that they read has changed: before any is queued.

One look per database for all of them. What isn't decided here is decided when the run begins, as is whatever
reads something that is refreshed in the same seeding, or in another one now.
"""

from collections.abc import Iterable, Mapping, Sequence

import psycopg2
import structlog

from seeder.equipment import Equipment
from seeder.errors import DatabaseUnreachable, ManifestError
from seeder.history import Unchanged
from seeder.manifests import Manifest
from seeder.matviews import Policy, policy_of
from seeder.matviews.freshness.unchanged import Decision, decisions
from seeder.postgres.failures import one_line
from seeder.run_ids import identity_of
from seeder.seedings.planning import Plan
from seeder.sql.expectations import Fresh

log = structlog.get_logger(__name__)


def unchanged(equipment: Equipment, made: Plan, manifests: Iterable[Manifest]) -> list[Unchanged]:
    """Of the planned runs, each of which comes after those that it waits for.

    Where a database can't be asked its runs are done: this is a shortcut, and no condition.
    """
    by_run = _that_may_be_skipped(equipment, made, manifests)
    by_database: dict[int | None, list[tuple[Manifest, Policy]]] = {}
    for manifest, policy in by_run.values():
        by_database.setdefault(manifest.database_id, []).append((manifest, policy))
    decided: dict[str, Decision] = {}
    for database_id, asked in by_database.items():
        decided |= decisions_in(equipment, database_id, asked)
    found: dict[str, Unchanged] = {}
    for one in made.planned:
        run_id = one.run.run_id
        if run_id not in by_run or not one.upstreams <= found.keys():
            continue
        decision = decided.get(by_run[run_id][0].identity)
        if decision and (evidence := decision.evidence):
            found[run_id] = Unchanged(run_id, evidence.records, evidence.total_bytes, decision.note)
    return list(found.values())


def _that_may_be_skipped(
    equipment: Equipment, made: Plan, manifests: Iterable[Manifest]
) -> Mapping[str, tuple[Manifest, Policy]]:
    """By run_id. What is held against the clock as well (``fresh``) is left to its run, which does that."""
    general = policy_of(equipment.settings)
    by_identity = {one.identity: one for one in manifests}
    elsewhere = {table for tables in made.elsewhere.values() for table in tables}
    refreshed = equipment.history.upstreams.unfinished(elsewhere, made.seeding_id)
    found = {}
    for one in made.planned:
        manifest = by_identity[identity_of(one.run.run_id)]
        if not refreshed.keys().isdisjoint(made.elsewhere.get(one.run.run_id, ())):
            continue
        try:
            policy = general.of_manifest(manifest.directives)
        except ManifestError:
            # Its run says so.
            continue
        if policy.skip_unchanged and not any(isinstance(check, Fresh) for check in policy.expect):
            found[one.run.run_id] = (manifest, policy)
    return found


def decisions_in(
    equipment: Equipment, database_id: int | None, asked: Sequence[tuple[Manifest, Policy]]
) -> dict[str, Decision]:
    """By identity, of manifests of one database; of one that can't be asked nothing."""
    search_path = policy_of(equipment.settings).limits.search_path
    try:
        with equipment.databases.session(database_id) as session:
            return decisions(session, asked, search_path)
    except (DatabaseUnreachable, psycopg2.Error) as error:
        reason = equipment.databases.scrubbed(one_line(error))
        log.warning(
            "what is unchanged can't be asked, so nothing there counts as unchanged",
            database_id=database_id,
            reason=reason,
        )
        return {}
