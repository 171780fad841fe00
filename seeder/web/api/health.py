"""Endpoints for health checks: whether the process runs, and whether its servers do. No token is needed."""

from fastapi import APIRouter, Request, Response

from seeder.web.api.answers import json_bytes
from seeder.web.services import services
from seeder.web.wire.health import Alive, Ready

router = APIRouter(tags=["health"])


@router.get("/healthz", response_model=Alive, summary="Whether this process lives")
async def healthz() -> Alive:
    """Asks nobody: a database that is away is no reason to restart this process."""
    return Alive(status="ok")


@router.get(
    "/readyz",
    response_model=Ready,
    responses={503: {"model": Ready, "description": "Something is missing."}},
    summary="Whether it has what it needs",
)
async def readyz(request: Request) -> Response:
    """The database and the broker answer, and the contract's tables are there."""
    ready = await services(request).readiness.state()
    return Response(json_bytes(ready), 200 if ready.ready else 503, media_type="application/json")
