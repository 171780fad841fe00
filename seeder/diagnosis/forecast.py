"""Tells what the next run of each manifest would do, and why. Decides as a run does, and changes nothing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import psycopg2

from seeder.config.settings import OnUpstreamError
from seeder.diagnosis.check import Problem, rights_of_all
from seeder.diagnosis.ordering import Sources, sources_of
from seeder.diagnosis.survey import looking, survey
from seeder.errors import ManifestError, Position, QueryFailed, SeederError
from seeder.history import Job
from seeder.manifests import Manifest, owned
from seeder.matviews import Action, Decision, Method, Policy, decide, glance, verify_feasible
from seeder.matviews.freshness.unchanged import foreseen
from seeder.matviews.query.estimate import definition_diff, estimate, key_index
from seeder.matviews.query.rights import Rights, with_reader
from seeder.postgres.databases import Databases, named_elsewhere
from seeder.postgres.failures import in_place, judged
from seeder.postgres.session import Session
from seeder.seedings.graph import Graph
from seeder.seedings.planning import UNORDERED, Selection, select
from seeder.wording import lasted, shortened

ERROR = "error"
SHARED = "shared"
UNCHANGED = "unchanged"
NOT_RUN = "not run"

UNMADE = (
    "Neither it nor what it reads is there yet; that is made first, and only then can PostgreSQL say more."
)


@dataclass(frozen=True)
class Forecast:
    """A manifest, and what its next run would do."""

    report_type: str
    manifest_id: int
    table_name: str
    report_name: str
    agency_slug: str
    database_id: int | None
    #: "create", "refresh plain", "refresh concurrently", "refresh swap", "rebuild", "unchanged" where nothing
    #: need be done, "error", "not run" where what it reads would fail; "shared" where another's run does it.
    action: str
    #: Why it would be that, in a sentence.
    why: str
    #: The manifest whose run it is, ``custom-12``, where it is another's.
    owner: str | None = None
    #: What the planner thinks of the query, in its own units; None where it could not be asked.
    cost: float | None = None
    estimated_rows: int | None = None
    #: The unique index that lets it be refreshed concurrently.
    index: str | None = None
    #: How long the last finished run took.
    last_seconds: float | None = None
    #: Line and column of the manifest's SQL that the error is about.
    position: Position | None = None
    #: From the matview's definition to the manifest's, as a unified diff; None where they mean the same.
    diff: str | None = None
    #: In which step it is refreshed: 1 waits for nothing, each other for one of the step before.
    step: int | None = None
    #: The tables of those that it waits for.
    waits_for: tuple[str, ...] = ()
    #: When it would begin and end, in seconds from the seeding's beginning, if each run takes as long as
    #: usual; None where it isn't run, or nothing is known (seeder.diagnosis.expectation).
    begins_seconds: float | None = None
    ends_seconds: float | None = None
    #: Whether the seeding would be shorter if this were.
    is_critical: bool = False

    @property
    def is_run(self) -> bool:
        """Whether a run of its own would refresh, create or rebuild its matview."""
        return self.action not in (ERROR, NOT_RUN, UNCHANGED, SHARED)


def forecast(
    databases: Databases,
    manifests: Sequence[Manifest],
    jobs: Sequence[Job],
    selection: Selection,
    policy: Policy,
    tell: Callable[[int], object] = lambda _: None,
    graph: Graph = UNORDERED,
    on_upstream_error: OnUpstreamError = OnUpstreamError.SKIP,
) -> list[Forecast]:
    """One for each selected manifest, in the manifests' order.

    `graph` tells by identity what each reads. `tell` is called, from several threads, with how many more of
    them are done. Raises UnknownAgency or UnknownTable.
    """
    shared = owned(manifests, databases)
    selected = select(manifests, selection)
    refused = {manifest.identity: error for manifest, error in shared.refused}
    seconds = {
        (job.report_type, job.manifest_id): lasted(job.duration_seconds, job.start_time, job.finish_time)
        for job in jobs
        if job.status
    }
    told = {
        one.identity: _of(one, ERROR, str(refused[one.identity]))
        for one in selected
        if one.identity in refused
    }
    owners = [shared.sharers.get(one.identity, one) for one in selected if one.identity not in refused]
    owners = list({one.identity: one for one in owners}.values())
    policies: dict[str, Policy] = {}
    for one in owners:
        try:
            policies[one.identity] = policy.of_manifest(one.directives)
        except ManifestError as error:
            told[one.identity] = _error(one, error)
    usable = [one for one in owners if one.identity in policies]
    sources = sources_of(graph, manifests)
    tell(len(selected) - len(usable))
    rights = rights_of_all(databases, [(one, policies[one.identity]) for one in usable])

    def ask(group: Sequence[Manifest]) -> Forecast:
        (manifest,) = group
        tell(1)
        its, own = rights[manifest.identity], policies[manifest.identity]
        if isinstance(its, Problem):
            return _of(manifest, ERROR, its.problem)
        if its.problem:
            return _error(manifest, its.problem)
        with looking(databases, manifest.database_id, own.limits) as session:
            return _foreseen(session, manifest, own, its, sources)

    foreseen = survey(ask, [[one] for one in usable])
    told.update(zip((one.identity for one in usable), foreseen, strict=True))
    told = _in_order(told, sources, on_upstream_error)
    for one in selected:
        if owner := shared.sharers.get(one.identity):
            told[one.identity] = _shared(one, owner, told[owner.identity])
    return [
        replace(told[one.identity], last_seconds=seconds.get((one.report_type, one.manifest_id)))
        for one in selected
    ]


def _in_order(
    told: dict[str, Forecast], sources: Sources, on_upstream_error: OnUpstreamError
) -> dict[str, Forecast]:
    """With what waits for what, and what isn't run as what it reads would fail."""
    inner = sources.graph.within(told)
    steps = inner.levels(told)
    found = {
        identity: replace(
            one,
            step=steps[identity] + 1 if identity in steps else None,
            waits_for=tuple(sorted(told[source].table_name for source in inner.sources(identity))),
        )
        for identity, one in told.items()
    }
    for identity in found.keys() & sources.in_circles:
        found[identity] = replace(found[identity], action=ERROR, why=str(sources.circular(identity)))
    if on_upstream_error is OnUpstreamError.REFRESH:
        return found
    for root in sorted(identity for identity, one in found.items() if one.action == ERROR):
        for reader in inner.downstream([root]):
            if found[reader].action not in (ERROR, NOT_RUN):
                why = f"It reads {found[root].table_name}, which would end in an error."
                found[reader] = replace(found[reader], action=NOT_RUN, why=why)
    return found


def _foreseen(
    session: Session, manifest: Manifest, policy: Policy, its: Rights, sources: Sources
) -> Forecast:
    where = named_elsewhere(manifest.database_id)
    try:
        found = glance(session, manifest.matview, policy.limits.search_path)
    except psycopg2.Error as error:
        return _error(manifest, in_place(judged(error), where))
    try:
        decision = decide(session, manifest, found, policy)
        verify_feasible(session, manifest, found, decision, policy)
        asker = replace(policy, role=its.reader) if its.ask_reader else policy
        asked = its.as_role or its.ask_reader
        thought = estimate(session, manifest.query, asker) if asked else None
    except SeederError as error:
        unmade = isinstance(error, QueryFailed) and found.kind is None
        if unmade and sources.are_unmade(session, manifest, error, policy.limits.search_path):
            return _of(manifest, "create", UNMADE)
        oid = found.oid if found.kind == "m" else None
        told = with_reader(error, its.reader) if isinstance(error, QueryFailed) else error
        told = in_place(told, where, policy.limits.directive)
        return replace(_error(manifest, told), diff=_diff(session, manifest, oid, policy))
    index = key_index(session, found.oid) if decision.method is Method.CONCURRENTLY and found.oid else None
    action, why = _words(decision, index, populated=bool(found.populated))
    if policy.skip_unchanged and decision.action is Action.REFRESH and found.oid and not decision.why:
        try:
            skipped = foreseen(session, found.oid, manifest, policy)
        except psycopg2.Error as error:
            return _of(manifest, ERROR, str(in_place(judged(error), where)))
        action = UNCHANGED if skipped.unchanged else action
        why = str(skipped) if skipped.unchanged else f"{skipped} {why or ''}".rstrip()
    return _of(
        manifest,
        action,
        why,
        cost=thought and thought.cost,
        estimated_rows=thought and thought.rows,
        index=index,
        diff=_diff(session, manifest, found.oid, policy)
        if decision.note or decision.action is Action.REBUILD
        else None,
    )


#: Why it is refreshed that way, where nothing else was asked for.
WHYS = {
    Method.PLAIN: "Readers wait until it is done.",
    Method.SWAP: "It is built anew beside the old one, which readers go on reading meanwhile.",
}


def _words(decision: Decision, index: str | None, *, populated: bool) -> tuple[str, str]:
    """The action, and why."""
    if decision.action is Action.CREATE:
        return "create", "The materialized view is not there yet."
    if decision.action is Action.REBUILD:
        replaced = "The manifest's definition will take its place." if decision.unmanaged else None
        meanwhile = "Readers go on reading the old rows meanwhile."
        return "rebuild", " ".join(filter(None, (decision.why, replaced, meanwhile)))
    why = decision.reason or (WHYS.get(decision.method) if decision.method else None)
    if decision.method is Method.CONCURRENTLY:
        why = f"The unique index {index} lets readers go on meanwhile."
    elif not populated:
        why = decision.reason or "It holds no rows yet."
    adopted = "It was made without seeder and means the same, so it is adopted." if decision.adopted else None
    of_both = decision.weighed.choice.outlook if decision.weighed else None
    return f"refresh {decision.method}", " ".join(filter(None, (adopted, decision.note, why, of_both)))


def _diff(session: Session, manifest: Manifest, oid: int | None, policy: Policy) -> str | None:
    if oid is None:
        return None
    try:
        return definition_diff(session, oid, manifest.query, policy) or None
    except SeederError:
        return None


def _shared(manifest: Manifest, owner: Manifest, its: Forecast) -> Forecast:
    whose = f"{owner.identity} ({owner.report_name}, agency {owner.agency_slug})"
    return _of(
        manifest,
        ERROR if its.action == ERROR else SHARED,
        f"The run of {whose} does it: {its.action}.",
        owner=owner.identity,
        step=its.step,
        waits_for=its.waits_for,
        cost=its.cost,
        estimated_rows=its.estimated_rows,
    )


def _error(manifest: Manifest, error: SeederError) -> Forecast:
    position = error.position if isinstance(error, ManifestError) else None
    return _of(manifest, ERROR, str(error), position=position)


def _of(manifest: Manifest, action: str, why: str, **more: object) -> Forecast:
    return Forecast(
        manifest.report_type,
        manifest.manifest_id,
        manifest.table_name,
        manifest.report_name,
        manifest.agency_slug,
        manifest.database_id,
        action,
        shortened(why),
        **more,  # type: ignore[arg-type]
    )
