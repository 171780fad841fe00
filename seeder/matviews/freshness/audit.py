"""A matview against its query, under one snapshot and both ways: the check of what was called unchanged.

What differs is not wrong yet: a source may have been written to since, and no counter shows that within a
minute (docs/decisions/unchanged.md). `confirm` therefore decides, no sooner than SETTLED_SECONDS after
`compare`: where the counters still know of nothing, what differed then had been called unchanged wrongly.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property

import psycopg2

from seeder.errors import ManifestError
from seeder.manifests import Manifest
from seeder.matviews import stamp
from seeder.matviews.freshness.distrust import Difference, Distrust
from seeder.matviews.freshness.unchanged import Decision, decisions
from seeder.matviews.freshness.why import told
from seeder.matviews.limits import under_limits
from seeder.matviews.locks import lock
from seeder.matviews.locks.lock_key import key_of
from seeder.matviews.policy import Policy
from seeder.postgres.failures import judged
from seeder.postgres.session import OWN_PATH, Session

#: After so long a look proves what there was at a moment before it.
SETTLED_SECONDS = 65.0

#: Rows as text, since not every type can be compared; each as often as it is there. One statement has one
#: snapshot, whatever its parts read. MATERIALIZED has the same text executed each time that it stands here.
COMPARE = """
with kept as materialized (
    select m::text as line, count(*) as times from (
{kept}
    ) as m group by 1
), given as materialized (
    select q::text as line, count(*) as times from (
{query}
    ) as q group by 1
)
select coalesce(sum(greatest(coalesce(given.times, 0) - coalesce(kept.times, 0), 0)), 0)::bigint as missing,
       coalesce(sum(greatest(coalesce(kept.times, 0) - coalesce(given.times, 0), 0)), 0)::bigint as extra
from kept full join given using (line)
"""

#: Sums of floating-point numbers depend in their last digits on the order of the rows, which is nobody's.
LOOK_ONLY = "set transaction read only;\nset local extra_float_digits = 0;\n"

ALL_OF = "select * from {matview}"

COMMENT_OF = "select obj_description(to_regclass(%(matview)s), 'pg_class') as comment"
COMMENT = "comment on materialized view {matview} is %(comment)s"

STAMPED = """
select d.description as comment
from pg_description as d
join pg_class as c on c.oid = d.objoid and c.relkind = 'm'
where d.classoid = 'pg_class'::regclass and d.objsubid = 0 and strpos(d.description, %(mark)s) > 0
"""

NO_DIFFERENCE = Difference(0, 0)


class Verdict(StrEnum):
    #: The matview holds what its query gives.
    EQUAL = "equal"
    #: It differs, and would have been refreshed for it: nothing had been proved of it.
    BEHIND = "behind"
    #: It differs, and had been called unchanged.
    WRONG = "wrong"
    #: It could not be compared.
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Case:
    """A report to compare, under the policy that is its own, and what is decided of it now."""

    manifest: Manifest
    policy: Policy
    decision: Decision


@dataclass(frozen=True)
class Audited:
    case: Case
    verdict: Verdict
    difference: Difference = NO_DIFFERENCE
    #: For people: why it is behind, or could not be compared.
    reason: str = ""

    @cached_property
    def in_doubt(self) -> bool:
        """Whether it is called unchanged and differs, which `confirm` decides."""
        return self.verdict is Verdict.BEHIND and self.case.decision.unchanged


def compare(session: Session, case: Case) -> Audited:
    """What differs is BEHIND for now. Raises nothing but where the connection is lost: psycopg2.Error."""
    try:
        with under_limits(session, case.policy.limits):
            found = difference(session, case.manifest, case.policy)
    except (ManifestError, psycopg2.Error) as error:
        if session.closed and isinstance(error, psycopg2.Error):
            raise
        why = judged(error) if isinstance(error, psycopg2.Error) else error
        return Audited(case, Verdict.UNKNOWN, reason=str(why))
    if not found:
        return Audited(case, Verdict.EQUAL)
    return Audited(case, Verdict.BEHIND, found, told(case.decision.why))


def confirm(session: Session, found: Audited) -> Audited:
    """Decide what was in doubt; where it is wrong, it isn't skipped from now on.

    Raises MatviewBusy where its run is at work, and psycopg2.Error.
    """
    case = found.case
    asked = [(case.manifest, case.policy)]
    now = decisions(session, asked, case.policy.limits.search_path)[case.manifest.identity]
    if now.evidence is None:
        return replace(found, reason=told(now.why))
    if now.evidence != case.decision.evidence:
        return replace(found, reason="it was refreshed meanwhile")
    try:
        with under_limits(session, case.policy.limits):
            steady = not _between(session, case, case.manifest.query.text)
    except psycopg2.Error as error:
        if session.closed:
            raise
        return replace(found, verdict=Verdict.UNKNOWN, reason=str(judged(error)))
    if not steady:
        return replace(
            found, verdict=Verdict.UNKNOWN, reason="its query gives other rows each time that it is run"
        )
    distrusted = Distrust.because(found.difference)
    if not _note(session, case, distrusted):
        return replace(found, reason="it was refreshed meanwhile")
    return replace(found, verdict=Verdict.WRONG)


def trust(session: Session, case: Case) -> bool:
    """Have it skipped again; False where it was distrusted by nobody. Raises as `confirm` does."""
    return _note(session, case, None)


def found_wrong(session: Session) -> dict[str, Distrust]:
    """All that isn't skipped for that in a database, by the manifests' identities. Raises psycopg2.Error."""
    rows = session.rows(STAMPED, mark='"distrust": ')
    stamps = (stamp.read(row.comment) for row in rows)
    return {one.manifest: one.distrust for one in stamps if one and one.distrust}


def difference(session: Session, manifest: Manifest, policy: Policy) -> Difference:
    """Between the matview's rows and those that the manifest's SQL gives now.

    `policy` is the manifest's own. Raises ManifestError and psycopg2.Error.
    """
    return _between(
        session, Case(manifest, policy, Decision(None)), ALL_OF.format(matview=manifest.matview.quoted)
    )


def _between(session: Session, case: Case, kept: str) -> Difference:
    text = COMPARE.format(kept=kept, query=case.manifest.query.text)
    with session.transaction():
        session.run_text(LOOK_ONLY + case.policy.as_manifest)
        # To psycopg2 a % begins a value.
        row = session.row(text.replace("%", "%%"), nothing=None)
    return Difference(row.missing, row.extra)


def _note(session: Session, case: Case, distrusted: Distrust | None) -> bool:
    """Write it into the stamp, if that is still what was looked at, while no run can."""
    matview = case.manifest.matview
    if not lock.try_lock(session, key_of(matview)):
        raise lock.busy(session, matview)
    try:
        with session.transaction():
            session.run_text(case.policy.set_role + OWN_PATH)
            comment = session.row(COMMENT_OF, matview=matview.quoted).comment
            there = stamp.read(comment)
            if there is None or (distrusted is None and there.distrust is None):
                return False
            if distrusted and there.evidence != case.decision.evidence:
                return False
            new = replace(there, distrust=distrusted, evidence=None)
            session.run(COMMENT.format(matview=matview.quoted), comment=stamp.written(comment, new))
    finally:
        if not session.closed:
            lock.unlock(session, key_of(matview))
    return True
