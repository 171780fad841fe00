"""One materialized view per manifest: created, refreshed, or rebuilt beside the old one and exchanged for it.

The door is here; ``swap``, ``query`` and ``insight`` are rooms that others may look into.
"""

from seeder.matviews.policy import Policy
from seeder.matviews.upkeep import RefreshResult, bring_up_to_date

__all__ = ["Policy", "RefreshResult", "bring_up_to_date"]
