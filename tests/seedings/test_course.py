"""The course of a seeding, from what its runs usually take."""

import random
from itertools import pairwise
from statistics import median

from hypothesis import given
from hypothesis import strategies as st
from support.simulated_nights import DATABASES, LIMITS, NODES, READS, SECONDS, night, of, some_night

from seeder.seedings.course import Course, course
from seeder.seedings.critical_path import in_order
from seeder.seedings.graph import Graph

PLACES = st.integers(1, 5)


@given(READS, SECONDS, DATABASES, LIMITS, PLACES)
def test_nothing_begins_before_what_it_reads_has_ended_or_without_room(
    pairs: frozenset[tuple[str, str]],
    seconds: dict[str, float],
    databases: dict[str, int | None],
    limits: dict[int | None, int],
    places: int,
) -> None:
    legs = course(of(pairs), seconds, places, databases, limits.__getitem__).legs
    assert legs.keys() == set(NODES)
    assert all(legs[source].ends <= legs[reader].begins for reader, source in pairs)
    assert all(leg.ends - leg.begins == seconds[one] for one, leg in legs.items())
    for at in {leg.begins for leg in legs.values()}:
        now = [one for one, leg in legs.items() if leg.begins <= at < leg.ends]
        assert len(now) <= places
        for database_id, limit in limits.items():
            assert not limit or sum(databases[one] == database_id for one in now) <= limit


@given(READS, SECONDS, DATABASES, LIMITS, PLACES)
def test_the_critical_path_is_one_run_after_the_other_from_the_beginning_to_the_end(
    pairs: frozenset[tuple[str, str]],
    seconds: dict[str, float],
    databases: dict[str, int | None],
    limits: dict[int | None, int],
    places: int,
) -> None:
    found = course(of(pairs), seconds, places, databases, limits.__getitem__)
    path = found.critical_path
    assert sum(seconds[one] for one in path) == found.seconds
    assert found.legs[path[0]].begins == 0.0
    assert found.legs[path[-1]].ends == found.seconds
    assert all(found.legs[one].ends == found.legs[other].begins for one, other in pairwise(path))


@given(READS, SECONDS, st.frozensets(st.sampled_from(NODES)), PLACES)
def test_what_is_at_work_has_its_rest_to_do(
    pairs: frozenset[tuple[str, str]], seconds: dict[str, float], begun: frozenset[str], places: int
) -> None:
    # Those that read nothing may have begun.
    at_work = {one: 7.0 for one in begun if not any(reader == one for reader, _ in pairs)}
    legs = course(of(pairs), seconds, places, at_work=at_work).legs
    assert legs.keys() == set(NODES)
    for one in at_work:
        assert (legs[one].begins, legs[one].ends) == (-7.0, max(seconds[one] - 7.0, 0.0))
    assert all(legs[one].begins >= 0 for one in NODES if one not in at_work)


def test_nothing_takes_no_time() -> None:
    assert (course(Graph(), {}, 4).seconds, Course().critical_path) == (0.0, ())


def test_three_nights_are_enough_to_know_how_long_the_next_will_be() -> None:
    """Each run takes a fifth more or less than usual, and one in fifty four times as long."""
    chance = random.Random(17)
    errors = []
    for _ in range(40):
        graph, usual = some_night(chance)
        nights = [
            {one: seconds * chance.lognormvariate(0, 0.2) * (4 if chance.random() < 0.02 else 1)
             for one, seconds in usual.items()}
            for _ in range(4)
        ]  # fmt: skip
        known = {one: median(each[one] for each in nights[:3]) for one in usual}
        forecast = course(graph, known, 4).seconds
        # It is begun in the order that what is known gives.
        took = night(in_order(graph, known, dict.fromkeys(usual)), graph, nights[3], 0)
        errors.append(abs(forecast - took) / took)
    assert median(errors) <= 0.15
