import pytest
from support.contract import Platform
from support.workbench import Bench


@pytest.fixture
def bench(any_platform: Platform) -> Bench:
    """Where matviews are made and refreshed, on each supported PostgreSQL in turn."""
    return Bench(any_platform)
