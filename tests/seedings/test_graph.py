"""The graph of what reads what, as a value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seeder.seedings.graph import Graph

NODES = "abcdefgh"
#: Reader and source, circles and loops among them.
PAIRS = st.frozensets(st.tuples(st.sampled_from(NODES), st.sampled_from(NODES)), max_size=24)
SOME = st.frozensets(st.sampled_from(NODES))


def graph(*pairs: str) -> Graph:
    """``"ab"``: a reads b."""
    reads: dict[str, frozenset[str]] = {}
    for reader, source in pairs:
        reads[reader] = reads.get(reader, frozenset()) | {source}
    return Graph(reads)


def of(pairs: frozenset[tuple[str, str]]) -> Graph:
    return graph(*("".join(pair) for pair in pairs))


def reachable(pairs: frozenset[tuple[str, str]], start: str) -> set[str]:
    """By definition: what can be come to over one or more edges that are no loops."""
    found: set[str] = set()
    while True:
        more = {b for a, b in pairs if a != b and (a == start or a in found)} - found
        if not more:
            return found
        found |= more


def acyclic(pairs: frozenset[tuple[str, str]]) -> frozenset[tuple[str, str]]:
    return frozenset((a, b) for a, b in pairs if a > b)


def test_each_comes_after_what_it_reads_and_who_may_come_by_rank() -> None:
    reads = graph("ba", "cb", "da", "ec", "ed")
    assert reads.order("abcde") == ["a", "b", "c", "d", "e"]
    assert reads.order("abcde", {"d": -5.0}) == ["a", "d", "b", "c", "e"]
    assert reads.levels("abcde") == {"a": 0, "b": 1, "d": 1, "c": 2, "e": 3}
    # What lies between isn't refreshed, so nothing new of a comes to c.
    assert reads.within("ac").reads == {}
    assert reads.order("ca") == ["a", "c"]


def test_a_circle_is_spelt_from_its_first_node_and_as_short_as_there_is() -> None:
    assert graph("ab", "bc", "ca", "bd", "da", "de").circles() == [("a", "b", "c")]
    assert graph("ab", "ba", "cd", "dc", "bc", "xx").circles() == [("a", "b"), ("c", "d")]
    assert graph("aa", "ab").circles() == []
    assert graph("ab", "bc", "ca", "bd", "db").circle("d") == ("d", "b")
    with pytest.raises(ValueError, match="b is in no circle"):
        graph("ab").circle("b")


def test_a_chain_longer_than_pythons_stack_is_deep_is_no_trouble() -> None:
    count = 5_000
    names = [f"{n:05}" for n in range(count)]
    chain = Graph({names[n]: frozenset({names[n - 1]}) for n in range(1, count)})
    assert chain.order(names) == names
    assert chain.knots() == []
    assert len(chain.upstream(names[-1:])) == count - 1
    ring = Graph({**chain.reads, names[0]: frozenset({names[-1]})})
    assert [len(one) for one in ring.circles()] == [count]


def test_it_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        graph("ab").reads = {}  # type: ignore[misc]


@given(PAIRS, SOME)
def test_upstream_and_downstream_are_what_can_be_come_to(
    pairs: frozenset[tuple[str, str]], chosen: frozenset[str]
) -> None:
    found = of(pairs)
    turned = frozenset((b, a) for a, b in pairs)
    for end, edges, reached in (("up", pairs, found.upstream), ("down", turned, found.downstream)):
        expected = set().union(*(reachable(edges, one) for one in chosen)) if chosen else set()
        assert reached(chosen) == expected, end


@given(PAIRS, SOME)
def test_an_order_has_each_node_once_and_after_its_sources(
    pairs: frozenset[tuple[str, str]], chosen: frozenset[str]
) -> None:
    edges = acyclic(pairs)
    ordered = of(edges).order(chosen)
    assert sorted(ordered) == sorted(chosen)
    place = {node: number for number, node in enumerate(ordered)}
    assert all(place[b] < place[a] for a, b in edges if a in chosen and b in chosen)


@given(PAIRS)
def test_circles_are_circles_and_every_node_of_one_is_in_a_knot(pairs: frozenset[tuple[str, str]]) -> None:
    found = of(pairs)
    in_circles = {node for node in NODES if node in reachable(pairs, node)}
    assert set().union(*found.knots()) == in_circles
    assert sum(map(len, found.knots())) == len(in_circles)
    for circle, knot in zip(found.circles(), sorted(found.knots(), key=min), strict=True):
        assert set(circle) <= knot
        assert circle[0] == min(knot)
        assert all(b in found.sources(a) for a, b in zip(circle, (*circle[1:], circle[0]), strict=True))
        assert len(set(circle)) == len(circle)
    # What is left out of an order is in a circle or reads one.
    left_out = set(NODES) - set(found.order(NODES))
    assert left_out == in_circles | found.downstream(in_circles)


@given(PAIRS, SOME)
def test_a_part_of_it_has_the_edges_of_its_nodes_and_no_others(
    pairs: frozenset[tuple[str, str]], chosen: frozenset[str]
) -> None:
    inner, rest = of(pairs).within(chosen), of(pairs).without(chosen)
    for reader in NODES:
        sources = of(pairs).sources(reader)
        assert inner.sources(reader) == (sources & chosen if reader in chosen else frozenset())
        assert rest.sources(reader) == (frozenset() if reader in chosen else sources - chosen)
