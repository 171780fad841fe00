"""The demo: flights that left New York in 2013, and reports of its 16 airlines; see docs/demo.md."""

from dataclasses import dataclass

from seeder.demo.load import load
from seeder.demo.manifests import put_manifests

__all__ = ["EXPECTED_FAILURES", "ExpectedFailure", "load", "put_manifests"]


@dataclass(frozen=True)
class ExpectedFailure:
    """A manifest of the demo whose run must end as ``error``, and what its ``errors`` must hold."""

    report_type: str
    manifest_id: int
    table_name: str
    errors_hold: str
    why: str


#: Any other failed run of the demo is a real one.
EXPECTED_FAILURES = (
    ExpectedFailure(
        "custom",
        14,
        "flights_yv_time_on_the_ground",
        errors_hold="f.dep_dealy does not exist",
        why="its SQL has a slip, a misspelt column, which PostgreSQL finds",
    ),
    ExpectedFailure(
        "custom",
        15,
        "flights_ev_cleaned_up_cancellations",
        errors_hold="DELETE inside WITH changes data",
        why="its SQL would delete rows, so it is refused before PostgreSQL sees it",
    ),
)
