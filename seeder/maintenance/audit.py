"""Audits: reports that are called unchanged are compared with their queries, and what is wrong is mended.

A difference is logged as an error, the report and what reads it are refreshed, and it isn't skipped any more
until its SQL changes or a person says so (``seeder audit --trust``).
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import psycopg2
import structlog
from celery import Celery

from seeder.broker.client import redis
from seeder.broker.messages import TROUBLE, broker_trouble
from seeder.equipment import Equipment
from seeder.errors import ManifestError, MatviewBusy
from seeder.maintenance.duties import AUDIT
from seeder.manifests import Manifest, owned
from seeder.matviews import Policy, policy_of
from seeder.matviews.freshness.audit import (
    SETTLED_SECONDS,
    Audited,
    Case,
    Verdict,
    compare,
    confirm,
    trust,
)
from seeder.matviews.freshness.unchanged import Decision
from seeder.matviews.freshness.why import Kind
from seeder.postgres.failures import judged
from seeder.run_ids import seeding_of
from seeder.seedings.fan_out import Seeding, seed
from seeder.seedings.overdue import DueTicks
from seeder.seedings.planning import Selection, scheduled_seeding_id, select
from seeder.seedings.skipping import decisions_in

log = structlog.get_logger(__name__)

#: With the seeding's id: there from the beginning of the audit that follows it.
KEY = "seeder.audited."
#: For how long one is believed to be at work, and for how long one that has ended is remembered, in seconds.
AT_WORK_SECONDS, REMEMBERED_SECONDS = 2 * 3600, 3 * 86400
#: No comparison begins later than so long after the audit.
LATEST_SECONDS = 3600.0


@dataclass(frozen=True)
class Audit:
    """What was compared, and what isn't skipped since an earlier audit found it wrong."""

    audited: tuple[Audited, ...]
    distrusted: tuple[Case, ...] = ()

    @property
    def wrong(self) -> tuple[Audited, ...]:
        return tuple(one for one in self.audited if one.verdict is Verdict.WRONG)

    @property
    def counts(self) -> dict[str, int]:
        found = Counter(str(one.verdict) for one in self.audited)
        return {str(verdict): found[verdict] for verdict in Verdict}


def audit(
    equipment: Equipment,
    selection: Selection,
    most: int,
    tell: Callable[[Audited], object] = lambda _: None,
    pause: Callable[[float], object] = time.sleep,
) -> Audit:
    """Compare ``most`` reports, by chance of those that would be skipped now; of a single table in any case.

    ``tell`` is called with each as soon as it is decided. Raises UserError; psycopg2.Error where the
    reporting database fails; the ManifestError of a single table. Else what is wrong with a report is its
    verdict.
    """
    cases = list(_cases(equipment, selection))
    distrusted = tuple(one for one in cases if Kind.DISTRUSTED in {why.kind for why in one.decision.why})
    if selection.table_name is None:
        cases = [one for one in cases if one.decision.unchanged]
        cases = random.sample(cases, min(most, len(cases)))
    until = time.monotonic() + LATEST_SECONDS
    found: list[Audited] = []
    for case in cases:
        if time.monotonic() > until:
            log.warning(
                "the audit takes too long; the rest is left to the next", left=len(cases) - len(found)
            )
            break
        found.append(_attempted(equipment, Audited(case, Verdict.UNKNOWN), compare))
        if not found[-1].in_doubt:
            tell(found[-1])
    if any(one.in_doubt for one in found):
        pause(SETTLED_SECONDS)
    for number, one in enumerate(found):
        if one.in_doubt:
            found[number] = _attempted(equipment, one, confirm)
            tell(found[number])
    done = Audit(tuple(found), distrusted)
    for one in done.wrong:
        log.error(
            "called unchanged, and it was not: it is refreshed now, and not skipped any more until its SQL "
            "changes or `seeder audit --trust` is run",
            table_name=one.case.manifest.table_name,
            agency_slug=one.case.manifest.agency_slug,
            difference=str(one.difference),
        )
    return done


def refresh_wrong(app: Celery, equipment: Equipment, done: Audit) -> Seeding | None:
    """Queue what was found wrong, and then what reads it. Raises UserError; the next seeding does it then."""
    wrong = frozenset(one.case.manifest.identity for one in done.wrong)
    return seed(app, equipment, Selection(identities=wrong, downstream=True)) if wrong else None


def audit_night(app: Celery, equipment: Equipment) -> dict[str, int]:
    """Audit SEEDER_AUDIT reports, once after each scheduled seeding, when all of it has ended.

    Raises UserError and psycopg2.Error.
    """
    most = equipment.settings.audit
    seeding_id = scheduled_seeding_id(equipment.settings, DueTicks.of(equipment).now())
    if not most or _noted(app, seeding_id) or not _is_over(equipment, seeding_id):
        return {}
    # Of several processes that come at once, one.
    if not _note(app, seeding_id, AT_WORK_SECONDS, anew=True):
        return {}
    with AUDIT.carried_out(equipment.databases) as facts:
        done = audit(equipment, Selection(), most)
        facts.update(done.counts)
    _note(app, seeding_id, REMEMBERED_SECONDS, anew=False)
    refresh_wrong(app, equipment, done)
    return done.counts


def trust_again(equipment: Equipment, table_name: str) -> bool:
    """Have a table's report skipped again; False where nobody distrusts it.

    Raises UnknownTable; DatabaseUnreachable; MatviewBusy while its run is at work; psycopg2.Error.
    """
    cases = list(_cases(equipment, Selection(table_name=table_name)))
    lifted = False
    for case in cases:
        equipment.databases.verify(case.manifest.database_id)
        with equipment.databases.session(case.manifest.database_id) as session:
            lifted |= trust(session, case)
    return lifted


def _cases(equipment: Equipment, selection: Selection) -> Iterator[Case]:
    """What may be skipped of the selection, or is a single table's, each once."""
    by_database: dict[int | None, list[tuple[Manifest, Policy]]] = {}
    for manifest in _owners(equipment, selection):
        try:
            policy = policy_of(equipment.settings).of_manifest(manifest.directives)
        except ManifestError:
            if selection.table_name is not None:
                raise
            # Its run says so.
            continue
        if policy.skip_unchanged or selection.table_name is not None:
            by_database.setdefault(manifest.database_id, []).append((manifest, policy))
    for database_id, asked in by_database.items():
        decided = decisions_in(equipment, database_id, asked)
        for manifest, policy in asked:
            yield Case(manifest, policy, decided.get(manifest.identity, Decision(None)))


def _owners(equipment: Equipment, selection: Selection) -> Iterable[Manifest]:
    """The selected manifests whose matviews are their own. Raises UnknownTable; for one table its
    ManifestError."""
    with equipment.databases.session() as session:
        manifests = equipment.manifests.every(session)
    if not manifests and selection == Selection():
        return ()
    shared = owned(manifests, equipment.databases)
    refused = {manifest.identity: error for manifest, error in shared.refused}
    chosen = select(manifests, selection)
    if selection.table_name is not None and (
        errors := [refused[one.identity] for one in chosen if one.identity in refused]
    ):
        raise errors[0]
    owners = {
        one.identity: one
        for one in (shared.sharers.get(one.identity, one) for one in chosen)
        if one.identity not in refused
    }
    return owners.values()


def _attempted(equipment: Equipment, one: Audited, step: Callable[..., Audited]) -> Audited:
    """`compare` or `confirm`; what fails about one report is its own."""
    try:
        with equipment.databases.session(one.case.manifest.database_id) as session:
            return step(session, one.case if step is compare else one)
    except MatviewBusy as busy:
        return replace(one, reason=str(busy))
    except psycopg2.Error as error:
        reason = equipment.databases.scrubbed(str(judged(error)))
        return replace(one, verdict=Verdict.UNKNOWN, reason=reason)


def _is_over(equipment: Equipment, seeding_id: str) -> bool:
    if not equipment.history.recorded([seeding_id])[0]:
        return False
    unfinished = equipment.history.unfinished(days=REMEMBERED_SECONDS // 86400, quiet_seconds=0)
    return all(seeding_of(run.run_id) != seeding_id for run in unfinished)


def _noted(app: Celery, seeding_id: str) -> bool:
    try:
        with redis(app) as client:
            return bool(client.exists(KEY + seeding_id))
    except TROUBLE as error:
        raise broker_trouble(app, error) from error


def _note(app: Celery, seeding_id: str, seconds: int, *, anew: bool) -> bool:
    """Where it must be `anew`, False if it is noted already."""
    try:
        with redis(app) as client:
            return bool(client.set(KEY + seeding_id, 1, nx=anew, ex=seconds))
    except TROUBLE as error:
        raise broker_trouble(app, error) from error
