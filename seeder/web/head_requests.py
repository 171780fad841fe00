"""HEAD is GET without its body (RFC 9110, 9.3.2). FastAPI's routes know GET alone, and monitors, proxies and
``curl -I`` ask so."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Without an end, so without a GET whose body could be left out.
STREAM = "/api/events"


class HeadRequests:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD" or scope["path"] == STREAM:
            await self._app(scope, receive, send)
            return

        async def without_body(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        await self._app({**scope, "method": "GET"}, receive, without_body)
