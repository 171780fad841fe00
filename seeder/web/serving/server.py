"""uvicorn around the app: where it listens, whether it may, and how it ends."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from signal import SIGINT, SIGTERM
from types import FrameType

import uvicorn
from fastapi import FastAPI

from seeder.config.settings import Settings
from seeder.errors import UserError
from seeder.web.security.access import Access, is_loopback
from seeder.web.serving.connections import MOST_CONNECTIONS, MOST_OF_A_PROXY, bounded

#: Streams of events end at once; a request under way has this long.
GRACE_SECONDS = 10


class Exposed(UserError):
    """The pages can't be served on {host}, where other machines reach them, without knowing who asks. Set
    SEEDER_API_TOKEN, or SEEDER_TRUST_PROXY_USER behind a reverse proxy that lets people in; or serve them on
    127.0.0.1."""


class PortTaken(UserError):
    """The pages can't be served on {host}, port {port}: {reason}. Choose another port with --port."""


def access_of(settings: Settings, host: str, made_up_token: str | None = None) -> Access:
    """The rules for serving on that address. Raises Exposed."""
    loopback = is_loopback(host)
    if not loopback and settings.api_token is None and settings.trust_proxy_user is None:
        raise Exposed(host=host)
    return Access(loopback, settings.api_token or made_up_token, settings.trust_proxy_user)


def serve(app: FastAPI, host: str, port: int) -> None:
    """Until SIGTERM or SIGINT."""
    _Server(configured(app, host, port)).run()


def configured(app: FastAPI, host: str, port: int) -> uvicorn.Config:
    access: Access = app.state.services.access
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=bounded(MOST_OF_A_PROXY if access.proxy_header else MOST_CONNECTIONS),
        # Our own handlers and formats.
        log_config=None,
        access_log=False,
        # Whom a proxy names is never believed without SEEDER_TRUST_PROXY_USER, so nor is where from.
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


class _Server(uvicorn.Server):
    """Ends the event streams when it is told to stop, since it waits for open answers."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's own (0.54), which raises the signal again at the end: an exit code of -15 for a clean
        end."""
        previous = {number: signal.signal(number, self.handle_exit) for number in (SIGINT, SIGTERM)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        app = self.config.app
        if isinstance(app, FastAPI):
            app.state.services.live.feed.close()
        super().handle_exit(sig, frame)
