"""Maps values to positions, and chooses round numbers for an axis."""

import math
from dataclasses import dataclass

from seeder.wording import duration

#: What people count time in, in seconds.
_TIMES = (
    *(1, 2, 5, 10, 15, 20, 30),
    *(60 * minutes for minutes in (1, 2, 3, 5, 10, 15, 20, 30)),
    *(3600 * hours for hours in (1, 2, 3, 6, 12, 24)),
)


@dataclass(frozen=True, slots=True)
class Scale:
    """Values from ``low`` to ``high`` on a line of that length; what lies outside comes to its ends."""

    low: float
    high: float
    length: float

    def at(self, value: float) -> float:
        if self.high <= self.low:
            return 0.0
        share = (value - self.low) / (self.high - self.low)
        return round(min(max(share, 0.0), 1.0) * self.length, 2)


def round_up_seconds(value: float) -> int:
    """The next duration that isn't less and that people would say: 30 s, 5 min, 2 h, 3 days."""
    for seconds in _TIMES:
        if seconds >= value:
            return seconds
    return math.ceil(value / 86400) * 86400


def whole(seconds: int) -> str:
    """A round duration without the unit of which it has nothing: ``5 min``, not ``5 min 00 s``."""
    return duration(seconds).removesuffix(" 00 s").removesuffix(" 00 min").removesuffix(" 00 h")


def ticks(whole_seconds: float, most: int) -> list[int]:
    """Moments from 0 to the whole, at most so many steps apart by a duration that people would say."""
    step = round_up_seconds(whole_seconds / most)
    return list(range(0, math.floor(whole_seconds) + 1, step))
