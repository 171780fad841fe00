"""The evidence for rows that are about to be made: looked for before they are, and kept with them."""

from dataclasses import dataclass, replace

from seeder.matviews.freshness.analysis import hindrances
from seeder.matviews.freshness.evidence import Evidence, short
from seeder.matviews.freshness.reading import Sight
from seeder.matviews.policy import Policy
from seeder.matviews.stamp import Stamp
from seeder.postgres.session import Session


@dataclass(frozen=True)
class Taken:
    """Evidence; or the knowledge that there can be none as long as the definitions are what they are."""

    evidence: Evidence | None = None
    unprovable: str | None = None

    def on(self, stamp: Stamp) -> Stamp:
        return replace(stamp, evidence=self.evidence, unprovable=self.unprovable)


NOTHING = Taken()


def take(session: Session, sight: Sight, current: Stamp, policy: Policy) -> Taken:
    """Of a matview that is refreshed next, in its own definition, from a look at it. Outside a transaction.

    `current` is the stamp that it is to bear. Raises psycopg2.Error.
    """
    # Whoever may not comment can't keep it; and names may have come to mean others since they were looked at.
    # Of what an audit has found wrong nothing is believed, so nothing need be taken.
    if not sight.owned or sight.hindrances or sight.shape != current.shape or current.distrust:
        return NOTHING
    definitions = short(sight.definitions)
    mark = f"{sight.oid}.{definitions}"
    its = current.evidence
    is_known = its is not None and (its.oid, its.definitions) == (sight.oid, definitions)
    if not is_known and (current.unprovable == mark or hindrances(session, sight.oid)):
        return Taken(unprovable=mark)
    return Taken(Evidence.of(sight, policy.terms))
