"""``seeder web``: serves the API and the pages."""

import logging
import secrets
import socket
import sys

from seeder.app import app
from seeder.cli.printing import console, text
from seeder.config.settings import current_settings
from seeder.equipment import equipment
from seeder.maintenance.watchdog import Watchdog
from seeder.web.application import create_app
from seeder.web.serving import PortTaken, access_of, serve


def run(host: str, port: int) -> int:
    settings = current_settings()
    made_up = None
    if settings.api_token is None and settings.trust_proxy_user is None:
        made_up = secrets.token_urlsafe(24)
    access = access_of(settings, host, made_up)
    equipment().databases.verify()
    _require_free(host, port)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    out = console()
    out.print(f"Pages and API on {text(address(host, port))}")
    if made_up:
        out.print(f"To log in: {text(login_link(host, port, made_up))}", soft_wrap=True)
    watchdog = Watchdog(app, equipment())
    watchdog.start()
    serve(create_app(equipment(), app, access), host, port)
    watchdog.stop(patience=2.0)
    return 0


def address(host: str, port: int) -> str:
    """The URL for a browser on this machine."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{shown}:{port}"


def login_link(host: str, port: int, token: str) -> str:
    """The login page with the token behind the #, which a browser sends to nobody."""
    return f"{address(host, port)}/login#{token}"


def _require_free(host: str, port: int) -> None:
    """Raises PortTaken. uvicorn itself would log it and exit with a code of its own."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise PortTaken(host=host, port=port, reason=error.strerror or str(error)) from None
