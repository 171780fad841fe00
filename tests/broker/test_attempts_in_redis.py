"""How often runs were tried, as Redis keeps it."""

from collections.abc import Iterator

import pytest
from kombu import Connection
from redis import Redis

from seeder.broker import attempts
from seeder.broker.attempts import Attempts


@pytest.fixture(params=["", "somebody:"])
def kept(request: pytest.FixtureRequest, broker_url: str) -> Iterator[Attempts]:
    """Through a channel of kombu's, without and with a prefix of its keys."""
    options = {"global_keyprefix": request.param}
    with Connection(broker_url, transport_options=options) as connection, connection.channel() as channel:
        yield Attempts(channel.conn_or_acquire)


def test_what_was_noted_of_runs_is_told_of_these_and_no_others(kept: Attempts) -> None:
    kept.note({"n1.custom-1": 2, "n1.custom-2": 1})
    kept.note({"n1.custom-1": 3})
    assert kept.of(["n1.custom-1", "n1.custom-2", "n1.custom-3"]) == {"n1.custom-1": 3, "n1.custom-2": 1}
    assert kept.of([]) == {}


def test_more_runs_than_one_call_takes_are_noted_and_told(
    kept: Attempts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "BATCH", 2)
    counts = {f"n1.custom-{number}": number for number in range(1, 6)}
    kept.note(counts)
    assert kept.of(counts) == counts


def test_what_was_noted_goes_by_itself(kept: Attempts, broker_url: str) -> None:
    kept.note({"n1.custom-1": 2})
    with Redis.from_url(broker_url) as redis:
        (key,) = redis.keys("*seeder.attempts.*")
        assert 7 * 86_400 < redis.ttl(key) <= attempts.KEPT_SECONDS
