"""One materialized view per manifest: creates and refreshes it, and rebuilds it when its query has changed.

What other packages need is named here or is in ``locks``, ``query``, ``insight`` or ``freshness``; they
import nothing else of this folder (tests/test_layers.py).
"""

from seeder.matviews.decision import Action, Decision, decide, verify_feasible
from seeder.matviews.found import Found, glance
from seeder.matviews.limits import Limits, under_limits
from seeder.matviews.modes.method import Method
from seeder.matviews.modes.moment import Moment, Share
from seeder.matviews.modes.vacuum import is_much, vacuum_afterwards
from seeder.matviews.policy import Policy, policy_of
from seeder.matviews.result import RefreshResult
from seeder.matviews.stamped import Stamped, drop_stamped, stamped_matviews
from seeder.matviews.swap.leftovers import discard_leftovers
from seeder.matviews.timeout import timed_out
from seeder.matviews.upkeep import bring_up_to_date

__all__ = [
    "Action",
    "Decision",
    "Found",
    "Limits",
    "Method",
    "Moment",
    "Policy",
    "RefreshResult",
    "Share",
    "Stamped",
    "bring_up_to_date",
    "decide",
    "discard_leftovers",
    "drop_stamped",
    "glance",
    "is_much",
    "policy_of",
    "stamped_matviews",
    "timed_out",
    "under_limits",
    "vacuum_afterwards",
    "verify_feasible",
]
