"""Limits attempts to guess the token: after several wrong ones an address must wait, and isn't logged.

The right token passes all the same: behind a proxy everybody has one address, and one person's wrong tokens
would lock out all others. What keeps a token from being guessed is its length (seeder.config.settings), not
this.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

#: Wrong tokens an address has before it must wait; one more comes back every so many seconds.
ALLOWED = 10
SECONDS_PER_TRY = 6.0

#: Addresses that are remembered; beyond that the oldest is forgotten.
REMEMBERED = 10_000


class Tries:
    """Counts wrong tokens by address; what was counted fades with time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        #: address → the moment at which all of its wrong tokens will have faded
        self._fades: OrderedDict[str, float] = OrderedDict()

    def wait_seconds(self, address: str) -> int:
        """How long the address, having sent a wrong token again, is told to wait; 0 is not at all."""
        with self._lock:
            left = self._fades.get(address, 0.0) - self._clock() - (ALLOWED - 1) * SECONDS_PER_TRY
        return max(0, int(left + 0.999))

    def wrong(self, address: str) -> None:
        """Count one more."""
        with self._lock:
            now = self._clock()
            self._fades[address] = max(self._fades.pop(address, now), now) + SECONDS_PER_TRY
            if len(self._fades) > REMEMBERED:
                self._fades.popitem(last=False)
