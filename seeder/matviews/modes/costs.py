"""What the last refreshes of a matview took, as its stamp keeps it: a dozen at most, the newest of each kind.

Of a concurrent refresh it matters how much has changed. That has to be known beforehand, and alike for both
ways: so it is told by the rows that were written to the matview's sources since its last refresh, as
PostgreSQL counts them, and not by what was then changed in the matview.
"""

from dataclasses import dataclass, replace
from math import log2
from typing import Any, NamedTuple, Self

from seeder.matviews.modes.method import Method

#: Of each way, of a concurrent refresh at about so many written rows: enough for a median.
KEPT_ALIKE = 3
#: Of all concurrent ones.
MOST_KEPT = 9

#: "About so many": at most this many times as many, or as few.
ABOUT = 2.5


class Cost(NamedTuple):
    """One refresh. A tuple, as the stamp has it."""

    method: Method
    #: Rows written to its sources since the refresh before; None is unknown.
    written: int | None
    milliseconds: int
    #: Which of the matview's refreshes it was, by number.
    run: int

    def is_about(self, written: int | None) -> bool:
        """Whether as much had changed as if so many rows were written."""
        if self.written is None or written is None:
            return True
        return abs(log2((self.written + 1) / (written + 1))) <= log2(ABOUT)


@dataclass(frozen=True)
class Costs:
    #: How many refreshes have been weighed.
    runs: int = 0
    #: What the counters of the sources stood at when the last of them began.
    counter: int | None = None
    #: The oldest first.
    kept: tuple[Cost, ...] = ()

    @classmethod
    def read(cls, facts: dict[str, Any]) -> Self:
        """From the stamp's JSON. Raises TypeError or ValueError where it is another's."""
        kept = tuple(
            Cost(Method(method), None if written is None else int(written), int(milliseconds), int(run))
            for method, written, milliseconds, run in facts.pop("kept")
        )
        return cls(**facts, kept=kept)

    def written_since(self, counter: int | None) -> int | None:
        """Rows written since the last refresh, by what the counters stand at now; None where they began anew,
        or nobody knows."""
        if counter is None or self.counter is None or counter < self.counter:
            return None
        return counter - self.counter

    def with_one(self, method: Method, written: int | None, seconds: float, counter: int | None) -> "Costs":
        """After one more refresh; of those like it, and of all concurrent ones, the oldest are forgotten."""
        new = Cost(method, written, round(1000 * seconds), self.runs + 1)
        its = [one for one in (*self.kept, new) if one.method is method]
        alike = its if method is Method.SWAP else [one for one in its if one.is_about(written)]
        forgotten = {*alike[:-KEPT_ALIKE], *its[:-MOST_KEPT]}
        kept = tuple(one for one in (*self.kept, new) if one not in forgotten)
        return replace(self, runs=new.run, counter=counter, kept=kept)
