"""A limit that ends the connection, too: known by the time the run took."""

from collections.abc import Iterator

import pytest
from support.contract import Platform, new_run

from seeder.config.settings import Settings
from seeder.equipment import Equipment
from seeder.errors import DatabaseTrouble, QueryFailed
from seeder.runs.claim import Claim, Claims
from seeder.runs.message import Message

SLOW = """
create function public.slow() returns int stable language plpgsql as
$$ begin perform pg_catalog.pg_sleep(60); return 1; end $$
"""


@pytest.fixture
def limit() -> str:
    return "400ms"


@pytest.fixture
def claim(platform: Platform, limit: str) -> Iterator[Claim]:
    platform.sql(SLOW)
    platform.custom(1, table_name="sales", query="select public.slow() as one")
    platform.history.queue([new_run("n1.custom-1")])
    limited = Equipment(Settings(), f"{platform.url}?options=-ctransaction_timeout%3D{limit}")
    claim = Claims.of(limited).claim(Message("n1.custom-1", 0, "custom", 1, "sales", None))
    yield claim
    claim.release()
    limited.databases.dispose()


def test_a_run_that_takes_longer_than_the_limit_is_final_and_told_which_it_was(claim: Claim) -> None:
    with pytest.raises(
        QueryFailed, match=r"25P04: .* transaction_timeout \(0\.4 s\)\nHint: transaction_timeout"
    ):
        claim.refresh()


@pytest.mark.parametrize("limit", ["60s", "0"])
def test_a_connection_that_is_lost_before_the_limit_may_come_back(platform: Platform, claim: Claim) -> None:
    pid = claim.session.backend_pid
    platform.sql(
        "create or replace function public.slow() returns int stable language plpgsql as"
        f" $$ begin perform pg_catalog.pg_terminate_backend({pid}); perform pg_catalog.pg_sleep(9); return 1;"
        " end $$"
    )
    with pytest.raises(DatabaseTrouble):
        claim.refresh()
