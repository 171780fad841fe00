"""What reads what, as a value: who has to go first, what a failure reaches, and where it goes in a circle.

The nodes are names of any kind: identities of manifests for a seeding, ids of runs for those that wait.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

Edges = Mapping[str, frozenset[str]]

NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Graph:
    """Each node with those that it reads; who reads nothing needn't be in there. A node that reads itself
    waits for nobody by that."""

    reads: Edges = field(default_factory=dict)

    @cached_property
    def read_by(self) -> Edges:
        """Each node with those that read it."""
        readers: dict[str, set[str]] = {}
        for reader, sources in self.reads.items():
            for source in sources:
                if source != reader:
                    readers.setdefault(source, set()).add(reader)
        return {source: frozenset(found) for source, found in readers.items()}

    def sources(self, node: str) -> frozenset[str]:
        """What the node itself reads."""
        found = self.reads.get(node, NOTHING)
        return found - {node} if node in found else found

    def readers(self, node: str) -> frozenset[str]:
        """Who reads the node itself."""
        return self.read_by.get(node, NOTHING)

    def upstream(self, nodes: Iterable[str]) -> frozenset[str]:
        """All that these read, at any depth; of themselves those that another of them reads."""
        return _reached(self.reads, nodes)

    def downstream(self, nodes: Iterable[str]) -> frozenset[str]:
        """All that read these, at any depth; of themselves those that read another of them."""
        return _reached(self.read_by, nodes)

    def within(self, nodes: Iterable[str]) -> "Graph":
        """Of these nodes only. What reads another through a node that isn't one of them doesn't wait for it:
        what lies between is as old as it was."""
        chosen = frozenset(nodes)
        kept = {node: self.sources(node) & chosen for node in chosen}
        return Graph({node: sources for node, sources in kept.items() if sources})

    def without(self, nodes: Iterable[str]) -> "Graph":
        """Without these nodes."""
        gone = frozenset(nodes)
        kept = {node: sources - gone for node, sources in self.reads.items() if node not in gone}
        return Graph({node: sources for node, sources in kept.items() if sources})

    def order(self, nodes: Iterable[str], rank: Mapping[str, float] | None = None) -> list[str]:
        """The nodes, each after those of them that it reads; of several that may come the one of lowest rank
        is next, and of those the first by name. Nodes in a circle, and what reads them, are left out."""
        inner = self.within(chosen := frozenset(nodes))
        ranks = rank or {}
        left = {node: len(inner.sources(node)) for node in chosen}
        free = [(ranks.get(node, 0.0), node) for node, count in left.items() if not count]
        heapq.heapify(free)
        ordered: list[str] = []
        while free:
            _, node = heapq.heappop(free)
            ordered.append(node)
            for reader in inner.readers(node):
                left[reader] -= 1
                if not left[reader]:
                    heapq.heappush(free, (ranks.get(reader, 0.0), reader))
        return ordered

    def levels(self, nodes: Iterable[str]) -> dict[str, int]:
        """How many of the nodes go before each, one after the other; 0 is none. Without those in circles."""
        inner = self.within(chosen := frozenset(nodes))
        depth: dict[str, int] = {}
        for node in inner.order(chosen):
            depth[node] = max((depth[source] + 1 for source in inner.sources(node)), default=0)
        return depth

    def lasting(self, own: Mapping[str, float], least: Mapping[str, float] | None = None) -> dict[str, float]:
        """How long it is from each node's beginning to the end of the last that waits for it, one after the
        other: its ``own`` time plus the longest of its readers', and not below its ``least``. Without nodes
        in circles and what reads them."""
        inner, floor = self.within(own), least or {}
        found: dict[str, float] = {}
        for node in reversed(inner.order(own)):
            following = max((found[reader] for reader in inner.readers(node)), default=0.0)
            found[node] = max(own[node] + following, floor.get(node, 0.0))
        return found

    def circles(self) -> list[tuple[str, ...]]:
        """One for each knot of nodes that read each other, as short as there is from its first node by name:
        each reads the next, and the last the first."""
        return [self.circle(min(knot)) for knot in sorted(self.knots(), key=min)]

    def knots(self) -> list[frozenset[str]]:
        """The sets of nodes of which each reads all the others, at some depth."""
        return [found for found in _strongly_connected(self) if len(found) > 1]

    def circle(self, first: str) -> tuple[str, ...]:
        """The shortest one through a node that is in one; breadth first, so none is shorter."""
        came_from: dict[str, str] = {}
        front = [first]
        while front:
            following: list[str] = []
            for node in front:
                for source in sorted(self.sources(node)):
                    if source == first:
                        return _path(came_from, first, node)
                    if source not in came_from:
                        came_from[source] = node
                        following.append(source)
            front = following
        raise ValueError(f"{first} is in no circle")


def _path(came_from: Mapping[str, str], first: str, last: str) -> tuple[str, ...]:
    path = [last]
    while path[-1] != first:
        path.append(came_from[path[-1]])
    return tuple(reversed(path))


def _reached(edges: Edges, nodes: Iterable[str]) -> frozenset[str]:
    found: set[str] = set()
    pending = [(node, other) for node in nodes for other in edges.get(node, NOTHING)]
    while pending:
        node, other = pending.pop()
        if other != node and other not in found:
            found.add(other)
            pending += ((other, more) for more in edges.get(other, NOTHING))
    return frozenset(found)


def _strongly_connected(graph: Graph) -> Iterator[frozenset[str]]:
    """Tarjan's algorithm, without recursion: a chain may be longer than Python's stack is deep."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    path: list[str] = []
    on_path: set[str] = set()
    for root in graph.reads:
        if root in number:
            continue
        work = [(root, iter(sorted(graph.sources(root))))]
        number[root] = lowest[root] = len(number)
        path.append(root)
        on_path.add(root)
        while work:
            node, sources = work[-1]
            for source in sources:
                if source not in number:
                    number[source] = lowest[source] = len(number)
                    path.append(source)
                    on_path.add(source)
                    work.append((source, iter(sorted(graph.sources(source)))))
                    break
                if source in on_path:
                    lowest[node] = min(lowest[node], number[source])
            else:
                work.pop()
                if work:
                    above = work[-1][0]
                    lowest[above] = min(lowest[above], lowest[node])
                if lowest[node] == number[node]:
                    knot: set[str] = set()
                    while node not in knot:
                        knot.add(path.pop())
                    on_path -= knot
                    yield frozenset(knot)
