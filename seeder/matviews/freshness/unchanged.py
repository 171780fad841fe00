"""Which matviews are provably what their queries would give, as of a minute before: decided for all of a
database at once, in as many statements as for one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from seeder.manifests import Manifest
from seeder.matviews import stamp
from seeder.matviews.freshness.analysis import hindrances
from seeder.matviews.freshness.evidence import Evidence, changes
from seeder.matviews.freshness.reading import Sight, look, look_at_all
from seeder.matviews.freshness.sessions import Others, others
from seeder.matviews.freshness.why import Kind, Why, told
from seeder.matviews.policy import Policy
from seeder.matviews.stamp import Stamp
from seeder.postgres.session import Session

#: What bears the names; an owner of several names of one kind is no business of ours.
OIDS = """
select asked.number, c.oid::bigint
from unnest(cast(%(schemas)s as name[]), cast(%(names)s as name[]))
     with ordinality as asked (schema, name, number)
join pg_namespace as n on n.nspname = asked.schema
join pg_class as c on c.relnamespace = n.oid and c.relname = asked.name and c.relkind = 'm'
"""


@dataclass(frozen=True)
class Decision:
    """Whether a run needn't be done, and why it must."""

    #: What proves it; None where it must be done.
    evidence: Evidence | None
    why: tuple[Why, ...] = ()

    @property
    def unchanged(self) -> bool:
        return self.evidence is not None

    @property
    def note(self) -> str:
        """Of the run that isn't done."""
        if self.evidence is None:
            return ""
        since = datetime.fromtimestamp(self.evidence.at, UTC)
        count = self.evidence.count
        none = (
            "it reads no table"
            if not count
            else "its source wasn't written to"
            if count == 1
            else f"none of its {count} sources was written to"
        )
        return f"Unchanged since {since:%Y-%m-%d %H:%M:%S} UTC: {none}."

    def __str__(self) -> str:
        return self.note or f"Not unchanged: {told(self.why)}."


def decisions(
    session: Session, manifests: Sequence[tuple[Manifest, Policy]], search_path: Sequence[str]
) -> dict[str, Decision]:
    """By the manifests' identities; all of one database, each with its own policy. Outside a transaction.

    Raises psycopg2.Error.
    """
    found = session.rows(
        OIDS,
        schemas=[manifest.matview.schema for manifest, _ in manifests],
        names=[manifest.matview.name for manifest, _ in manifests],
    )
    oids = {row.number - 1: row.oid for row in found}
    # First who may have written without being counted, then the counters.
    about = others(session)
    sights = look_at_all(session, list(oids.values()), search_path)
    return {
        manifest.identity: decision(manifest, policy, sights.get(oids.get(number, 0)), about)
        for number, (manifest, policy) in enumerate(manifests)
    }


def decision_of_run(session: Session, manifest: Manifest, policy: Policy, sight: Sight) -> Decision:
    """At the start of a run, from the look that is its evidence if it is done.

    Most that are refreshed have changed, which that look shows; only where it doesn't, the sessions are
    asked, and the counters after them. Outside a transaction. Raises psycopg2.Error.
    """
    first = decision(manifest, policy, sight, Others())
    if not first.unchanged:
        return first
    about = others(session)
    return decision(manifest, policy, look(session, sight.oid, policy.limits.search_path), about)


def foreseen(session: Session, oid: int, manifest: Manifest, policy: Policy) -> Decision:
    """The same without a run, for people: with what keeps its evidence from being taken at all."""
    sight = look(session, oid, policy.limits.search_path)
    if sight is None:
        return _must(Why(Kind.NOT_THERE))
    told = decision_of_run(session, manifest, policy, sight)
    if told.why != (Why(Kind.NO_EVIDENCE),):
        return told
    return _must(*(hindrances(session, oid) or told.why))


def decision(manifest: Manifest, policy: Policy, sight: Sight | None, about: Others) -> Decision:
    """From what was seen."""
    if sight is None or not sight.populated:
        return _must(Why(Kind.NOT_THERE))
    there = stamp.read(sight.comment)
    if there is None or there.manifest != manifest.identity:
        return _must(Why(Kind.SQL))
    if there.source != manifest.source(policy.allowed_functions):
        return _must(Why(Kind.SQL))
    if there.distrust:
        return _must(Why(Kind.DISTRUSTED, str(there.distrust)))
    if not sight.owned:
        return _must(Why(Kind.NOT_OWNER, sight.owner))
    if reasons := sight.hindrances:
        return _must(*reasons)
    return _by_evidence(there, policy, sight, about)


def _by_evidence(there: Stamp, policy: Policy, sight: Sight, about: Others) -> Decision:
    if there.evidence is None:
        return _must(Why(Kind.NO_EVIDENCE))
    reasons = list(changes(there.evidence, sight, policy.terms))
    reasons += (Why(Kind.BEING_WRITTEN, one.name) for one in sight.sources if one.being_written)
    if there.evidence.at <= about.doubtful_until:
        reasons += about.why
    return _must(*reasons) if reasons else Decision(there.evidence)


def _must(*why: Why) -> Decision:
    return Decision(None, why)
