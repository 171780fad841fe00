"""All errors in one shape: ``{"error": {"code": "notFound", "message": "…", "details": […]}}``.

A person who looks for a page in a browser gets a page with the same words.
"""

import psycopg2
import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from psycopg2 import errorcodes
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from seeder.errors import (
    BrokerUnreachable,
    DatabaseSilent,
    DatabaseUnreachable,
    NotPublished,
    RecordLocked,
    SchemaIncomplete,
    TooMuchAtOnce,
    Unanswered,
    UnknownAgency,
    UnknownReportType,
    UnknownRun,
    UnknownRunOrTable,
    UnknownTable,
    UserError,
)
from seeder.monitoring.holders import told
from seeder.postgres.failures import judged
from seeder.web.holding import RETRY_SECONDS
from seeder.web.templating import environment
from seeder.web.wire.problems import Fault, Problem, ProblemDetail

log = structlog.get_logger(__name__)

CODES = {
    400: "badRequest",
    401: "unauthorized",
    403: "forbidden",
    404: "notFound",
    405: "methodNotAllowed",
    409: "conflict",
    413: "tooLarge",
    422: "invalid",
    429: "tooManyTries",
    500: "internal",
    503: "unavailable",
}

#: What a page about an error is headed with.
TITLES = {
    401: "Who are you?",
    403: "That isn't allowed",
    404: "There is no such thing",
    409: "This list has changed",
    422: "This can't be used",
    429: "Too many tries",
    500: "Something went wrong here",
    503: "Something is out of reach",
}

#: What a person asked for and isn't there, and what has to be there before anything can be answered.
STATUSES: tuple[tuple[type[UserError], int], ...] = (
    (UnknownTable, 404),
    (UnknownAgency, 404),
    (UnknownRun, 404),
    (UnknownRunOrTable, 404),
    (UnknownReportType, 422),
    (DatabaseUnreachable, 503),
    (DatabaseSilent, 503),
    (Unanswered, 503),
    (TooMuchAtOnce, 503),
    (BrokerUnreachable, 503),
    (NotPublished, 503),
    (SchemaIncomplete, 503),
)

#: Where FastAPI says a value was found, in our words.
PLACES = {"body": "the body", "query": "the query", "path": "the path", "header": "the headers"}

#: FastAPI's words for a body that isn't even text.
UNREADABLE = "There was an error parsing the body"

INTERNAL = "Something in seeder itself went wrong; its log has the details. This is a bug; please report it."


def problem(
    status: int,
    message: str,
    *,
    details: list[ProblemDetail] | None = None,
    headers: dict[str, str] | None = None,
    page: bool = False,
) -> Response:
    """An error as JSON, or as a page."""
    if page:
        title = TITLES.get(status, "That didn't work")
        html = environment().get_template("error.html").render(status=status, title=title, message=message)
        return HTMLResponse(html, status, headers)
    fault = Fault(code=CODES.get(status, "error"), message=message, details=details or [])
    body = to_json(Problem(error=fault), by_alias=True)
    return Response(body, status, headers, media_type="application/json")


def wants_page(request: Request) -> bool:
    """Whether a browser asks for a page, rather than a program for data."""
    return not request.url.path.startswith("/api") and "text/html" in request.headers.get("accept", "")


def answer_errors(app: FastAPI) -> None:
    """Have every error that a route raises answered in this shape."""
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(UserError, _user)
    app.add_exception_handler(psycopg2.Error, _database)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = error.detail
    if error.status_code == 404 and message == "Not Found":
        message = f"There is nothing at {request.url.path}. docs/api.md lists what there is."
    elif error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "another method")
        message = f"{request.method} isn't possible at {request.url.path}; use {allowed}."
    elif message == UNREADABLE:
        return problem(422, "The body can't be read: it must be JSON in UTF-8.", page=wants_page(request))
    headers = dict(error.headers) if error.headers else None
    return problem(error.status_code, message, headers=headers, page=wants_page(request))


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    details = [
        ProblemDetail(
            where=" ".join([PLACES.get(str(place), str(place)), *(".".join(map(str, names)),) * bool(names)]),
            problem=one["msg"].removeprefix("Value error, "),
        )
        for one in error.errors()
        for place, *names in [one["loc"]]
    ]
    message = "; ".join(f"{one.where}: {one.problem}" for one in details[:3])
    return problem(422, f"This can't be used: {message}.", details=details, page=wants_page(request))


async def _user(request: Request, error: Exception) -> Response:
    status = next((status for kind, status in STATUSES if isinstance(error, kind)), 400)
    message = str(error)
    if isinstance(error, DatabaseSilent | Unanswered | TooMuchAtOnce):
        message += told(await request.app.state.services.holding.now())
    headers = {"Retry-After": str(error.seconds)} if isinstance(error, TooMuchAtOnce) else None
    return problem(status, message, headers=headers, page=wants_page(request))


async def _database(request: Request, error: Exception) -> Response:
    assert isinstance(error, psycopg2.Error)
    here = request.app.state.services
    if error.pgcode == errorcodes.LOCK_NOT_AVAILABLE:
        words = f"{RecordLocked()}{told(await here.holding.now())}"
        log.warning("a request found the record locked", path=request.url.path, reason=words)
        headers = {"Retry-After": str(RETRY_SECONDS)}
        return problem(503, words, headers=headers, page=wants_page(request))
    databases = here.equipment.databases
    words = databases.scrubbed(str(judged(error)))
    log.error("the database failed a request", path=request.url.path, reason=words)
    return problem(503, f"The reporting database failed the request. {words}", page=wants_page(request))
