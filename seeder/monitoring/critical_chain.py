"""The chain of runs that decided when a seeding ended: its critical path as it came to be."""

from collections.abc import Sequence

from seeder.monitoring.night import Bar
from seeder.run_ids import identity_of
from seeder.seedings.graph import Graph


def critical_chain(bars: Sequence[Bar], graph: Graph) -> list[Bar]:
    """The run that ended last, before it that of what it reads which ended last, and so on; the first one
    first. ``graph`` is by the manifests' identities, as it is known now. A single run is no chain: empty."""
    by_identity = {identity_of(bar.run.run_id): bar for bar in bars}
    chain: list[str] = []
    node = max(by_identity, key=lambda one: (by_identity[one].end, one), default=None)
    while node is not None and node not in chain:
        chain.append(node)
        began = by_identity[node].start
        # One that ended later wasn't waited for: SQL may have changed since.
        before = [one for one in graph.sources(node) if one in by_identity and by_identity[one].end <= began]
        node = max(before, key=lambda one: (by_identity[one].end, one), default=None)
    return [by_identity[one] for one in reversed(chain)] if len(chain) > 1 else []
