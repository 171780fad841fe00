"""A job's page: its SQL with the error's place, its matview, why it takes long, and how its runs went."""

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from html import unescape
from urllib.parse import quote

import pytest
from celery import Celery
from fastapi import FastAPI
from fastapi.testclient import TestClient
from psycopg2.errors import QueryCanceled
from support.contract import Platform, as_it_is, new_run
from test_jobs import NASTY, NIGHT, run
from test_pages import get

from seeder.app import celery_settings
from seeder.broker.delayed import Ready
from seeder.broker.upstreams import Upstreams
from seeder.config.settings import Settings, load_settings
from seeder.equipment import Equipment
from seeder.errors import SeederError
from seeder.matviews import bring_up_to_date, policy_of
from seeder.matviews.locks import lock
from seeder.matviews.locks.lock_key import key_of
from seeder.postgres.application_names import application_name
from seeder.web.application import create_app
from seeder.web.security.access import Access

QUERY = """-- seeder: unique=(id)
select id, amount   -- of agency :agency_id
from sale
where agency_id = :agency_id"""


@pytest.fixture
def sale(platform: Platform) -> Platform:
    platform.sql("""
        create table public.sale (id integer, agency_id integer, amount numeric);
        insert into public.sale select n, 7, n from generate_series(1, 100) as n
    """)
    return platform


def refreshed(platform: Platform, app: FastAPI, number: int, night: str = NIGHT) -> None:
    """One run as a worker does it, with whatever comes of it."""
    manifest = platform.manifest("custom", number)
    assert manifest
    run_id = f"{night}.custom-{number}"
    platform.history.queue([new_run(run_id, manifest.table_name, manifest_id=number)])
    platform.history.start(run_id, manifest.table_name)
    policy = policy_of(app.state.services.equipment.settings)
    with platform.databases.session() as session:
        found = lock.take(session, manifest.matview, application_name(run_id, 0), policy.limits)
        try:
            done = bring_up_to_date(session, manifest, found, policy)
        except SeederError as error:
            platform.history.fail(as_it_is(platform.history, run_id), str(error))
        else:
            platform.history.succeed(as_it_is(platform.history, run_id), done.figures)
        finally:
            lock.release(session, manifest.matview)


def words(html: str, part: str = "") -> str:
    """The text of the page, or of the section with that id."""
    text = html.partition(f'id="{part}"')[2] if part else html
    end = text.find("</section>")
    text = text[: end if part and end > 0 else len(text)].partition(">")[2] if part else text
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", text)).split())


def sql_of(html: str) -> str:
    """The SQL on the page as a person copies it."""
    return unescape(
        re.sub(r"<[^>]*>", "", html.partition('<pre class="sql"')[2].partition("</pre>")[0]).partition(">")[2]
    )


def wait_for_page(client: TestClient, path: str, wanted: str, seconds: float = 30) -> str:
    deadline = time.monotonic() + seconds
    while wanted not in words(html := get(client, path), "job-now"):
        assert time.monotonic() < deadline, words(html, "job-now")
        client.portal.call(client.app.state.services.live.look)  # type: ignore[union-attr]
        time.sleep(0.05)
    return html


# --- definition and error ----------------------------------------------------------------------------------


def test_the_sql_is_shown_as_a_run_takes_it(sale: Platform, client: TestClient) -> None:
    sale.custom(1, table_name="sales", query=QUERY)
    html = get(client, "/jobs/sales")
    # In a comment nothing is filled in.
    assert sql_of(html).strip() == QUERY.replace("= :agency_id", "= 7")
    assert '<span class="filled" title=":agency_id"><span class="number">7</span></span>' in html
    assert '<span class="keyword">select</span>' in html
    assert '<span class="comment">-- of agency :agency_id</span>' in html
    assert "underlined is what stands for :agency_id" in words(html, "job-definition")


def test_the_place_of_the_error_is_marked(sale: Platform, app: FastAPI, client: TestClient) -> None:
    sale.custom(1, table_name="sales", query="select id, :agency_id as agency,\n  amoumt\nfrom sale")
    refreshed(sale, app, 1)
    html = get(client, "/jobs/sales")
    assert '<mark id="fault">amoumt</mark>' in html
    told = words(html, "job-now")
    assert '42703: column "amoumt" does not exist' in told
    assert "At line 2, column 3 of the manifest's query" in told
    assert 'href="#fault"' in html
    assert "The next run would fail at line 2, column 3" in words(html, "job-definition")


def test_the_marked_place_is_one_of_the_sql_as_it_is_now(
    sale: Platform, app: FastAPI, client: TestClient
) -> None:
    sale.custom(1, table_name="sales", query="select id,\n  amoumt\nfrom sale")
    refreshed(sale, app, 1)
    assert "Where that is in the SQL" in words(get(client, "/jobs/sales"), "job-now")
    sale.sql("""
        update reporting.seeder_custom_report_manifest set query = '-- a new first line' || chr(10) || query
    """)
    html = get(client, "/jobs/sales")
    assert '<mark id="fault">amoumt</mark>' in html
    assert "The next run would fail at line 3, column 3" in words(html, "job-definition")
    # The recorded error names line 2.
    assert "At line 2, column 3 of the manifest's query" in words(html, "job-now")
    assert "Where that is in the SQL" not in html
    sale.sql("alter table public.sale add amoumt integer")
    html = get(client, "/jobs/sales")
    assert 'id="fault"' not in html
    assert "would fail" not in words(html, "job-definition")


def test_an_error_whose_words_speak_of_a_place_marks_none(
    sale: Platform, app: FastAPI, client: TestClient
) -> None:
    sale.sql("""
        create function public.complain() returns int language plpgsql stable as $f$
        begin raise E'no\nAt line 1, column 8 of the manifest''s query'; end $f$
    """)
    sale.custom(1, table_name="sales", query="select complain() as x from sale")
    refreshed(sale, app, 1)
    html = get(client, "/jobs/sales")
    assert "At line 1, column 8 of the manifest's query" in words(html, "job-now")
    assert 'id="fault"' not in html


def test_what_the_guard_refuses_is_marked_without_any_run(sale: Platform, client: TestClient) -> None:
    sale.custom(1, table_name="sales", query="select 1;\ndrop table sale")
    html = get(client, "/jobs/sales")
    assert '<mark id="fault">drop</mark>' in html
    assert "it goes on after a semicolon" in words(html, "job-definition")


def test_sql_that_can_not_be_filled_in_is_shown_as_it_is_written(sale: Platform, client: TestClient) -> None:
    sale.custom(1, table_name="sales", query="select :nothing as a")
    html = get(client, "/jobs/sales")
    assert sql_of(html).strip() == "select :nothing as a"
    assert "The placeholder :nothing can't be filled" in words(html, "job-definition")
    assert '<mark id="fault">' in html


@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
def test_whatever_the_database_holds_is_shown_as_text(
    platform: Platform, client: TestClient, text: str
) -> None:
    query = "select 1 /* " + text.replace("*/", "") + " */ as one"
    platform.custom(1, table_name="sales", report_name=text, agency_slug=text[:500], query=query)
    platform.custom(2, table_name="sales", report_name=text, query="select 2 as two")
    run_id = f"{NIGHT}.custom-1"
    platform.history.queue([new_run(run_id, "sales", report_name=text, agency_slug=text[:500])])
    platform.history.fail(as_it_is(platform.history, run_id), text)
    html = get(client, "/jobs/sales")
    assert "<script>alert" not in html
    assert sql_of(html).strip() == query
    assert " ".join(text.split()) in words(html, "job-now")
    assert not re.search(r"\sstyle=|\son\w+=", re.sub(r">[^<]*<", "><", html))


def test_no_character_of_the_sql_turns_what_is_beside_it(sale: Platform, client: TestClient) -> None:
    sale.custom(1, table_name="sales", query="select 'admin\u202e' as role")
    assert '<bdi class="control" data-code="U+202E">\u202e</bdi>' in get(client, "/jobs/sales")


def test_a_table_is_found_by_its_name_whatever_is_in_it(platform: Platform, client: TestClient) -> None:
    tables = ["reporting.sales", "a/b", "50%", "q?x#y", "../x"]
    for number, table in enumerate(tables, 1):
        platform.custom(number, table_name=table)
    for table in tables:
        assert f"<bdi>{table}</bdi>" in get(client, f"/jobs/{quote(table, safe='')}")
    assert "No enabled manifest has the table" in get(client, "/jobs/nothing", 404)


# --- the matview -------------------------------------------------------------------------------------------


def test_the_matview_is_told_of(sale: Platform, app: FastAPI, client: TestClient) -> None:
    sale.custom(1, table_name="sales", query=QUERY)
    told = words(get(client, "/jobs/sales"), "job-matview")
    assert told.startswith("Materialized view It isn't there. Next run create .")
    refreshed(sale, app, 1)
    client.portal.call(app.state.services.live.look)  # type: ignore[union-attr]
    html = get(client, "/jobs/sales")
    told = words(html, "job-matview")
    assert "Rows 100 after its last run" in told
    assert "of it indexes)" in told
    assert "Stamp of custom-1 , SQL" in told
    assert "Next run refresh concurrently . The unique index sales_id_key_" in told
    assert "lets it be refreshed concurrently; the manifest asks for it" in told
    assert "CREATE UNIQUE INDEX sales_id_key_" in told
    assert "No session has a lock on it." in told
    assert "public.sale table" in words(html, "job-relations")


def test_reports_that_read_each_other_link_to_each_other(
    sale: Platform, app: FastAPI, client: TestClient
) -> None:
    sale.custom(1, table_name="sales", query=QUERY)
    refreshed(sale, app, 1)
    sale.sql("create view public.big as select * from reporting.sales where amount > 50")
    sale.custom(2, table_name="reporting.big_sales", report_name="Big sales", query="select * from big")
    refreshed(sale, app, 2)
    below = get(client, "/jobs/sales")
    assert '<a class="mono" href="/jobs/reporting.big_sales">' in below
    assert "Read by reporting.big_sales success Big sales through public.big public.big view" in words(
        below, "job-relations"
    )
    assert '<a class="mono" href="/jobs/sales"><bdi>reporting.sales</bdi></a>' in get(
        client, "/jobs/reporting.big_sales"
    )


def test_a_table_of_that_name_is_no_matview(sale: Platform, client: TestClient) -> None:
    sale.sql("create table reporting.sales (id integer)")
    sale.custom(1, table_name="sales", query=QUERY)
    assert "Another relation has its name (table)" in words(get(client, "/jobs/sales"), "job-matview")


def test_a_reader_who_is_at_it_is_shown(sale: Platform, app: FastAPI, client: TestClient) -> None:
    sale.custom(1, table_name="sales", query=QUERY)
    refreshed(sale, app, 1)
    with sale.databases.bare_connection() as reader, reader.cursor() as cursor:
        cursor.execute("set application_name to 'monthly <b>export</b>'")
        cursor.execute("select * from reporting.sales")
        told = words(get(client, "/jobs/sales"), "job-matview")
    assert "monthly <b>export</b> (pid" in told
    assert "idle in transaction" in told
    assert "has AccessShareLock" in told


def test_while_its_rows_are_replaced_the_page_comes_all_the_same(
    sale: Platform, app: FastAPI, client: TestClient
) -> None:
    sale.custom(1, table_name="sales", query=QUERY)
    refreshed(sale, app, 1)
    with sale.databases.bare_connection() as other, other.cursor() as cursor:
        cursor.execute("refresh materialized view reporting.sales")
        told = words(get(client, "/jobs/sales"), "job-matview")
    assert "Size about" in told
    assert "Its rows are being replaced just now" in told
    assert "AccessExclusiveLock" in told


def test_without_its_database_the_page_says_what_it_can_not_know(
    platform: Platform, redis_url: str, settings: Settings
) -> None:
    platform.custom(1, table_name="sales", database_id=7, query="select 1 as one")
    run(platform, 1, "sales")
    elsewhere = "postgresql://reader:hidden-word@127.0.0.1:1/gone"
    own = load_settings(database_url=platform.url, broker_url=redis_url, databases={7: elsewhere})
    with app_of(own, platform.url, redis_url) as client:
        html = get(client, "/jobs/sales")
    assert "Its database can't be reached" in words(html, "job-matview")
    assert "After its last run it had 12 rows" in words(html, "job-matview")
    assert "hidden-word" not in html


def test_a_database_that_never_answers_costs_the_page_two_seconds(platform: Platform, redis_url: str) -> None:
    platform.custom(1, table_name="sales", database_id=7, query="select 1 as one")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        elsewhere = f"postgresql://reader@127.0.0.1:{silent.getsockname()[1]}/gone"
        own = load_settings(database_url=platform.url, broker_url=redis_url, databases={7: elsewhere})
        with app_of(own, platform.url, redis_url) as client:
            get(client, "/jobs/sales?piece=now")
            began = time.monotonic()
            html = get(client, "/jobs/sales")
            took = time.monotonic() - began
    # Ours, or that of the one who waited longest for the same (seeder.postgres.circuit_breaker).
    assert re.search("There was no answer within 2 s|doesn't answer", words(html, "job-matview"))
    # Less than the five seconds after which a connection is given up.
    assert took < 4.5


@contextmanager
def app_of(settings: Settings, url: str, broker: str) -> Iterator[TestClient]:
    equipment = Equipment(settings, url)
    celery = Celery("tests", set_as_current=False)
    celery.conf.update(celery_settings(settings, broker))
    app = create_app(equipment, celery, Access(loopback=True, token="a-token-for-the-tests"))
    with TestClient(app, base_url="http://localhost:8080") as client:
        yield client
    equipment.databases.dispose()
    celery.close()


# --- why it takes long -------------------------------------------------------------------------------------


@pytest.fixture
def at_work(sale: Platform) -> Iterator[Callable[[str], None]]:
    """Executes a statement as the run's worker would: in its name, with the matview's lock."""
    closing = ExitStack()

    def work(statement: str) -> None:
        manifest = sale.manifest("custom", 1)
        assert manifest
        connection = closing.enter_context(sale.databases.bare_connection())
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute("select pg_advisory_lock(%s)", (key_of(manifest.matview),))
        name = application_name(f"{NIGHT}.custom-1", 0)
        cursor.execute("select set_config('application_name', %s, false)", (name,))

        def execute() -> None:
            with suppress(QueryCanceled):
                cursor.execute(statement)

        thread = threading.Thread(target=execute)
        thread.start()
        closing.callback(thread.join, 30)
        closing.callback(connection.cancel)

    with closing:
        yield work


def begin(platform: Platform) -> None:
    platform.history.queue([new_run(f"{NIGHT}.custom-1", "sales")])
    platform.history.start(f"{NIGHT}.custom-1", "sales")


def test_a_run_that_waits_for_a_lock_is_shown_with_who_has_it(
    sale: Platform, app: FastAPI, client: TestClient, at_work: Callable[[str], None]
) -> None:
    sale.custom(1, table_name="sales", query=QUERY)
    refreshed(sale, app, 1, "20261123T0200Z")
    begin(sale)
    with sale.databases.bare_connection() as reader, reader.cursor() as cursor:
        cursor.execute("set application_name to 'a report in Excel'")
        cursor.execute("select count(*)\nfrom reporting.sales")
        at_work("refresh materialized view reporting.sales")
        html = wait_for_page(client, "/jobs/sales", "Waiting for a lock")
        pid = reader.info.backend_pid
    told = words(html, "job-now")
    assert "It waits for AccessExclusiveLock on reporting.sales, which others hold." in told
    assert f"a report in Excel (pid {pid}," in told
    assert "select count(*)" in told
    assert "It is at work just now." in words(html, "job-matview")


def test_a_run_at_work_says_what_it_is_at(
    sale: Platform, client: TestClient, at_work: Callable[[str], None]
) -> None:
    sale.custom(1, table_name="sales", query=QUERY)
    begin(sale)
    at_work("select pg_sleep(60)")
    told = words(wait_for_page(client, "/jobs/sales?piece=now", "PostgreSQL is pausing"), "job-now")
    assert "At work PostgreSQL is pausing (PgSleep). Backend" in told


@pytest.mark.parametrize(
    "errors", ["42703: no such column", "Cancelled by ann.", "Not run: other (agency ua)"]
)
def test_a_report_that_failed_shows_that_while_its_next_run_is_under_way(
    sale: Platform, client: TestClient, errors: str
) -> None:
    sale.custom(1, table_name="sales", query="select nothing from public.sale")
    begin(sale)
    sale.sql(f"update reporting.seeder_job_status set last_errors = '{errors}', consecutive_failures = 1")
    for piece in ("", "?piece=now", "?piece=all"):
        assert errors in words(get(client, f"/jobs/sales{piece}"), "job-now")


def test_a_run_that_nobody_works_on_says_so(sale: Platform, client: TestClient) -> None:
    sale.custom(1, table_name="sales", query=QUERY)
    begin(sale)
    html = get(client, "/jobs/sales")
    assert "No session works on it" in words(html, "job-now")
    assert 'data-live="/jobs/sales?piece=now"' in html
    assert " data-busy" in html


def test_a_pending_run_says_where_it_waits(sale: Platform, app: FastAPI, client: TestClient) -> None:
    sale.custom(1, table_name="sales", query=QUERY)
    sale.custom(2, table_name="source")
    run_id = f"{NIGHT}.custom-1"
    sale.history.queue([new_run(run_id, "sales")])
    room = app.state.services.waiting
    assert "It is in no queue" in words(get(client, "/jobs/sales"), "job-now")
    room._deferral.park(Ready(run_id, "queue", "{}"), "reporting reporting.sales", 0)
    assert "It waits for the run that works on its materialized view now." in words(
        get(client, "/jobs/sales"), "job-now"
    )
    room._deferral.defer(Ready(run_id, "queue", "{}"), 600)
    told = words(get(client, "/jobs/sales"), "job-now")
    assert "Its last try failed in a way that may pass; it is tried again. The next try begins" in told
    upstreams = Upstreams(room._channel.conn_or_acquire)
    upstreams.hold([(Ready(run_id, "queue", "{}"), [f"{NIGHT}.custom-2", f"{NIGHT}.custom-99"])])
    told = words(get(client, "/jobs/sales"), "job-now")
    assert f"It waits until what it reads is refreshed: {NIGHT}.custom-99, source." in told
    assert "At the head" not in told
    upstreams.hold([(Ready(f"{NIGHT}.custom-2", "queue", "{}"), [f"{NIGHT}.custom-3"])])
    told = words(get(client, "/jobs/sales"), "job-now")
    assert f"source. At the head of what that waits for: {NIGHT}.custom-3." in told


def test_a_broker_out_of_reach_leaves_the_page_what_it_is(platform: Platform) -> None:
    platform.custom(1, table_name="sales", query="select 1 as one")
    platform.history.queue([new_run(f"{NIGHT}.custom-1", "sales")])
    nowhere = "redis://:secret-word@127.0.0.1:1/0"
    settings = load_settings(database_url=platform.url, broker_url=nowhere)
    with app_of(settings, platform.url, nowhere) as client:
        html = get(client, "/jobs/sales")
    assert "It waits; where, Redis can't tell now" in words(html, "job-now")
    assert "secret-word" not in html


# --- runs --------------------------------------------------------------------------------------------------


def test_runs_come_in_pages_with_their_figures_and_errors(platform: Platform, client: TestClient) -> None:
    platform.custom(1, table_name="sales")
    for day in range(1, 29):
        run(platform, 1, "sales", f"202610{day:02}T0200Z")
        run(platform, 1, "sales", f"202611{day:02}T0200Z", None if day % 9 else "22012: division\nHint: x")
    html = get(client, "/jobs/sales")
    rows = re.findall(r'<tr class="(success|error)">', html)
    assert len(rows) == 30
    assert '<details id="errors-' in html
    older = re.search(r'href="(/jobs/sales\?cursor=[^"#]*)#job-history" rel="next"', html)
    assert older
    second = get(client, unescape(older[1]))
    # An open page of older runs stays one.
    live = re.search(r'data-live="([^"]*)"', second)
    assert live
    assert get(client, unescape(live[1])).count("<tr ") == second.count("<tr ")
    assert len(re.findall(r'<tr class="(success|error)">', second)) == 26
    assert 'rel="next"' not in second
    assert "Latest runs" in second
    told = words(html, "job-runs")
    assert "56 runs, 3 failed. Those that succeeded took under 1 s." in told
    assert len(re.findall('<rect class="mark"', html)) == 6
    assert "12 s" not in words(html, "job-history")
    assert "50 % 3 MB 20261128T0200Z" in words(html, "job-history")


def test_a_cursor_of_another_list_is_refused(platform: Platform, client: TestClient) -> None:
    platform.custom(1, table_name="sales")
    assert "This cursor is of another list" in get(client, "/jobs/sales?cursor=abc", 409)


def test_a_job_that_never_ran_has_a_page(platform: Platform, client: TestClient) -> None:
    platform.custom(1, table_name="sales", enabled=False)
    html = get(client, "/jobs/sales")
    assert "It has never run." in words(html, "job-runs")
    assert "Next run switched off" in words(html, "job-now")
    assert sql_of(html).strip() == "select 1 as one"
    assert "None: the manifest is switched off." in words(html, "job-matview")


def test_who_shares_the_table_is_named(platform: Platform, client: TestClient) -> None:
    platform.custom(1, table_name="sales")
    platform.custom(2, table_name="sales", report_name="Another", agency_slug="dl")
    assert "Another manifest names the same table: Another (custom-2, dl ) never run" in words(
        get(client, "/jobs/sales"), "job-now"
    )


def test_what_may_be_done_depends_on_who_looks(
    sale: Platform, client: TestClient, holder: TestClient
) -> None:
    sale.custom(1, table_name="sales", query=QUERY)
    begin(sale)
    assert "data-post" not in get(client, "/jobs/sales").partition("<main")[2].partition("</main>")[0]
    html = get(holder, "/jobs/sales")
    for related in ("", "?downstream=true", "?upstream=true"):
        assert f'data-post="/api/jobs/sales/refresh{related}"' in html
    assert f'data-post="/api/runs/{NIGHT}.custom-1/cancel"' in html


def test_a_run_leads_to_flower_where_one_is_configured(platform: Platform, redis_url: str) -> None:
    platform.custom(1, table_name="sales")
    run(platform, 1, "sales")
    for url, expected in (("http://flower.example/x/", True), (None, False)):
        settings = load_settings(database_url=platform.url, broker_url=redis_url, flower_url=url)
        with app_of(settings, platform.url, redis_url) as client:
            html = get(client, "/jobs/sales")
        assert (f'href="http://flower.example/x/task/{NIGHT}.custom-1"' in html) is expected


def test_the_pieces_have_the_pages_own_elements(platform: Platform, client: TestClient) -> None:
    platform.custom(1, table_name="sales")
    run(platform, 1, "sales")
    whole = set(re.findall(r' id="(job-[^"]+)"', get(client, "/jobs/sales")))
    assert set(re.findall(r' id="(job-[^"]+)"', get(client, "/jobs/sales?piece=all"))) == whole
    # What an open page asks for while a run is under way is all, once it is over.
    assert set(re.findall(r' id="(job-[^"]+)"', get(client, "/jobs/sales?piece=now"))) == whole
    platform.history.queue([new_run("n2.custom-1", "sales")])
    client.portal.call(client.app.state.services.live.look)  # type: ignore[union-attr]
    assert set(re.findall(r' id="(job-[^"]+)"', get(client, "/jobs/sales?piece=now"))) == {
        "job-head",
        "job-now",
    }
    assert get(client, "/jobs/sales?piece=x", 422)
