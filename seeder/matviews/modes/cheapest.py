"""Chooses between the two ways that keep no reader waiting, by what each has taken lately. Asks nobody.

A concurrent refresh takes the longer the more has changed; a swap takes the same whatever has. So what a
concurrent refresh took at fewer changes is the least that it takes at more, and the other way round.

To choose well the other way has to be tried now and then, as both change with the matview and the machine.
That costs, so it is done the more rarely the more it costs: on average the choice takes at most a twentieth
more than the better of the two.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import ceil

from seeder.matviews.modes.costs import KEPT_ALIKE, Cost, Costs
from seeder.matviews.modes.method import Method

#: A swap's exchange, and all that it looks at, takes about as long by itself.
WORTH_WEIGHING_SECONDS = 0.05

#: Two that are no further apart than this are tried twice each before one is preferred.
CLOSE = 3.0
TRIED_TWICE = 2

#: What trying may cost, over all runs.
SPENT_ON_TRYING = 0.05
#: In runs.
SOONEST, LATEST = 10, 200


class Why(StrEnum):
    CHEAPER = "cheaper"
    #: It isn't known well enough what this way takes.
    TO_LEARN = "to learn"
    #: It was known, some time ago.
    TO_SEE_AGAIN = "to see again"
    #: A swap can't be done here.
    NO_SWAP = "no swap"


@dataclass(frozen=True)
class Choice:
    method: Method
    why: Why
    #: What each takes, as far as it is known; None is not at all.
    concurrently: float | None = None
    swap: float | None = None
    #: What keeps it from being swapped.
    hindrance: str = ""

    @property
    def note(self) -> str | None:
        """For the run; None where there is nothing to tell yet."""
        did = "Swapped" if self.method is Method.SWAP else "Refreshed concurrently"
        if self.why is Why.NO_SWAP:
            return f"{did}, as a swap is not possible: {self.hindrance}"
        mine, other = self.concurrently, self.swap
        its = "a swap"
        if self.method is Method.SWAP:
            mine, other, its = other, mine, "a concurrent refresh"
        if self.why is Why.CHEAPER:
            return None if other is None else f"{did}: that takes about {told(mine)}, {its} {told(other)}."
        return None if other is None else f"{did}, to see what that takes: {its} takes about {told(other)}."

    @property
    def outlook(self) -> str | None:
        """For whoever plans: before it is done."""
        if self.why is Why.NO_SWAP:
            return f"A swap is not possible: {self.hindrance}"
        if self.concurrently is None and self.swap is None:
            return None
        both = f"A concurrent refresh takes about {told(self.concurrently)}, a swap {told(self.swap)}."
        return both if self.why is Why.CHEAPER else f"{both} This one is tried, to see what it takes."


def told(seconds: float | None) -> str:
    return (
        "an unknown time" if seconds is None else f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    )


def cheapest(costs: Costs, written: int | None) -> Choice:
    """The cheaper one where so many rows were written (None is unknown), or the other one, to learn."""
    concurrent = [one for one in costs.kept if one.method is Method.CONCURRENTLY]
    near = [one for one in concurrent if one.is_about(written)]
    swaps = [one for one in costs.kept if one.method is Method.SWAP]
    swap = _usual(swaps)
    if not concurrent:
        return Choice(Method.CONCURRENTLY, Why.TO_LEARN, None, swap)
    if swap is None:
        known = _usual(near)
        # What takes no longer than an exchange by itself isn't beaten by one.
        worth = known is None or known >= WORTH_WEIGHING_SECONDS
        return Choice(Method.SWAP if worth else Method.CONCURRENTLY, Why.TO_LEARN, known, None)
    if near:
        usual = _usual(near)
        return _by_both(costs, near, swaps, usual or 0.0, swap)
    return _by_the_nearest(costs, concurrent, written or 0, swap)


def _usual(some: Sequence[Cost]) -> float | None:
    """The median of the last ones, in seconds."""
    last = [one.milliseconds / 1000 for one in some[-KEPT_ALIKE:]]
    return statistics.median(last) if last else None


def _by_both(
    costs: Costs, near: Sequence[Cost], swaps: Sequence[Cost], concurrently: float, swap: float
) -> Choice:
    """What both take at about so many changes is known."""
    better, other = (
        (Method.CONCURRENTLY, Method.SWAP) if concurrently <= swap else (Method.SWAP, Method.CONCURRENTLY)
    )
    known = {Method.CONCURRENTLY: near, Method.SWAP: swaps}
    ratio = max(concurrently, swap, 0.001) / max(min(concurrently, swap), 0.001)
    if ratio < CLOSE:
        for method in (better, other):
            if len(known[method]) < TRIED_TWICE:
                return Choice(method, Why.TO_LEARN, concurrently, swap)
    if costs.runs - known[other][-1].run >= pause_between_tries(ratio):
        return Choice(other, Why.TO_SEE_AGAIN, concurrently, swap)
    return Choice(better, Why.CHEAPER, concurrently, swap)


def _by_the_nearest(costs: Costs, concurrent: Sequence[Cost], written: int, swap: float) -> Choice:
    """What a concurrent refresh takes is known of other numbers of changes only."""
    more = _usual(_closest(concurrent, written, more=True))
    fewer_ones = _closest(concurrent, written, more=False)
    fewer = _usual(fewer_ones)
    if more is not None and more <= swap:
        return Choice(Method.CONCURRENTLY, Why.CHEAPER, more, swap)
    if fewer is not None and fewer >= swap:
        # At worst it grows as the changes do.
        times = (written + 1) / ((fewer_ones[-1].written or 0) + 1)
        if costs.runs - concurrent[-1].run < pause_between_tries(fewer * times / max(swap, 0.001)):
            return Choice(Method.SWAP, Why.CHEAPER, fewer, swap)
        return Choice(Method.CONCURRENTLY, Why.TO_SEE_AGAIN, fewer, swap)
    return Choice(Method.CONCURRENTLY, Why.TO_LEARN, None, swap)


def _closest(some: Sequence[Cost], written: int, *, more: bool) -> list[Cost]:
    """Those of the nearest number of changes above (or below), the oldest first."""
    side = [one for one in some if one.written is not None and (one.written > written) is more]
    if not side:
        return []
    nearest = min(side, key=lambda one: abs((one.written or 0) - written))
    return [one for one in side if one.is_about(nearest.written)]


def pause_between_tries(ratio: float) -> int:
    """After how many runs the one that takes so many times as long is tried again."""
    return min(LATEST, max(SOONEST, ceil((ratio - 1) / SPENT_ON_TRYING)))
