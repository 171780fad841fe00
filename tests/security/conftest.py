import sys
from pathlib import Path

import pytest
from support.contract import Platform

# The bench is shared with the matviews' tests, the world and its processes with the workers'.
sys.path += [str(Path(__file__).parent.parent / folder) for folder in ("matviews", "workers")]

from support.workbench import Bench


@pytest.fixture
def bench(any_platform: Platform) -> Bench:
    """Where matviews are made and refreshed, on each supported PostgreSQL in turn."""
    return Bench(any_platform)
