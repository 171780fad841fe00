"""PostgreSQL and Redis without an installation: servers from wheels, run by a launcher of our own."""

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
