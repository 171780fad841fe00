"""Reports that nothing refreshes any more: matviews and rows of status whose manifest is gone."""

from seeder.maintenance.frozen.dropping import Dropping, Outcome
from seeder.maintenance.frozen.finding import find, find_frozen
from seeder.maintenance.frozen.reports import FrozenMatview, FrozenReports, FrozenStatus, Kept, Why

__all__ = [
    "Dropping",
    "FrozenMatview",
    "FrozenReports",
    "FrozenStatus",
    "Kept",
    "Outcome",
    "Why",
    "find",
    "find_frozen",
]
