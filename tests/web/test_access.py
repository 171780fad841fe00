"""Who may read and write, by the app itself."""

from collections.abc import Callable

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from support.contract import Platform
from support.visits import HERE, TOKEN

from seeder.config.settings import load_settings
from seeder.errors import BadSetting
from seeder.web.pages.login import _ours
from seeder.web.security.access import is_loopback
from seeder.web.security.attempts import ALLOWED, SECONDS_PER_TRY, Tries
from seeder.web.security.cookies import COOKIE, Sessions
from seeder.web.serving import Exposed, access_of

REFRESH = "/api/jobs/sales/refresh"


def asking(app: FastAPI, base_url: str = HERE, **headers: str) -> TestClient:
    return TestClient(app, base_url=base_url, follow_redirects=False, headers=headers)


def log_in(client: TestClient, **more: str) -> None:
    answer = client.post("/login", data={"token": TOKEN, "name": "Ada <b>", "next": "/x", **more})
    assert (answer.status_code, answer.headers["location"]) == (303, "/x")


def csrf_of(client: TestClient) -> str:
    page = client.get("/login").text
    return page.partition('name="csrf" content="')[2].partition('"')[0]


@pytest.fixture(autouse=True)
def sales(platform: Platform) -> None:
    platform.custom(1, table_name="sales")


# --- reading -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["localhost:8080", "127.0.0.1:8080", "[::1]:8080", "127.0.0.5", "x.localhost"]
)
def test_on_loopback_anybody_reads(app: FastAPI, host: str) -> None:
    assert asking(app, Host=host).get("/api/jobs").status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil", "10.0.0.1", "", "[x"]
)
def test_a_name_that_was_made_to_point_here_is_let_in_by_nothing_but_a_token(app: FastAPI, host: str) -> None:
    assert asking(app, Host=host).get("/api/jobs").status_code == 401
    assert asking(app, Host=host, Authorization=f"Bearer {TOKEN}").get("/api/jobs").status_code == 200


@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"])
def test_what_a_proxy_passes_on_is_not_from_this_machine(app: FastAPI, name: str) -> None:
    assert asking(app, **{name: "192.0.2.1"}).get("/api/jobs").status_code == 401


def test_elsewhere_nobody_unknown_reads(make_app: Callable[..., FastAPI]) -> None:
    app = make_app(loopback=False)
    for path in ("/api/jobs", "/api/summary", "/api/events", "/api/openapi.json", "/nowhere"):
        answer = asking(app).get(path)
        assert answer.status_code == 401, path
        assert answer.headers["www-authenticate"] == "Bearer"
    assert asking(app, Authorization=f"Bearer {TOKEN}").get("/api/jobs").status_code == 200
    for path in ("/healthz", "/readyz", "/login", "/static/seeder.css"):
        assert asking(app).get(path).status_code == 200, path


def test_a_browser_is_led_to_the_login_and_back(make_app: Callable[..., FastAPI]) -> None:
    answer = asking(make_app(loopback=False), Accept="text/html").get("/jobs/a b?x=1&y=2")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/login?next=/jobs/a%20b%3Fx%3D1%26y%3D2"


def test_with_a_trusted_proxy_only_whom_it_names_reads(make_app: Callable[..., FastAPI]) -> None:
    app = make_app(token=None, proxy_header="X-Forwarded-User")
    assert asking(app).get("/api/jobs").status_code == 401
    assert asking(app, **{"X-Forwarded-User": ""}).get("/api/jobs").status_code == 401
    assert asking(app, **{"X-Forwarded-User": "ada"}).get("/api/jobs").status_code == 200


def test_a_header_nobody_configured_names_nobody(make_app: Callable[..., FastAPI]) -> None:
    app = make_app(loopback=False)
    assert asking(app, **{"X-Forwarded-User": "ada"}).get("/api/jobs").status_code == 401


# --- writing -----------------------------------------------------------------------------------------------


def test_writing_needs_somebody_known_on_loopback_too(app: FastAPI) -> None:
    assert asking(app).post(REFRESH).status_code == 401
    assert asking(app, Authorization="Bearer wrong").post(REFRESH).status_code == 401
    assert asking(app, Authorization=f"Basic {TOKEN}").post(REFRESH).status_code == 401
    assert asking(app, Authorization=f"bearer {TOKEN}").post(REFRESH).status_code == 202


def test_where_nobody_can_log_in_nobody_writes(make_app: Callable[..., FastAPI]) -> None:
    answer = asking(make_app(token=None)).post(REFRESH)
    assert answer.status_code == 403
    assert "SEEDER_API_TOKEN" in answer.json()["error"]["message"]


def test_a_login_writes_with_the_pages_token_only(app: FastAPI) -> None:
    with asking(app) as browser:
        log_in(browser)
        csrf = csrf_of(browser)
        assert browser.post(REFRESH).status_code == 403
        assert browser.post(REFRESH, headers={"X-CSRF-Token": "x" * 64}).status_code == 403
        assert browser.post(REFRESH, headers={"X-CSRF-Token": "ü".encode()}).status_code == 403
        assert browser.post(REFRESH, headers={"X-CSRF-Token": csrf}).status_code == 202
        assert browser.post("/logout", headers={"X-CSRF-Token": csrf}).status_code == 204
        assert browser.post(REFRESH, headers={"X-CSRF-Token": csrf}).status_code == 401


def test_one_sessions_token_is_of_no_use_to_another(app: FastAPI) -> None:
    one, other = asking(app), asking(app)
    log_in(one)
    log_in(other)
    assert csrf_of(one) != csrf_of(other)
    assert one.post(REFRESH, headers={"X-CSRF-Token": csrf_of(other)}).status_code == 403


def test_a_proxys_user_writes_with_the_pages_token_only(make_app: Callable[..., FastAPI]) -> None:
    ada = asking(make_app(token=None, proxy_header="X-User"), **{"X-User": "ada"})
    assert ada.post(REFRESH).status_code == 403
    assert ada.post(REFRESH, headers={"X-CSRF-Token": csrf_of(ada)}).status_code == 202


def test_who_asked_is_logged_with_each_run(app: FastAPI, heard: pytest.LogCaptureFixture) -> None:
    browser = asking(app)
    log_in(browser, name="Ada\x1b Lovelace")
    started = browser.post(REFRESH, headers={"X-CSRF-Token": csrf_of(browser)}).json()
    (line,) = [one for one in heard.messages if "refresh asked for" in one]
    assert started["runIds"][0] in line
    assert "Ada Lovelace" in line


# --- the login ---------------------------------------------------------------------------------------------


def test_the_cookie_is_kept_from_scripts_and_other_sites(app: FastAPI) -> None:
    plain = asking(app).post("/login", data={"token": TOKEN}).headers["set-cookie"].lower()
    assert "httponly" in plain
    assert "samesite=strict" in plain
    assert "; secure" not in plain
    behind_tls = asking(app, **{"X-Forwarded-Proto": "https"}).post("/login", data={"token": TOKEN})
    assert "; secure" in behind_tls.headers["set-cookie"].lower()


def test_a_login_form_of_another_site_is_refused(app: FastAPI) -> None:
    for origin in ("https://evil.example", "http://localhost:9"):
        assert asking(app, Origin=origin).post("/login", data={"token": TOKEN}).status_code == 403
    assert asking(app, Origin=HERE).post("/login", data={"token": TOKEN}).status_code == 303


def test_a_form_without_end_is_not_read(app: FastAPI) -> None:
    assert asking(app).post("/login", content=b"token=" + b"x" * 100_000).status_code == 413


def test_guessers_are_told_to_wait_by_the_login_and_the_api_and_lock_nobody_out(
    app: FastAPI,
) -> None:
    guesser = asking(app)
    for number in range(ALLOWED):
        if number % 2:
            answer = guesser.post("/login", data={"token": f"guess {number}"})
            assert answer.status_code == 403
        else:
            answer = guesser.get("/api/jobs", headers={"Authorization": f"Bearer {number}"})
            assert answer.status_code == 401
    wrong = guesser.get("/api/jobs", headers={"Authorization": "Bearer one more"})
    assert wrong.status_code == 429
    assert 0 < int(wrong.headers["retry-after"]) <= SECONDS_PER_TRY
    assert guesser.post("/login", data={"token": "one more"}).status_code == 429
    assert guesser.get("/api/jobs").status_code == 200
    # Behind a proxy they have the address of everybody else.
    right = guesser.post("/api/failing/refresh", json={}, headers={"Authorization": f"Bearer {TOKEN}"})
    assert right.status_code == 202
    assert guesser.post("/login", data={"token": TOKEN}).status_code == 303


def test_wrong_tokens_fade_one_by_one_and_addresses_are_told_apart() -> None:
    now = [0.0]
    tries = Tries(lambda: now[0])
    for _ in range(ALLOWED):
        assert tries.wait_seconds("a") == 0
        tries.wrong("a")
    assert tries.wait_seconds("a") == SECONDS_PER_TRY
    assert tries.wait_seconds("b") == 0
    now[0] += SECONDS_PER_TRY
    assert tries.wait_seconds("a") == 0
    tries.wrong("a")
    assert tries.wait_seconds("a") > 0


@given(st.text(), st.text())
def test_no_cookie_but_ours_is_a_session(name: str, noise: str) -> None:
    sessions = Sessions(TOKEN)
    cookie = sessions.begin(name)
    session = sessions.read(cookie)
    assert session is not None
    assert session.name == name[:100]
    assert Sessions("another-token-than-that").read(cookie) is None
    assert sessions.read(noise) is None
    assert sessions.read(cookie + noise) is None or noise == ""
    text, _, signature = cookie.partition(".")
    assert sessions.read(f"{noise}{text}.{signature}") is None or noise == ""


def test_a_session_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    sessions = Sessions(TOKEN)
    cookie = sessions.begin("ada")
    later = time.time() + 13 * 3600
    monkeypatch.setattr(time, "time", lambda: later)
    assert sessions.read(cookie) is None


def test_a_broken_cookie_is_nobody(app: FastAPI) -> None:
    browser = asking(app)
    browser.cookies.set(COOKIE, "nonsense")
    assert browser.get("/api/jobs").status_code == 200
    assert browser.post(REFRESH).status_code == 401


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "x",
        "",
        "/a\nb",
        "/\t/e",
    ],
)
def test_a_login_leads_nowhere_else(address: str) -> None:
    assert _ours(address) == "/"


def test_a_login_leads_back_to_our_page() -> None:
    assert _ours("/jobs?status=error#x") == "/jobs?status=error#x"


# --- where it may listen -----------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "reports.example"])  # noqa: S104 - refused
def test_other_machines_are_served_only_with_a_way_to_know_them(host: str) -> None:
    with pytest.raises(Exposed):
        access_of(load_settings(), host, "made-up")
    assert not access_of(load_settings(api_token=TOKEN), host).loopback
    assert not access_of(load_settings(trust_proxy_user="X-User"), host).loopback


def test_loopback_is_what_browsers_take_for_it() -> None:
    assert all(map(is_loopback, ["127.0.0.1", "127.9.9.9", "::1", "localhost", "a.localhost"]))
    assert not any(map(is_loopback, ["0.0.0.0", "128.0.0.1", "::", "localhost.example", ""]))  # noqa: S104


@pytest.mark.parametrize("token", ["short", "sixteen-charactér", "with a space in it", "x" * 15])
def test_a_weak_or_unsendable_token_is_refused(token: str) -> None:
    with pytest.raises(BadSetting, match="16 or more"):
        load_settings(api_token=token)


# --- what every answer carries -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/api/jobs", "/nowhere", "/login", "/static/seeder.js", "/api/jobs?limit=0"]
)
def test_every_answer_carries_the_headers_against_foreign_frames_and_scripts(
    client: TestClient, path: str
) -> None:
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"


def test_the_pages_frame_holds_nothing_inline(client: TestClient) -> None:
    page = client.get("/login?next=/x%22onload=1").text
    assert "<script>" not in page
    assert "style=" not in page
    assert "onclick" not in page
    assert 'value="/x&#34;onload=1"' in page
