"""Seedings without workers."""

from collections.abc import Iterator

import pytest
from support.contract import Platform
from support.night import Night


@pytest.fixture
def night(platform: Platform, broker_url: str) -> Iterator[Night]:
    night = Night(platform, broker_url)
    yield night
    night.close()
