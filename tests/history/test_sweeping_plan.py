"""A sweep looks for unfinished runs every minute: what that costs mustn't grow with the history."""

import json
import re
from collections.abc import Iterator

import pytest
from support.contract import Platform, platform_on
from support.emptied import fresh_database

from benchmarks.record import fill
from seeder.history import WINDOW_DAYS, queries


@pytest.fixture(scope="module")
def filled(postgres_url: str) -> Iterator[Platform]:
    with fresh_database(postgres_url) as url, platform_on(url) as platform:
        fill(url, jobs=100, nights=300)
        yield platform


def test_only_the_last_days_are_looked_at(filled: Platform) -> None:
    sql = filled.history.sql(queries.UNFINISHED)
    with filled.databases.session() as session:
        told = session.row(f"explain (analyze, format json) {sql}", days=WINDOW_DAYS, quiet_seconds=60)[0][0]
    plan = json.dumps(told["Plan"])
    assert '"Index Name": "seeder_run_history_start_time_idx"' in plan
    assert not re.search(r'"Node Type": "(Parallel )?Seq Scan"', plan), plan
    passed_over = sum(int(rows) for rows in re.findall(r'"Rows Removed by Filter": (\d+)', plan))
    assert passed_over <= 100 * (WINDOW_DAYS + 1)
