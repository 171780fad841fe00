"""What one client may hold of the server: so many connections, each for so long without a whole request.

uvicorn limits neither (0.54): a client that sends a header's first half keeps a socket for good, and a few
thousand of them all that a process may have.
"""

import asyncio
from collections import Counter
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: From the connection's beginning, or the first byte after the last answer, until the headers are there.
HEADERS_SECONDS = 10.0

#: From then until the body is. Ours are forms and small JSON.
BODY_SECONDS = 30.0

#: Connections of one address at a time: a browser has six, and one for each open page that stays up to date.
MOST_CONNECTIONS = 200

#: Of a reverse proxy, which is many people (seeder.web.live.feed.MOST_VIEWERS).
MOST_OF_A_PROXY = 2000

FULL = b"Too many connections from this address are open already.\n"
REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain; charset=utf-8\r\nretry-after: 5\r\n"
    b"connection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(FULL), FULL)
)


class BoundedProtocol(HttpToolsProtocol):
    """A connection that ends when its request doesn't come; ``bounded`` sets how many there may be."""

    most_connections = MOST_CONNECTIONS
    open_by_address: Counter[str]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline: asyncio.TimerHandle | None = None
        self._counted: str | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if peer else ""
        if self.open_by_address[address] >= self.most_connections:
            self.transport = transport
            transport.write(REFUSAL)
            transport.close()
            return
        self.open_by_address[address] += 1
        self._counted = address
        super().connection_made(transport)
        self._within(HEADERS_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._in_time()
        if self._counted is not None:
            self.open_by_address[self._counted] -= 1
            if not self.open_by_address[self._counted]:
                del self.open_by_address[self._counted]
            self._counted = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        # A byte ends uvicorn's own limit on an idle connection, whether or not it begins a request.
        if self._deadline is None and (self.cycle is None or self.cycle.response_complete):
            self._within(HEADERS_SECONDS)
        super().data_received(data)

    def on_headers_complete(self) -> None:
        self._within(BODY_SECONDS)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_time()
        super().on_message_complete()

    def _within(self, seconds: float) -> None:
        self._in_time()
        self._deadline = self.loop.call_later(seconds, self._too_late)

    def _in_time(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self.transport.close()


def bounded(most_connections: int) -> type[BoundedProtocol]:
    """For one server: the connections of each address are counted over all of its own."""
    return type(
        "ServedProtocol",
        (BoundedProtocol,),
        {"most_connections": most_connections, "open_by_address": Counter()},
    )
