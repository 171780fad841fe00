"""HEAD, as monitors, proxies and ``curl -I`` send it."""

from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
from fastapi.testclient import TestClient
from support.contract import Platform


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/login",
        "/healthz",
        "/readyz",
        "/api/jobs",
        "/api/frozen",
        "/frozen",
        "/nights",
        "/nowhere",
        "/static/seeder.css",
    ],
)
def test_head_tells_of_what_get_would_bring(platform: Platform, client: TestClient, path: str) -> None:
    platform.custom(1)
    brought, told = client.get(path), client.head(path)
    assert (told.status_code, told.content) == (brought.status_code, b"")
    for name in ("content-type", "content-length", "etag", "content-security-policy"):
        assert told.headers.get(name) == brought.headers.get(name)


def test_a_connection_goes_on_after_it(platform: Platform, address: str) -> None:
    connection = HTTPConnection(urlsplit(address).netloc, timeout=20)
    for method in ("HEAD", "GET", "HEAD"):
        connection.request(method, "/api/jobs")
        answer = connection.getresponse()
        assert (answer.status, bool(answer.read())) == (200, method == "GET")
    connection.close()


def test_it_shows_nothing_that_get_would_not(make_app) -> None:  # type: ignore[no-untyped-def]
    with TestClient(make_app(loopback=False), follow_redirects=False) as client:
        assert client.head("/api/jobs").status_code == 401
        assert client.head("/api/events").status_code == 401
