"""How many refreshes a database may have, as it is written in the environment."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seeder.broker.queues import by_database, refresh_queues
from seeder.config.settings import load_settings
from seeder.errors import BadSetting

NAME = "SEEDER_MAX_PER_DATABASE"


@given(
    limits=st.dictionaries(st.integers(0, 2**31), st.integers(0, 1000), max_size=4),
    default=st.none() | st.integers(0, 1000),
    asked=st.none() | st.integers(0, 10),
)
@settings(suppress_health_check=list(HealthCheck), deadline=None)
def test_a_databases_own_number_goes_before_the_default(
    monkeypatch: pytest.MonkeyPatch, limits: dict[int, int], default: int | None, asked: int | None
) -> None:
    written = {str(number): limit for number, limit in limits.items()}
    if default is not None:
        written["default"] = default
    monkeypatch.setenv(NAME, json.dumps(written))
    expected = limits.get(asked, default or 0) if asked is not None else default or 0
    assert load_settings().limit_of(asked) == expected


def test_one_number_is_for_every_database_and_nothing_is_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (load_settings().limit_of(None), load_settings().limit_of(7)) == (0, 0)
    monkeypatch.setenv(NAME, "3")
    assert (load_settings().limit_of(None), load_settings().limit_of(7)) == (3, 3)


@pytest.mark.parametrize(
    "text",
    ["x", "-1", "1.5", "true", "[1]", '"2"', '{"7": -1}', '{"7": "2"}', '{"7": true}', '{"a": 1}', "{"],
)
def test_what_is_no_limit_is_refused_in_words(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(NAME, text)
    with pytest.raises(BadSetting, match=f"^{NAME} can't be used: "):
        load_settings()


def test_a_run_goes_to_its_databases_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEDER_DATABASES", '{"12": "postgresql://h/a", "7": "postgresql://h/b"}')
    assert refresh_queues(load_settings()) == ["seeder.refresh"]
    monkeypatch.setenv("SEEDER_ROUTE_BY_DATABASE", "yes")
    queues = ["seeder.refresh", "seeder.refresh.7", "seeder.refresh.12"]
    assert refresh_queues(load_settings()) == queues
    for database_id, queue in ((7, "seeder.refresh.7"), (12, "seeder.refresh.12")):
        route = by_database("seeder.refresh_manifest", (), {"database_id": database_id}, {}, None)
        assert route == {"queue": queue}
    assert by_database("seeder.refresh_manifest", (), {"database_id": None}, {}, None) is None
    assert by_database("seeder.sweep", (), None, {}, None) is None
