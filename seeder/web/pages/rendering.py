"""Renders a template, with the values that every page needs."""

from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse

from seeder.web.security.access import viewer
from seeder.web.services import services
from seeder.web.templating import environment

#: What an address asks for a piece of its page with.
PIECES = ("rows", "piece")


def page(request: Request, template: str, **values: object) -> HTMLResponse:
    """The template as a page for whoever asks; beside ``values`` it knows ``viewer``, ``can_log_in``, ``now``
    and ``here``, the page's own address with its query."""
    return HTMLResponse(rendered(request, template, values))


def piece(request: Request, template: str, **values: object) -> HTMLResponse:
    """The part of a page that changes, and who looks: a login may have ended, and its buttons go with it."""
    asked = request.query_params.multi_items()
    query = urlencode([(name, value) for name, value in asked if name not in PIECES])
    here = request.url.path + (f"?{query}" if query else "")
    parts = (rendered(request, name, values, here) for name in (template, "who.html"))
    return HTMLResponse("".join(parts))


def rendered(request: Request, template: str, values: Mapping[str, object], here: str | None = None) -> str:
    """The template's text."""
    query = request.url.query
    own = request.url.path + (f"?{query}" if query else "")
    return (
        environment()
        .get_template(template)
        .render(
            viewer=viewer(request),
            can_log_in=services(request).access.token is not None,
            now=datetime.now(UTC),
            here=own if here is None else here,
            **values,
        )
    )
