"""A template with what every page needs."""

from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse

from seeder.web.access import viewer
from seeder.web.services import services
from seeder.web.templating import environment


def page(request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """The template as a page for whoever asks; beside ``values`` it knows ``viewer``, ``can_log_in``, ``now``
    and ``here``, the page's own address with its query."""
    return HTMLResponse(rendered(request, template, **values), status)


def rendered(request: Request, template: str, **values: Any) -> str:
    """The template's text."""
    query = request.url.query
    return (
        environment()
        .get_template(template)
        .render(
            viewer=viewer(request),
            can_log_in=services(request).access.token is not None,
            now=datetime.now(UTC),
            here=request.url.path + (f"?{query}" if query else ""),
            **values,
        )
    )
