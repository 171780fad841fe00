"""The pages to log in with the token, and to log out."""

from urllib.parse import parse_qs, urlsplit

import structlog
from fastapi import APIRouter, HTTPException, Request, Response
from starlette.responses import RedirectResponse

from seeder.web.pages.rendering import page
from seeder.web.security.access import too_many_tries
from seeder.web.security.cookies import COOKIE, SESSION_SECONDS
from seeder.web.services import services

log = structlog.get_logger(__name__)

router = APIRouter(include_in_schema=False)

#: A token, a name and an address of ours fit into this many bytes.
LONGEST_FORM = 8192

WRONG = "This isn't the token in SEEDER_API_TOKEN. `seeder web` prints one where none is set."


@router.get("/login")
async def show(request: Request, next: str = "/") -> Response:
    return page(request, "login.html", next=_ours(next), failure=None)


@router.post("/login")
async def log_in(request: Request) -> Response:
    origin = request.headers.get("origin")
    if origin not in (None, "null") and urlsplit(str(origin)).netloc != request.headers.get("host"):
        raise HTTPException(403, "This login form isn't ours. Open /login and try again.")
    form = await _form(request)
    back = _ours(form.get("next", "/"))
    here = services(request)
    address = request.client.host if request.client else ""
    if not here.access.is_token(form.get("token", "").strip()):
        if wait := here.tries.wait_seconds(address):
            return too_many_tries(request, wait)
        here.tries.wrong(address)
        log.warning("a login with a wrong token", address=address)
        refused = page(request, "login.html", next=back, failure=WRONG)
        refused.status_code = 403
        return refused
    name = "".join(c for c in form.get("name", "") if c.isprintable()).strip() or "somebody with the token"
    answer = RedirectResponse(back, 303)
    answer.set_cookie(
        COOKIE,
        here.sessions.begin(name),
        max_age=SESSION_SECONDS,
        httponly=True,
        samesite="strict",
        # A proxy that speaks TLS says so; a client that claims it wrongly only loses its own cookie.
        secure="https" in (request.url.scheme, request.headers.get("x-forwarded-proto")),
    )
    log.info("logged in", by=name, address=address)
    return answer


@router.post("/logout", status_code=204)
async def log_out() -> Response:
    answer = Response(status_code=204)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer


async def _form(request: Request) -> dict[str, str]:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LONGEST_FORM:
            raise HTTPException(413, "This form is longer than a token, a name and an address can be.")
    return {name: values[-1] for name, values in parse_qs(body.decode(errors="replace")).items()}


def _ours(address: str) -> str:
    """A path on this server, whatever somebody wrote behind ``next=``."""
    parts = urlsplit(address)
    ours = (
        address.startswith("/")
        and not address.startswith(("//", "/\\"))
        and not (parts.scheme or parts.netloc)
    )
    return address if ours and address.isprintable() else "/"
