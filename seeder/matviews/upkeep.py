"""Carries out a run on its matview: creates, refreshes or rebuilds it, or raises the reason why it can't."""

from dataclasses import dataclass, replace

import psycopg2

from seeder.errors import (
    CopyUnlike,
    DependentsInTheWay,
    MatviewChanged,
    MatviewInUse,
    PartUnfit,
    QueryFailed,
)
from seeder.history import Figures
from seeder.manifests import Manifest
from seeder.matviews import indexes as indexing
from seeder.matviews import keys, stamp
from seeder.matviews.create import create
from seeder.matviews.decision import Action, Decision, decide, refuse_unfit_as_it_is
from seeder.matviews.found import Found
from seeder.matviews.freshness.reading import STATE, Sight, look
from seeder.matviews.freshness.taking import NOTHING, take
from seeder.matviews.freshness.unchanged import decision_of_run
from seeder.matviews.limits import limited
from seeder.matviews.modes.method import Method
from seeder.matviews.modes.moment import (
    YOUNGER,
    Make,
    Moment,
    Share,
    at_its_moment,
    not_concurrently,
    refreshed_since,
    snapshot_of,
)
from seeder.matviews.policy import Policy
from seeder.matviews.publishing import Requirements, fulfil_on_copy, refuse_aged
from seeder.matviews.query.columns import refuse_unfit
from seeder.matviews.query.functions import refuse_functions
from seeder.matviews.query.meaning import new_stamp
from seeder.matviews.query.rights import denied
from seeder.matviews.refresh import refresh
from seeder.matviews.result import Outcome, RefreshResult
from seeder.matviews.stamp import Stamp
from seeder.matviews.statistics import keep_statistics_current
from seeder.matviews.swap.copies import discard
from seeder.matviews.swap.swap import swap
from seeder.postgres.failures import judged
from seeder.postgres.session import Session
from seeder.postgres.snapshots import under
from seeder.sql.directives import Index
from seeder.sql.guard import SafeQuery
from seeder.wording import first_line

#: What keeps a matview from being swapped, and not from being refreshed concurrently.
NOT_SWAPPED = (CopyUnlike, DependentsInTheWay, MatviewChanged, MatviewInUse, PartUnfit)
NOT_NOW = "Refreshed concurrently, as the swap could not be done: {error}"

#: Of the copy that bears the name by now, in the transaction of the exchange.
STATE_OF = f"""
select {STATE} as state, pg_total_relation_size(c.oid) as total_bytes
from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
where n.nspname = %(schema)s and c.relname = %(name)s
"""


def bring_up_to_date(
    session: Session, manifest: Manifest, found: Found, policy: Policy, share: Share | None = None
) -> RefreshResult:
    """Create, refresh or rebuild the manifest's matview. The caller holds its advisory lock.

    `policy` is the general one; what the manifest says itself is worked in here. `share` gives the moment
    that the run shares with others, None where each has its own. Raises ManifestError (final)
    or TemporaryError (another try may help).
    """
    own = policy.of_manifest(manifest.directives)
    try:
        with limited(session, own.limits, policy.limits), session.meter() as meter:
            if found.leftover is not None:
                discard(session, found.leftover, own.set_role)
            try:
                done = _Upkeep(session, manifest, found, own, share).done()
            except QueryFailed as error:
                raise denied(session, manifest.matview, own.set_role, error) from error.__cause__
    except psycopg2.Error as error:
        # The connection may also break, or be told to end, in a statement that isn't about the matview.
        raise judged(error) from error
    used = meter.usage
    return replace(
        done, figures=replace(done.figures, memory_mb=used.memory_mb, cpu_percentage=used.cpu_percentage)
    )


@dataclass(frozen=True)
class _Upkeep:
    """One run's work on its matview."""

    session: Session
    manifest: Manifest
    found: Found
    policy: Policy
    share: Share | None

    def done(self) -> RefreshResult:
        decision = decide(self.session, self.manifest, self.found, self.policy)
        oid = self.found.oid
        if oid is None:
            return self._create(decision)
        if decision.action is Action.REBUILD:
            return self._rebuild(oid, decision)
        return self._refresh(oid, decision)

    def _create(self, decision: Decision) -> RefreshResult:
        manifest, policy = self.manifest, self.policy
        wanted = decision.stamp or new_stamp(manifest, policy)

        def make(moment: Moment | None) -> RefreshResult:
            with under(self.session, snapshot_of(moment)):
                made = create(self.session, manifest.matview, manifest.query, wanted, policy)
            return RefreshResult(Outcome.CREATED, Figures(made.records, made.total_bytes))

        return self._at_its_moment(None, make)

    def _rebuild(self, oid: int, decision: Decision) -> RefreshResult:
        query, policy = self.manifest.query, self.policy
        refuse_unfit(self.session, query, policy)
        refuse_functions(self.session, query, policy.allowed_functions, policy.as_manifest)
        missing = self._missing_indexes(decision)
        return self._at_its_moment(
            None, lambda moment: self._swap(Outcome.REBUILT, oid, query, decision, missing, moment)
        )

    def _refresh(self, oid: int, decision: Decision) -> RefreshResult:
        found = self.found
        if decision.indexes is not None or decision.why:
            refuse_unfit_as_it_is(self.session, self.manifest, oid, decision, self.policy)
        if decision.indexes is not None:
            found = replace(found, keyed=decision.indexes.keyed)
        missing = self._missing_indexes(decision)
        sight = self._look(oid, decision)
        if sight and decision.indexes is None and (skipped := self._unchanged(sight)):
            return skipped
        current = self._with_evidence(sight, decision)
        return self._at_its_moment(
            oid, lambda moment: self._refreshed(oid, decision, found, missing, current, moment)
        )

    def _refreshed(
        self,
        oid: int,
        decision: Decision,
        found: Found,
        missing: tuple[Index, ...],
        current: Stamp | None,
        moment: Moment | None,
    ) -> RefreshResult:
        weighed, method, policy = decision.weighed, decision.method, self.policy
        reason = weighed.choice.note if weighed else None
        younger = moment is not None and refreshed_since(self.session, oid, moment)
        if moment:
            # The look at the sources was after that moment.
            current = current and NOTHING.on(current)
        if younger and method is Method.CONCURRENTLY:
            method, policy, weighed = *not_concurrently(policy), None
            reason, decision = YOUNGER, replace(decision, weighed=None, reason=YOUNGER)
        if method is Method.SWAP:
            swapped = replace(decision, stamp=current)
            try:
                return self._swap(Outcome.SWAPPED, oid, None, swapped, missing, moment)
            except NOT_SWAPPED as error:
                if (
                    weighed is None
                    or self.session.closed
                    or (moment and refreshed_since(self.session, oid, moment))
                ):
                    raise
                weighed, reason = weighed.after_failed_swap(), NOT_NOW.format(error=first_line(str(error)))
        keep = current if current and current.evidence else None
        with under(self.session, snapshot_of(moment)):
            done = refresh(self.session, self.manifest.matview, found, policy, missing, keep)
        stamped = done.kept or current
        if weighed and stamped and done.method is Method.CONCURRENTLY:
            stamped = weighed.learnt(stamped, done.method)
        keep_statistics_current(self.session, self.manifest.matview, stamped, done, self.policy)
        notes = " ".join(filter(None, (decision.note, done.note or reason)))
        return RefreshResult(
            Outcome.REFRESHED, Figures(done.records, done.total_bytes), notes or None, done.changed, done.dead
        )

    def _at_its_moment(self, oid: int | None, make: Make) -> RefreshResult:
        try:
            return at_its_moment(self.session, self.manifest, oid, self.policy, self.share, make)
        except psycopg2.Error as error:
            raise judged(error) from error

    def _look(self, oid: int, decision: Decision) -> Sight | None:
        """At its sources, before the rows are made; None where nobody asks for evidence, or it would be of
        another definition than the manifest's."""
        if not self.policy.skip_unchanged or decision.stamp is None or decision.why:
            return None
        try:
            return look(self.session, oid, self.policy.limits.search_path)
        except psycopg2.Error as error:
            raise judged(error) from error

    def _unchanged(self, sight: Sight) -> RefreshResult | None:
        """What becomes of a run that needn't be done. Raises Rejected where its rows are too old by now."""
        try:
            decision = decision_of_run(self.session, self.manifest, self.policy, sight)
            if decision.evidence is None:
                return None
            refuse_aged(self.session, self.manifest.matview, self.policy)
        except psycopg2.Error as error:
            raise judged(error) from error
        its = decision.evidence
        return RefreshResult(
            Outcome.UNCHANGED, Figures(its.records, its.total_bytes, worked=False), decision.note
        )

    def _with_evidence(self, sight: Sight | None, decision: Decision) -> Stamp | None:
        """The stamp, with what the sources are like before the rows are made."""
        current = decision.stamp
        if current is None or sight is None:
            return current and NOTHING.on(current)
        try:
            return take(self.session, sight, current, self.policy).on(current)
        except psycopg2.Error as error:
            raise judged(error) from error

    def _swap(
        self,
        outcome: Outcome,
        oid: int,
        query: SafeQuery | None,
        decision: Decision,
        missing: tuple[Index, ...],
        moment: Moment | None,
    ) -> RefreshResult:
        """`query` is the new definition, None where it stays as it is."""
        matview, current, required = (
            self.manifest.matview,
            decision.stamp,
            Requirements(missing, self.policy.expect),
        )

        def publish(session: Session, copy: str) -> None:
            if required:
                fulfil_on_copy(session, matview, copy, required, self.found, self.policy)

        def comment(now: str | None, records: int) -> str | None:
            if current is None:
                return now
            fresh = replace(current, analyzed_rows=records, changes_when_analyzed=None, tally=None)
            if outcome is Outcome.SWAPPED and decision.weighed:
                fresh = decision.weighed.learnt(fresh, Method.SWAP)
            if fresh.evidence:
                row = self.session.row(STATE_OF, schema=matview.schema, name=matview.name)
                fresh = replace(fresh, evidence=fresh.evidence.with_rows(row.state, records, row.total_bytes))
            return stamp.written(now, fresh)

        try:
            snapshot = snapshot_of(moment)
            built = swap(self.session, matview, oid, query, comment, self.policy, publish, snapshot=snapshot)
        except QueryFailed as error:
            text = query.text if query else None
            if key_error := keys.refused_key_of_copy(self.session, matview, oid, text, self.policy, error):
                raise key_error from error
            raise
        reason = decision.weighed.choice.note if decision.weighed else decision.reason
        notes = " ".join(filter(None, (decision.note, reason)))
        return RefreshResult(outcome, Figures(built.records, built.total_bytes), notes or None)

    def _missing_indexes(self, decision: Decision) -> tuple[Index, ...]:
        """Drop the indexes that are no longer asked for, and return those that are missing.

        They go before the refresh, which a key that isn't one any more would end, and a rebuild would carry
        over.
        """
        what = decision.indexes
        if what is None:
            return ()
        if what.superfluous:
            try:
                indexing.drop_indexes(self.session, what.superfluous, self.policy)
            except psycopg2.Error as error:
                raise judged(error) from error
        return what.missing
