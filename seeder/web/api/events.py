"""The endpoint that sends changes as they happen, as server-sent events."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, HTTPException, Request
from starlette.responses import StreamingResponse

from seeder.web.api.answers import ERRORS
from seeder.web.services import services
from seeder.web.wire.jobs import Changes

router = APIRouter(tags=["events"], responses=ERRORS)

STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A stream that ends when either side closes it. `hello` comes first; `changes` "
        "tells of jobs (its data is a `Changes`); `reload` says that some changes were missed: read anew; "
        "`unread` says why nothing is known for now, until a `reload`.",
        "content": {
            "text/event-stream": {
                "schema": {"type": "string"},
                "example": 'id: 5f2a91c0-7\nevent: changes\ndata: {"version":7,"count":1,"jobs":[…]}\n\n',
            }
        },
    }
}


@router.get(
    "/api/events", responses=STREAM, response_class=StreamingResponse, summary="Changes as they happen",
    openapi_extra={"x-event-data": Changes.__name__},
)  # fmt: skip
async def events(
    request: Request,
    last_event_id: Annotated[
        str | None, Header(alias="Last-Event-ID", max_length=100, description="A browser sends it by itself.")
    ] = None,
) -> StreamingResponse:
    """Server-sent events: `curl -N …/api/events` shows them."""
    live = services(request).live
    if live.feed.full:
        raise HTTPException(503, "Too many viewers follow this server's events already. Try again later.")
    live.interested()
    return StreamingResponse(
        live.feed.follow(last_event_id),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )
