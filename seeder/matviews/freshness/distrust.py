"""What an audit found of a matview that had been called unchanged; kept in its stamp, and then it isn't
skipped any more, until its SQL changes or a person says so."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self


@dataclass(frozen=True)
class Difference:
    """Rows that the query gives and the matview lacks, and the other way round."""

    missing: int
    extra: int

    def __bool__(self) -> bool:
        return bool(self.missing or self.extra)

    def __str__(self) -> str:
        return f"{_rows(self.missing)} missing, {_rows(self.extra)} that its query does not give"


def _rows(count: int) -> str:
    return f"{count:,} row" if count == 1 else f"{count:,} rows"


@dataclass(frozen=True)
class Distrust:
    #: When it was found, in seconds since 1970.
    at: float
    missing: int
    extra: int

    @classmethod
    def because(cls, found: Difference) -> Self:
        return cls(round(time.time()), found.missing, found.extra)

    def __str__(self) -> str:
        found = Difference(self.missing, self.extra)
        return f"on {datetime.fromtimestamp(self.at, UTC):%Y-%m-%d %H:%M} UTC: {found}"
