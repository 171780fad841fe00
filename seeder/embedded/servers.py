"""Starts or joins both embedded servers, finds running ones, and stops them."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from seeder.config.settings import Settings, variable_name
from seeder.embedded import postgres, redis
from seeder.embedded.place import locked, prepare
from seeder.embedded.server import LaunchSpec, Server, find, launch, wait_for_dying_keeper
from seeder.errors import HomeUnusable, NothingRunning

#: How long to wait for a server that its keeper is just restarting.
_RESTART_SECONDS = 10.0


@dataclass(frozen=True)
class Servers:
    """The embedded servers in use; None for one that wasn't requested or doesn't run."""

    home: Path
    postgres: Server | None
    redis: Server | None

    @property
    def all(self) -> list[Server]:
        return [server for server in (self.postgres, self.redis) if server is not None]

    @property
    def database_url(self) -> str | None:
        return self.postgres.url if self.postgres else None

    @property
    def broker_url(self) -> str | None:
        return self.redis.url if self.redis else None


@dataclass(frozen=True)
class Endpoints:
    """Where the reporting database and the broker are; both URLs may hold a password."""

    database_url: str = field(repr=False)
    broker_url: str = field(repr=False)


def start(
    home: Path,
    *,
    with_postgres: bool = True,
    with_redis: bool = True,
    postgres_binaries: Path | None = None,
    postgres_settings: Mapping[str, str] | None = None,
) -> Servers:
    """Start the embedded servers in ``home``, or join those that run there already (``Server.joined``).

    They run until ``stop``, or until this process ends, however it ends; one that dies is started again. The
    last two arguments are for tests, see ``postgres.launch_spec``. Raises HomeUnusable, ServerMissing,
    ServerFailed.
    """
    home = home.absolute()
    with locked(home), ExitStack() as undo:
        home = home.resolve()
        place = prepare(home)

        def join_or_launch(module_name: str, launch_spec: Callable[[], LaunchSpec]) -> Server:
            server = _find(module_name, home)
            if server is None:
                wait_for_dying_keeper(module_name, home)
                server = launch(launch_spec(), place)
                undo.callback(server.end)
            return server

        servers = Servers(
            home=home,
            postgres=join_or_launch(
                postgres.NAME,
                lambda: postgres.launch_spec(place, binaries=postgres_binaries, settings=postgres_settings),
            )
            if with_postgres
            else None,
            redis=join_or_launch(redis.NAME, lambda: redis.launch_spec(place)) if with_redis else None,
        )
        undo.pop_all()
        return servers


def running(home: Path) -> Servers | None:
    """The embedded servers that run in ``home`` and answer, or None. Raises HomeUnusable."""
    home = home.resolve()
    servers = Servers(home, _find(postgres.NAME, home), _find(redis.NAME, home))
    return servers if servers.all else None


def stop(servers: Servers) -> None:
    """Stop those of the servers that this process started, the broker first."""
    try:
        with locked(servers.home):
            _end(servers)
    except HomeUnusable:
        _end(servers)  # the folder was removed under them


def endpoints(settings: Settings) -> Endpoints:
    """The configured servers, or the running embedded one in place of each that isn't configured.

    Raises NothingRunning if there is neither.
    """
    return Endpoints(database_url(settings), broker_url(settings))


def database_url(settings: Settings) -> str:
    """The database of `endpoints` alone: many commands need no broker."""
    return settings.database_url or _running("database_url", settings)


def broker_url(settings: Settings) -> str:
    """The broker alone: beat and Flower need no database."""
    return settings.broker_url or _running("broker_url", settings)


def _running(name: str, settings: Settings) -> str:
    servers = running(settings.home)
    if servers is None or (url := getattr(servers, name)) is None:
        raise NothingRunning(name=variable_name(name), home=settings.home)
    return str(url)


def _find(name: str, home: Path) -> Server | None:
    failing = postgres.failing if name == postgres.NAME else redis.failing
    return find(name, home, failing, _RESTART_SECONDS)


def _end(servers: Servers) -> None:
    for server in reversed(servers.all):
        server.end()
