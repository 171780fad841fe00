"""What is refreshed in a benchmark: a database full of matviews with their manifests."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Workload:
    """``matviews`` maps a manifest's table_name to the quoted name the bare loop refreshes."""

    name: str
    title: str
    #: Least share of the bare loop's throughput that seeder should reach.
    goal: float
    database_url: str
    matviews: Mapping[str, str]
