"""Ways through which workers reach a server, and on which a connection can go silent.

Silent means that the bytes of both sides are taken and go nowhere, as behind a firewall that has forgotten
the connection. Each side's kernel finds that out by keepalives that nobody answers; a kernel answers those of
its own machine itself, so here the way ends the connection in its stead, after as long as it is told.
"""

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Self


class _Connection:
    def __init__(self, ends: tuple[asyncio.StreamWriter, asyncio.StreamWriter]) -> None:
        self.ends = ends
        self.silent = False

    async def pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                if not self.silent:
                    writer.write(data)
                    await writer.drain()
        if not self.silent:
            writer.close()

    def reset(self) -> None:
        for end in self.ends:
            end.transport.abort()


class Way:
    """Forwards a port of 127.0.0.1 that the system chooses to a server's; all in one thread of its own."""

    def __init__(self, name: str, target: int) -> None:
        self.name = name
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._open: list[_Connection] = []
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"way to {name}", daemon=True)
        self._thread.start()
        self._listener = self._do(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port: int = self._listener.sockets[0].getsockname()[1]

    def silence(self, choice: float) -> _Connection | None:
        """Have one of the connections go silent: 0 is the oldest, just under 1 the newest."""
        return self._do(self._silenced(choice))

    def end(self, connection: _Connection) -> None:
        """Both sides find out."""
        self._loop.call_soon_threadsafe(connection.reset)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            # The server is away.
            writer.transport.abort()
            return
        connection = _Connection((writer, back))
        self._open.append(connection)
        try:
            await asyncio.gather(connection.pump(reader, back), connection.pump(there, writer))
        finally:
            self._open.remove(connection)
            connection.reset()

    async def _silenced(self, choice: float) -> _Connection | None:
        speaking = [one for one in self._open if not one.silent]
        if not speaking:
            return None
        chosen = speaking[int(choice * len(speaking))]
        chosen.silent = True
        return chosen

    async def _close(self) -> None:
        self._listener.close()
        for connection in list(self._open):
            connection.reset()
        # Each ends by itself: its connection is gone.
        if rest := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(rest, timeout=5)

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)
