"""Whatever is done to its sources, a report that is told as unchanged, or refreshed, equals its query.

Random histories over one schema in which everything that evidence is made of occurs (support.shop), on a
server that is restarted and crashes among them. A seed names a history: SEEDER_TEST_HISTORIES=250 tries so
many on each server, `make soak` does.
"""

import os
import random
from collections.abc import Callable, Iterator

import pytest
from support.contract import Platform, platform_on
from support.dumps import PROGRAMS
from support.histories import History
from support.homes import FAST, new_home, serving
from support.stillness import Reports
from support.workbench import Bench

from seeder.embedded.server import Server
from seeder.matviews.freshness import sessions
from seeder.matviews.freshness.why import Kind

pytestmark = pytest.mark.slow

#: On each of two servers.
HISTORIES = int(os.environ.get("SEEDER_TEST_HISTORIES", "15"))

#: What is committed outlives a crash of the server.
SETTINGS = {**FAST, "synchronous_commit": "on", "max_prepared_transactions": "4"}


@pytest.fixture(scope="module", params=["18", "15"])
def place(request: pytest.FixtureRequest) -> Iterator[tuple[Platform, Server]]:
    """A server of their own."""
    if request.param == "15":
        # Skips where there is none.
        request.getfixturevalue("postgres15_url")
    binaries = PROGRAMS["15"] if request.param == "15" else None
    with new_home() as home, serving(
        home, with_redis=False, postgres_settings=SETTINGS, postgres_binaries=binaries
    ) as servers:  # fmt: skip
        assert servers.postgres is not None
        with platform_on(servers.postgres.url) as platform:
            with platform.databases.session() as session:
                session.run_text("set allow_in_place_tablespaces = on")
                session.run_text("create tablespace seeder_test_aside location ''")
                session.run_text("reset allow_in_place_tablespaces")
            yield platform, servers.postgres


@pytest.fixture(scope="module")
def tally(pytestconfig: pytest.Config) -> Iterator[list[tuple[int, int]]]:
    """Of each history its steps and how often something was told as unchanged; for people, in the end."""
    of_each: list[tuple[int, int]] = []
    yield of_each
    if "SEEDER_TEST_HISTORIES" in os.environ:
        steps, skipped = map(sum, zip(*of_each, strict=True))
        with pytestconfig.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            print(f"\n{len(of_each)} histories, {steps:,} steps, {skipped:,} times told as unchanged")


@pytest.fixture
def history(
    request: pytest.FixtureRequest, place: tuple[Platform, Server], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[int], History]]:
    # A session that has just begun to work may have something untold, too; a minute would be too long here.
    monkeypatch.setattr(sessions, "BUSY_SECONDS", 0.0)
    platform, server = place
    programs = PROGRAMS[request.node.callspec.params["place"]]
    made: list[History] = []

    def begun(seed: int) -> History:
        its = History(Reports(Bench(platform)), server, programs, random.Random(seed))
        made.append(its)
        its.begin()
        return its

    yield begun
    for one in made:
        one.end()
    platform.empty()


@pytest.mark.parametrize("seed", range(HISTORIES))
def test_no_history_makes_a_report_unchanged_that_is_not(
    history: Callable[[int], History], tally: list[tuple[int, int]], seed: int
) -> None:
    its = history(seed)
    its.seeding()
    its.seeding()
    for _ in range(3):
        for _ in range(its.chance.choice([1, 1, 2, 3])):
            its.step()
        its.seeding()
        its.finish()
    its.seeding()
    tally.append((its.steps, its.skipped))
    assert its.skipped, "nothing was skipped, so nothing was tried"


#: What each part of the epoch alone must tell. Which server, and which of its timelines, is told by the
#: moment of its start as well.
@pytest.mark.parametrize("accident", ["restart", "kill_a_backend", "bgwriter", "wal"])
def test_counters_that_may_have_begun_anew_prove_nothing(
    history: Callable[[int], History], accident: str
) -> None:
    its = history(0)
    reports = its.reports
    reports.report()
    assert reports.decision().unchanged, reports.decision()
    if accident in ("bgwriter", "wal"):
        reports.write(f"select pg_stat_reset_shared('{accident}')")
    else:
        getattr(its, accident)()
    assert reports.kinds() == {Kind.EPOCH}
