"""How endpoints answer: JSON built once, with a weak ETag; and the parameters of requests."""

import re
from collections.abc import Callable
from hashlib import blake2b
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, StringConstraints
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from seeder.web.services import Services, services
from seeder.web.wire.problems import Problem

#: Documents of errors that any endpoint may answer with.
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": description}
    for status, description in {
        401: "Nobody known, where somebody must be.",
        403: "Not from here, or not like this.",
        422: "The request can't be used.",
        429: "Too many wrong tokens.",
        503: "The database, or what a request needs beside it, is out of reach.",
    }.items()
}
NOT_FOUND: dict[int | str, dict[str, Any]] = {
    404: {"model": Problem, "description": "There is no such thing."}
}
BAD_CURSOR: dict[int | str, dict[str, Any]] = {
    409: {"model": Problem, "description": "The cursor is of another list, or of another order."}
}
UNCHANGED: dict[int | str, dict[str, Any]] = {304: {"description": "What If-None-Match names is still so."}}

PAGE_LIMIT = 50
MOST_PER_PAGE = 1000

# --- what a request may hold ------------------------------------------------------------------------------


def _moment(value: object) -> str:
    """Only text with date and time; a + that wasn't escaped has become a space on its way."""
    if not isinstance(value, str) or not re.match(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d", value):
        raise ValueError("write a moment with its offset, such as 2026-11-24T02:00:00+00:00")
    return re.sub(r" (?=\d\d:?\d\d$)", "+", value)


def _not_empty(value: str) -> str | None:
    """A form that is sent with an empty field means no filter."""
    return value or None


# PostgreSQL's text can't hold a NUL.
Text = Annotated[str, StringConstraints(max_length=500, pattern=r"^[^\x00]*$"), AfterValidator(_not_empty)]
When = Annotated[AwareDatetime, BeforeValidator(_moment)]
TableName = Annotated[
    str,
    Path(
        alias="tableName", description="As the record has it; percent-encoded.", examples=["agency_ua_sales"]
    ),
]


class Asked(BaseModel):
    """The query of a request. An unknown name is an error: a mistyped filter would else take everything."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Paged(Asked):
    limit: Annotated[int, Query(ge=1, le=MOST_PER_PAGE, description="Rows per page.")] = PAGE_LIMIT
    cursor: Annotated[Text | None, Query(description="`next` of the page before.")] = None


# --- answers ----------------------------------------------------------------------------------------------


def json_bytes(model: BaseModel) -> bytes:
    return to_json(model, by_alias=True)


def matches(request: Request, etag: str) -> bool:
    """Whether the asker has what that tag names. Compared weakly, as If-None-Match is (RFC 9110, 13.1.2)."""
    known = request.headers.get("if-none-match")
    if known is None:
        return False
    return known.strip() == "*" or etag.removeprefix("W/") in (
        one.strip().removeprefix("W/") for one in known.split(",")
    )


def answer(request: Request, etag: str, make: Callable[[], bytes]) -> Response:
    """304 where the asker has it already, without making it anew."""
    if matches(request, etag):
        return unchanged(etag)
    return Response(make(), headers={"ETag": etag}, media_type="application/json")


def unchanged(etag: str) -> Response:
    return Response(status_code=304, headers={"ETag": etag})


def tagged(request: Request, body: bytes) -> Response:
    """An answer whose tag is made from what is in it: it saves the way, not the work."""
    return answer(request, f'W/"{digest(body)}"', lambda: body)


def digest(text: bytes) -> str:
    return blake2b(text, digest_size=12).hexdigest()


def version_tag(request: Request, version: int, *parts: object) -> str:
    """A tag for what depends on the jobs in memory alone, at one version of theirs in this process."""
    here: Services = services(request)
    return f'W/"{here.live.feed.origin}-{version}-{digest(repr(parts).encode())}"'
