"""CPU and memory of the backend that did the work, from whichever source can know them."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy.engine import make_url
from support.workbench import Bench

from seeder.errors import QueryFailed
from seeder.matviews.locks import lock
from seeder.matviews.result import RefreshResult
from seeder.matviews.upkeep import bring_up_to_date
from seeder.postgres.backend_usage import UNKNOWN, Usage, reported
from seeder.postgres.databases import Databases
from seeder.postgres.session import Session

BUSY = "select count(*) as n, sum(length(md5(n::text))) as long from generate_series(1, 300000) as n"
SETTINGS = (
    "select current_setting('log_statement_stats') || ' ' || current_setting('client_min_messages') as s"
)


@contextmanager
def proxy(url: str) -> Iterator[str]:
    """The URL of the same server behind a TCP proxy, as that of a server on another host is."""
    target = make_url(url)
    ears = socket.create_server(("127.0.0.1", 0))
    open_ends = [ears]

    def copy(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def listen() -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = ears.accept()
                far = socket.create_connection((target.host, target.port))
                open_ends.extend((near, far))
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=copy, args=ends, daemon=True).start()

    threading.Thread(target=listen, daemon=True).start()
    try:
        there = target.set(host="127.0.0.1", port=ears.getsockname()[1])
        yield there.render_as_string(hide_password=False)
    finally:
        for end in open_ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@contextmanager
def connected(url: str) -> Iterator[Session]:
    databases = Databases(url)
    try:
        with databases.session() as session:
            yield session
    finally:
        databases.dispose()


def run(bench: Bench, session: Session, query: str = BUSY) -> RefreshResult:
    manifest, policy = bench.manifest(query), bench.policy()
    found = lock.take(session, manifest.matview, "seeder n1.custom-1 0", policy.limits)
    try:
        return bring_up_to_date(session, manifest, found, policy)
    finally:
        lock.release(session, manifest.matview)


@pytest.fixture
def far_url(bench: Bench) -> Iterator[str]:
    with proxy(bench.platform.url) as url:
        yield url


@pytest.fixture
def modest_url(bench: Bench, far_url: str) -> Iterator[str]:
    """Of a role that may do what it must, and no more."""
    bench.sql("""
        create role seeder_test_modest login password 'modest';
        grant create, usage on schema reporting to seeder_test_modest;
        grant select on sale to seeder_test_modest
    """)
    yield make_url(far_url).set(username="seeder_test_modest", password="modest").render_as_string(False)
    bench.sql("drop owned by seeder_test_modest cascade; drop role seeder_test_modest")


def test_a_backend_on_this_host_is_read_from_its_process(bench: Bench) -> None:
    with connected(bench.platform.url) as session:
        figures = run(bench, session).figures
        assert session.row(SETTINGS).s == "off notice"
    assert figures.memory_mb is not None
    assert figures.memory_mb > 0


def test_a_short_run_has_no_cpu_where_the_kernel_counts_in_ticks(bench: Bench) -> None:
    with connected(bench.platform.url) as session:
        assert run(bench, session, "select 1 as one").figures.cpu_percentage is None


def test_a_backend_elsewhere_is_known_by_the_servers_own_report(bench: Bench, far_url: str) -> None:
    with connected(far_url) as session:
        for _ in ("created", "refreshed"):
            figures = run(bench, session).figures
            assert figures.memory_mb is not None
            assert figures.memory_mb > 1
            assert figures.cpu_percentage is not None
            assert 0 < figures.cpu_percentage < 110
            assert session.row(SETTINGS).s == "off notice"


def test_the_report_ends_with_a_run_that_fails_too(bench: Bench, far_url: str) -> None:
    with connected(far_url) as session:
        with pytest.raises(QueryFailed, match="division by zero"):
            run(bench, session, "select 1 / (select count(*) from sale where id < 0) as one")
        assert session.row(SETTINGS).s == "off notice"


def test_a_role_without_the_right_to_the_report_leaves_it_unknown(bench: Bench, modest_url: str) -> None:
    with connected(modest_url) as session:
        figures = run(bench, session).figures
    assert (figures.memory_mb, figures.cpu_percentage, figures.records) == (None, None, 1)


def test_a_role_with_the_right_to_the_report_has_it(bench: Bench, modest_url: str) -> None:
    bench.sql("grant set on parameter log_statement_stats to seeder_test_modest")
    with connected(modest_url) as session:
        figures = run(bench, session).figures
    assert figures.memory_mb is not None
    assert figures.cpu_percentage is not None


def test_a_server_that_reports_on_its_planner_leaves_it_unknown(bench: Bench, far_url: str) -> None:
    """log_statement_stats can't be on beside it."""
    with connected(far_url) as session:
        session.run_text("set log_planner_stats = on")
        assert run(bench, session).figures.memory_mb is None


REPORT = """LOG:  QUERY STATISTICS
DETAIL:  ! system usage stats:
!\t0.633331 s user, 0.095903 s system, 0.736805 s elapsed
!\t[2.457541 s user, 0.506563 s system total]
!\t99296 kB max resident size
!\t0/144424 [496/605336] filesystem blocks in/out
"""


def test_reports_are_added_up_and_the_last_has_the_memory() -> None:
    later = REPORT.replace("0.633331", "0.366669").replace("99296", "204800")
    assert reported(["NOTICE:  hello\n", REPORT, later], 2.0) == Usage(200, round(100 * 1.191806 / 2))


def test_a_report_without_memory_has_cpu_only() -> None:
    assert reported([REPORT.replace("99296 kB max resident size", "")], 1.0) == Usage(None, 73)


@pytest.mark.parametrize("notices", [[], ["LOG:  duration: 1.0 ms\n"]])
def test_no_report_is_unknown(notices: list[str]) -> None:
    assert reported(notices, 1.0) == UNKNOWN
