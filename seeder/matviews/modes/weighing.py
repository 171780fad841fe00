"""Where a matview may be refreshed concurrently or swapped: what is known of both, and what this run adds."""

import time
from dataclasses import dataclass, field, replace

import psycopg2

from seeder.errors import SeederError
from seeder.matviews.found import Found
from seeder.matviews.freshness.reading import look
from seeder.matviews.modes.cheapest import WORTH_WEIGHING_SECONDS, Choice, Why, cheapest
from seeder.matviews.modes.costs import Costs
from seeder.matviews.modes.method import Method
from seeder.matviews.policy import Policy
from seeder.matviews.relation import matviews_above
from seeder.matviews.stamp import Stamp
from seeder.matviews.swap.swap import verify_swap_feasible
from seeder.postgres.failures import judged, one_line
from seeder.postgres.session import Session
from seeder.sql.directives import RefreshMode
from seeder.sql.names import MatviewName

#: Whether whoever the run is done as has the rights of the matview's owner, without which it can be neither
#: exchanged nor stamped (MAINTAIN allows to refresh it).
OWNED = """
select pg_has_role(cast(coalesce(%(role)s, current_user) as name), c.relowner, 'usage') as owned
from pg_class as c where c.oid = cast(%(oid)s as oid)
"""


@dataclass(frozen=True)
class Weighed:
    """The choice, and what it rests on."""

    choice: Choice
    costs: Costs
    #: Rows written to the sources since the last refresh, and what their counters stand at.
    written: int | None
    counter: int | None
    began: float = field(default_factory=time.monotonic)

    def learnt(self, stamp: Stamp, method: Method) -> Stamp:
        """The stamp, with what that refresh took, which has ended just now; as it is where that is too little
        to be worth a choice."""
        seconds = time.monotonic() - self.began
        if not self.costs.kept and method is Method.CONCURRENTLY and seconds < WORTH_WEIGHING_SECONDS:
            return stamp
        return replace(stamp, costs=self.costs.with_one(method, self.written, seconds, self.counter))

    def after_failed_swap(self) -> "Weighed":
        """A swap that couldn't be done has taken what it took all the same."""
        seconds = time.monotonic() - self.began
        costs = self.costs.with_one(Method.SWAP, self.written, seconds, self.counter)
        return replace(self, costs=costs, began=time.monotonic())


def weigh(
    session: Session, matview: MatviewName, found: Found, current: Stamp | None, policy: Policy
) -> Weighed | None:
    """Choose between the two ways; None where there is no choice, or nothing can be kept of it.

    Another matview that reads this one would have to be built anew with each swap, which its own run does
    afterwards anyway. Raises what `judged` makes of a connection's troubles.
    """
    is_open = policy.mode is RefreshMode.AUTO_SWAP and found.populated and found.keyed
    if not is_open or found.oid is None or current is None:
        return None
    try:
        owned = session.row(OWNED, role=policy.role, oid=found.oid)
        if not (owned and owned.owned) or matviews_above(session, found.oid):
            return None
        sight = look(session, found.oid, policy.limits.search_path)
    except psycopg2.Error as error:
        raise judged(error) from error
    counter = sum(one.written for one in sight.sources) if sight else None
    costs = current.costs or Costs()
    written = costs.written_since(counter)
    choice = cheapest(costs, written)
    if choice.method is Method.SWAP and (hindrance := _hindrance(session, matview, found.oid, policy)):
        choice = Choice(Method.CONCURRENTLY, Why.NO_SWAP, hindrance=hindrance)
    return Weighed(choice, costs, written, counter)


def _hindrance(session: Session, matview: MatviewName, oid: int, policy: Policy) -> str | None:
    """Why it can't be swapped."""
    try:
        verify_swap_feasible(session, matview, oid, None, policy)
    except psycopg2.Error as error:
        return one_line(error)
    except SeederError as error:
        return str(error)
    return None
