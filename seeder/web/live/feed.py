"""Server-sent events: one source for all viewers of this process.

Each message is made once and kept in a ring of the last few; a viewer is a place in it. A slow viewer waits
in its own task, and one that has fallen out of the ring is told to read anew: nothing is ever kept for it.
https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncIterator

#: Messages kept, about one a second while something happens. One holds at most 100 jobs, about 40 kB.
KEPT = 200

#: A comment after so many seconds without a message keeps proxies from closing the connection.
HEARTBEAT_SECONDS = 15.0

#: What a browser waits before it comes back, in milliseconds.
RETRY = "retry: 2000\n\n"

HEARTBEAT = ": still here\n\n"

#: Viewers of one process at a time; each costs a task and a socket.
MOST_VIEWERS = 2000


class Feed:
    """The ring, and who waits for its next message. All of it in one event loop."""

    def __init__(self) -> None:
        #: Other after each start, so that an id of an earlier process is recognised as one.
        self.origin = secrets.token_hex(4)
        self._messages: deque[str] = deque(maxlen=KEPT)
        self._published = 0
        self._news = asyncio.Event()
        self._closed = False
        self.viewers = 0

    @property
    def full(self) -> bool:
        return self.viewers >= MOST_VIEWERS

    def publish(self, event: str, data: str) -> None:
        """Show a message to all. ``data`` is one line."""
        self._published += 1
        self._messages.append(f"id: {self.origin}-{self._published}\nevent: {event}\ndata: {data}\n\n")
        self._wake()

    def close(self) -> None:
        """Let every viewer's stream end, or a server that stops would wait for them."""
        self._closed = True
        self._wake()

    async def follow(self, last_event_id: str | None) -> AsyncIterator[str]:
        """The messages after that one, as they come; first of all, where it is too long ago, ``reload``."""
        self.viewers += 1
        try:
            seen = self._place(last_event_id)
            yield RETRY
            if seen is None:
                seen = self._published
                yield self._reload()
            elif last_event_id is None:
                # Something with an id, so that a browser that comes back can say from where.
                yield f"id: {self.origin}-{seen}\nevent: hello\ndata: {{}}\n\n"
            while not self._closed:
                if self._published - seen > len(self._messages):
                    seen = self._published
                    yield self._reload()
                while not self._closed and 0 < self._published - seen <= len(self._messages):
                    message = self._messages[seen - self._published]
                    seen += 1
                    yield message
                news = self._news
                if self._published == seen and not self._closed:
                    try:
                        await asyncio.wait_for(news.wait(), HEARTBEAT_SECONDS)
                    except TimeoutError:
                        yield HEARTBEAT
        finally:
            self.viewers -= 1

    def _place(self, last_event_id: str | None) -> int | None:
        """How many messages a viewer has seen; None where it can't be told or some of the rest are gone."""
        if last_event_id is None:
            return self._published
        origin, _, number = last_event_id.rpartition("-")
        if origin != self.origin or not (number.isascii() and number.isdigit()):
            return None
        seen = int(number)
        return seen if 0 <= self._published - seen <= len(self._messages) else None

    def _reload(self) -> str:
        return f"id: {self.origin}-{self._published}\nevent: reload\ndata: {{}}\n\n"

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()
