"""Which run of a seeding goes first: that after which most is left to do."""

import random
from collections.abc import Callable, Mapping
from itertools import pairwise
from statistics import median

from hypothesis import given
from hypothesis import strategies as st
from support.simulated_nights import (
    DATABASES,
    LIMITS,
    NODES,
    PLACES,
    READS,
    SECONDS,
    night,
    of,
    some_night,
)

from seeder.broker.queues import RUN_PRIORITIES
from seeder.seedings.critical_path import in_order, still_to_do, unlimited
from seeder.seedings.graph import Graph


def longest(pairs: frozenset[tuple[str, str]], seconds: Mapping[str, float], start: str) -> float:
    """By definition: over all ways from it upwards."""
    return seconds[start] + max((longest(pairs, seconds, a) for a, b in pairs if b == start), default=0.0)


@given(READS, SECONDS)
def test_what_is_left_is_the_longest_way_through_its_readers(
    pairs: frozenset[tuple[str, str]], seconds: dict[str, float]
) -> None:
    left = still_to_do(of(pairs), seconds, dict.fromkeys(NODES))
    assert left == {node: longest(pairs, seconds, node) for node in NODES}


@given(READS, SECONDS, DATABASES, LIMITS)
def test_each_comes_after_what_it_reads_and_priorities_follow_what_is_left(
    pairs: frozenset[tuple[str, str]],
    seconds: dict[str, float],
    databases: dict[str, int | None],
    limits: dict[int | None, int],
) -> None:
    graph = of(pairs)
    ordered = in_order(graph, seconds, databases, limits.__getitem__)
    places = {node: place for place, (node, _) in enumerate(ordered)}
    assert places.keys() == set(NODES)
    assert all(places[source] < places[reader] for reader, source in pairs)
    left = still_to_do(graph, seconds, databases, limits.__getitem__)
    priorities = dict(ordered)
    by_left = sorted(NODES, key=lambda node: (-left[node], -seconds[node], node))
    assert all(priorities[one] <= priorities[other] for one, other in pairwise(by_left))
    assert set(priorities.values()) <= set(RUN_PRIORITIES)


@given(SECONDS, st.integers(1, 3))
def test_a_limited_database_has_to_do_one_after_the_other(seconds: dict[str, float], limit: int) -> None:
    left = still_to_do(Graph(), seconds, dict.fromkeys(NODES, 5), lambda _: limit)
    assert max(left.values()) >= sum(seconds.values()) / limit
    assert all(left[node] >= seconds[node] for node in NODES)
    alone = still_to_do(Graph(), seconds, dict.fromkeys(NODES, 5))
    assert alone == seconds


# --- nights ------------------------------------------------------------------------------------------------


def ratios(limit_of: Callable[[int | None], int], *, by_path: bool) -> list[float]:
    """How many times as long as they need be thirty nights take."""
    chance = random.Random(20261201)
    found = []
    for _ in range(30):
        graph, seconds = some_night(chance)
        databases = {node: 7 if node.endswith("7") else None for node in seconds}
        ordered = in_order(graph if by_path else Graph(), seconds, databases, limit_of)
        if not by_path:
            priorities = dict(ordered)
            ordered = [(node, priorities[node]) for node in graph.order(seconds)]
        limit = limit_of(7)
        least = max(
            *graph.lasting(seconds).values(),
            sum(seconds.values()) / PLACES,
            sum(seconds[node] for node in seconds if node.endswith("7")) / limit if limit else 0.0,
        )
        found.append(night(ordered, graph, seconds, limit) / least)
    return found


def test_a_night_is_hardly_longer_than_it_need_be() -> None:
    found = ratios(unlimited, by_path=True)
    assert median(found) <= 1.01
    assert max(found) <= 1.05
    assert max(ratios(unlimited, by_path=False)) > 1.1


def test_nor_is_one_with_a_database_that_takes_one_at_a_time() -> None:
    found = ratios(lambda database_id: 1 if database_id == 7 else 0, by_path=True)
    assert median(found) <= 1.01
    assert max(found) <= 1.05
