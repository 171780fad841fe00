"""A TCP proxy in front of a server; its open connections can be made to drop all data."""

import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Valve:
    """Forwards each connection, in a thread, until it is shut; those made afterwards are forwarded again."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._shut: set[socket.socket] = set()
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def shut(self) -> int:
        """From now on nothing gets through on the connections that stand, and nobody is told. Returns how
        many these are."""
        self._shut |= self._open
        return len(self._shut)

    def close(self) -> None:
        self._listener.close()
        for one in list(self._open):
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._open.add(client)
            threading.Thread(target=self._forward, args=(client,), daemon=True).start()

    def _forward(self, client: socket.socket) -> None:
        try:
            with (
                client,
                socket.create_connection(self._target) as server,
                selectors.DefaultSelector() as ready,
            ):
                other = {client: server, server: client}
                for one in other:
                    ready.register(one, selectors.EVENT_READ)
                while True:
                    for key, _ in ready.select():
                        data = key.fileobj.recv(65536)  # type: ignore[union-attr]
                        if not data:
                            return
                        if client not in self._shut:
                            other[key.fileobj].sendall(data)  # type: ignore[index]
        except (OSError, ValueError):
            # Somebody has closed it.
            return
        finally:
            self._open.discard(client)


@contextmanager
def valve(host: str, port: int) -> Iterator[Valve]:
    made = Valve(host, port)
    try:
        yield made
    finally:
        made.close()
