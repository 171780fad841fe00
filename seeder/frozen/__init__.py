"""Reports that nothing refreshes any more: matviews and rows of status whose manifest is gone."""

from seeder.frozen.dropping import Dropping, Outcome
from seeder.frozen.finding import find, find_frozen
from seeder.frozen.reports import FrozenMatview, FrozenReports, FrozenStatus, Kept, Why

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
