"""Decides who may read and write: every request is checked before its route is looked up.

| | read | write |
| --- | --- | --- |
| on loopback, nobody known | yes | no |
| elsewhere, nobody known | no | no |
| with the token, a login, or a proxy's user | yes | yes |

On loopback, reading is open to every account of the machine, but to no web page of another host that has its
name point here (DNS rebinding): the request must name this machine by a loopback name. Nor is it open to what
a reverse proxy passes on, which comes from who knows where.
"""

import hmac
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from seeder.web.problems import problem, wants_page
from seeder.web.security.attempts import Tries
from seeder.web.security.cookies import COOKIE, LONGEST_NAME, Sessions

#: Open to everybody: whether we live, how to get in, and what the login page looks like.
OPEN_PATHS = ("/healthz", "/readyz", "/login")
OPEN_FOLDER = "/static/"

READING = ("GET", "HEAD", "OPTIONS")

CSRF_HEADER = "X-CSRF-Token"

#: What a reverse proxy adds.
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")

SIGN_IN = "Send the token as the header `Authorization: Bearer …`, or log in at /login."


@dataclass(frozen=True)
class Viewer:
    """Who asks. ``name`` None is somebody unknown on loopback; ``csrf`` None needs no such token."""

    name: str | None = None
    csrf: str | None = None

    @property
    def may_write(self) -> bool:
        return self.name is not None


NOBODY = Viewer()


@dataclass(frozen=True)
class Access:
    """The rules of one server: whether only this machine reaches it, its token, and the header it trusts."""

    loopback: bool
    token: str | None = field(default=None, repr=False)
    proxy_header: str | None = None

    def is_token(self, text: str) -> bool:
        return self.token is not None and hmac.compare_digest(text.encode(), self.token.encode())

    def open_to(self, headers: Headers) -> bool:
        """Whether a request by nobody known may read."""
        return (
            self.loopback
            and self.proxy_header is None
            and is_loopback(host_of(headers))
            and not any(name in headers for name in FORWARDED)
        )


def is_loopback(host: str) -> bool:
    """Whether a name or address is this machine's own, as browsers resolve it without asking anybody."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def host_of(headers: Headers) -> str:
    """The host a request names, without its port; empty where it names none that can be read."""
    try:
        return urlsplit(f"//{headers.get('host', '')}").hostname or ""
    except ValueError:
        return ""


def viewer(request: HTTPConnection) -> Viewer:
    """Who asks, as the gate found out."""
    found: Viewer = request.scope["state"]["viewer"]
    return found


class AccessMiddleware:
    """Lets requests through, each with its ``Viewer``, or answers them."""

    def __init__(self, app: ASGIApp, access: Access, sessions: Sessions, tries: Tries) -> None:
        self._app = app
        self._access = access
        self._sessions = sessions
        self._tries = tries

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        found = self._viewer(request)
        refusal = found if isinstance(found, Response) else self._refusal(request, found)
        if refusal is not None and not _is_open(request):
            await refusal(scope, receive, send)
            return
        scope.setdefault("state", {})["viewer"] = NOBODY if isinstance(found, Response) else found
        await self._app(scope, receive, send)

    def _viewer(self, request: Request) -> Viewer | Response:
        """Whom the request shows, by the strongest evidence; a wrong token is an answer by itself."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self._by_token(request, token.strip())
        if cookie := request.cookies.get(COOKIE):
            session = self._sessions.read(cookie)
            if session is not None and self._access.token is not None:
                return Viewer(session.name, self._sessions.csrf(f"session {session.nonce}"))
        if self._access.proxy_header and (name := request.headers.get(self._access.proxy_header, "").strip()):
            return Viewer(name[:LONGEST_NAME], self._sessions.csrf(f"user {name}"))
        return NOBODY

    def _by_token(self, request: Request, token: str) -> Viewer | Response:
        address = request.client.host if request.client else ""
        if self._access.is_token(token):
            return Viewer("the token's holder")
        if wait := self._tries.wait_seconds(address):
            return too_many_tries(request, wait)
        self._tries.wrong(address)
        return problem(401, f"This token isn't the one in SEEDER_API_TOKEN. {SIGN_IN}", headers=_ASK)

    def _refusal(self, request: Request, found: Viewer) -> Response | None:
        if request.method in READING:
            if found.may_write or self._access.open_to(request.headers):
                return None
            return self._unknown(request)
        if not found.may_write:
            return self._unknown(request)
        if found.csrf is not None and not _sent_by_our_page(request, found.csrf):
            return problem(
                403,
                f"A request with a login's cookie needs the header {CSRF_HEADER}, which our pages hold in "
                '<meta name="csrf">. Reload the page and try again, or use the token instead of the cookie.',
            )
        return None

    def _unknown(self, request: Request) -> Response:
        if self._access.token is None and self._access.proxy_header is None:
            return problem(
                403, "Nobody can log in, since no SEEDER_API_TOKEN is set. Set it and start again."
            )
        if self._access.token is not None and request.method in READING and wants_page(request):
            here = quote(request.url.path + (f"?{request.url.query}" if request.url.query else ""))
            return RedirectResponse(f"/login?next={here}", 303)
        return problem(401, f"This needs a token or a login. {SIGN_IN}", headers=_ASK)


_ASK = {"WWW-Authenticate": "Bearer"}


def too_many_tries(request: Request, seconds: int) -> Response:
    return problem(
        429,
        f"Too many wrong tokens came from this address. Try again in {seconds} s.",
        headers={"Retry-After": str(seconds)},
        page=wants_page(request),
    )


def _is_open(request: Request) -> bool:
    path: str = request.scope["path"]
    return path in OPEN_PATHS or path.startswith(OPEN_FOLDER)


def _sent_by_our_page(request: Request, csrf: str) -> bool:
    sent = request.headers.get(CSRF_HEADER, "")
    return hmac.compare_digest(sent.encode(), csrf.encode())
