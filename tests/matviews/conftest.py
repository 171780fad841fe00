import pytest
from contract import Platform
from workbench import Bench


@pytest.fixture
def bench(any_platform: Platform) -> Bench:
    """Where matviews are made and refreshed, on each supported PostgreSQL in turn."""
    return Bench(any_platform)
