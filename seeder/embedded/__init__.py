"""Embedded PostgreSQL and Redis: servers from wheels, for use without an installation."""

from seeder.embedded.server import Server
from seeder.embedded.servers import (
    Endpoints,
    Servers,
    broker_url,
    database_url,
    endpoints,
    running,
    start,
    stop,
)

__all__ = [
    "Endpoints",
    "Server",
    "Servers",
    "broker_url",
    "database_url",
    "endpoints",
    "running",
    "start",
    "stop",
]
