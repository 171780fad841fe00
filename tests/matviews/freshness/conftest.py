import pytest
from support.stillness import Reports
from support.workbench import Bench


@pytest.fixture
def reports(bench: Bench) -> Reports:
    """Reports on each supported PostgreSQL in turn, with skipping on."""
    return Reports(bench)
