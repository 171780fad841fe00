"""Where a pending run is, as a person who looks is told."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from celery import Celery
from support.contract import Platform
from support.emptied import fresh_broker

from seeder.app import celery_settings
from seeder.broker.delayed import Ready
from seeder.broker.messages import publish
from seeder.broker.planned import Planned
from seeder.config.settings import load_settings
from seeder.equipment import Equipment
from seeder.errors import BrokerUnreachable
from seeder.runs.message import Message
from seeder.runs.waiting import DelayedRuns, Turn, Whereabouts
from seeder.seedings.planning import new_run as run_of


def message(number: int = 1, database_id: int | None = None) -> Message:
    return Message(f"n1.custom-{number}", 0, "custom", number, f"t{number}", database_id)


@pytest.fixture
def broker(redis_url: str) -> Iterator[str]:
    with fresh_broker(redis_url) as url:
        yield url


@pytest.fixture
def room(platform: Platform, broker: str) -> Iterator[DelayedRuns]:
    settings = load_settings(
        database_url=platform.url, broker_url=broker, databases={7: platform.url}, route_by_database=True
    )
    celery = Celery("tests", set_as_current=False)
    celery.conf.update(celery_settings(settings, broker))
    equipment = Equipment(settings, platform.url)
    yield DelayedRuns(celery, equipment)
    equipment.databases.dispose()
    celery.close()


def queue(platform: Platform, room: DelayedRuns, *numbers: int, database_id: int | None = None) -> None:
    planned = []
    for number in numbers:
        platform.custom(number, table_name=f"t{number}")
        manifest = platform.manifest("custom", number)
        assert manifest
        planned.append(Planned(run_of("n1", manifest), database_id, 3 + 3 * (number % 3)))
    publish(room._app, planned)


def test_a_queued_run_is_one_of_so_many_messages(platform: Platform, room: DelayedRuns) -> None:
    assert room.whereabouts(message()) == Whereabouts(queued=0)
    queue(platform, room, 1, 2, 3)
    assert room.whereabouts(message(2)) == Whereabouts(queued=3)


def test_the_queue_is_that_of_its_database(platform: Platform, room: DelayedRuns) -> None:
    queue(platform, room, 1, 2, database_id=7)
    assert room.whereabouts(message(1)) == Whereabouts(queued=0)
    assert room.whereabouts(message(1, 7)) == Whereabouts(queued=2)


def test_a_run_that_is_tried_again_later_is_kept_until_then(room: DelayedRuns) -> None:
    before = datetime.now(UTC)
    room._deferral.defer(Ready("n1.custom-1", "queue", "{}"), 60)
    found = room.whereabouts(message())
    assert found.until is not None
    assert 50 < (found.until - before).total_seconds() < 120
    assert (found.turn, found.queued) == (None, None)


def test_a_run_that_waits_for_its_turn_says_whose_and_how_many_go_first(room: DelayedRuns) -> None:
    for number, rank in ((5, -9.0), (6, -7.0), (1, -3.0)):
        room._deferral.park(Ready(f"n1.custom-{number}", "queue", "{}"), "reporting", rank)
    room._deferral.park(Ready("n1.custom-2", "queue", "{}"), "reporting reporting.t2", 0)
    room._deferral.park(Ready("n1.custom-3", "queue", "{}"), "reporting reporting.another", 0)
    assert room.whereabouts(message(1)) == Whereabouts(turn=Turn.DATABASE, before=2)
    assert room.whereabouts(message(2)) == Whereabouts(turn=Turn.MATVIEW)
    # It awaits a matview on top of its own.
    assert room.whereabouts(message(3)) == Whereabouts()


def test_a_broker_out_of_reach_is_said(platform: Platform) -> None:
    settings = load_settings(database_url=platform.url, broker_url="redis://:secret@127.0.0.1:1/0")
    celery = Celery("tests", set_as_current=False)
    celery.conf.update(celery_settings(settings, "redis://:secret@127.0.0.1:1/0"))
    equipment = Equipment(settings, platform.url)
    with pytest.raises(BrokerUnreachable) as raised:
        DelayedRuns(celery, equipment).whereabouts(message())
    assert "secret" not in str(raised.value)
    equipment.databases.dispose()
    celery.close()
