"""Seedings by chance, and how long one takes, run by run: held against what the package works out."""

import heapq
import random
from collections.abc import Mapping

from hypothesis import strategies as st

from seeder.seedings.graph import Graph

NODES = "abcdefgh"
#: Reader and source; none in a circle.
READS = st.frozensets(
    st.tuples(st.sampled_from(NODES), st.sampled_from(NODES)).filter(lambda pair: pair[0] > pair[1]),
    max_size=16,
)
SECONDS = st.fixed_dictionaries({node: st.integers(0, 100).map(float) for node in NODES})
DATABASES = st.fixed_dictionaries({node: st.sampled_from([None, 5, 7]) for node in NODES})
LIMITS = st.fixed_dictionaries({database: st.integers(0, 3) for database in (None, 5, 7)})


def of(pairs: frozenset[tuple[str, str]]) -> Graph:
    return Graph({node: frozenset(b for a, b in pairs if a == node) for node in NODES})


PLACES = 4


def night(ordered: list[tuple[str, int]], graph: Graph, seconds: Mapping[str, float], limit: int) -> float:
    """How long it takes with so many places, of each step of priority the first come first; runs whose names
    end in 7 are of a database that takes ``limit`` at a time (0: any number) and wait without a place."""
    places = {node: place for place, (node, _) in enumerate(ordered)}
    priorities = dict(ordered)
    waits_for = {node: len(graph.sources(node)) for node in seconds}
    queue = [(priorities[node], place, node) for node, place in places.items() if not waits_for[node]]
    heapq.heapify(queue)
    come = len(places)
    now, limited = 0.0, 0
    at_work: list[tuple[float, str]] = []
    while queue or at_work:
        parked = []
        while queue and len(at_work) < PLACES:
            found = heapq.heappop(queue)
            if limit and found[2].endswith("7"):
                if limited == limit:
                    parked.append(found)
                    continue
                limited += 1
            heapq.heappush(at_work, (now + seconds[found[2]], found[2]))
        now, ended = heapq.heappop(at_work)
        limited -= bool(limit) and ended.endswith("7")
        for reader in sorted(graph.readers(ended), key=places.__getitem__):
            waits_for[reader] -= 1
            if not waits_for[reader]:
                come += 1
                heapq.heappush(queue, (priorities[reader], come, reader))
        for found in parked:
            heapq.heappush(queue, found)
    return now


def some_night(chance: random.Random) -> tuple[Graph, dict[str, float]]:
    """Reports that read one or two others, and a chain that begins with something short."""
    nodes = [f"n{number}" for number in range(200)]
    seconds = {node: chance.lognormvariate(0, 1.5) for node in nodes}
    reads = {
        node: frozenset(chance.sample(nodes[max(0, place - 40) : place], min(place, 2)))
        for place, node in enumerate(nodes)
        if chance.random() < 0.3
    }
    for place in range(15):
        reads[nodes[place]] = frozenset(nodes[place - 1 : place])
        seconds[nodes[place]] = chance.lognormvariate(1, 0.5) if place else 0.01
    return Graph(reads), seconds
