"""``seeder up``: runs servers, workers, beat, Flower and the pages in one terminal, until Ctrl-C."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from seeder import embedded, schema
from seeder.cli.demo_data import load_for_a_first_look
from seeder.cli.printing import console, counted, text
from seeder.cli.services import FLOWER_PORT, WEB_PORT, Flower, Web, free_port, services
from seeder.cli.web import address, login_link
from seeder.config.settings import Settings, current_settings
from seeder.config.urls import masked, masked_broker
from seeder.embedded import Servers
from seeder.equipment import equipment
from seeder.supervision import supervise

LOOPBACK = "127.0.0.1"


def run(*, with_demo: bool = False) -> int:
    """``with_demo``: an embedded database without any manifest gets the demo's, so that there is something
    to look at."""
    out = console()
    settings = current_settings()
    with embedded_servers(settings, out):
        prepare_schema(settings, out)
        if with_demo:
            load_for_a_first_look(settings, out)
        flower = Flower(free_port(FLOWER_PORT), "seeder", secrets.token_urlsafe(12))
        token = settings.api_token or secrets.token_urlsafe(24)
        web = Web(free_port(WEB_PORT), token, settings.flower_url or flower.address)
        settings.home.mkdir(parents=True, exist_ok=True)
        return supervise(
            services(settings.home, flower, web), when_up=lambda: _say_where(out, settings, flower, web)
        )


@contextmanager
def embedded_servers(settings: Settings, out: Console) -> Iterator[Servers | None]:
    """The embedded servers for what isn't configured; stopped at the end if this process started them."""
    with_postgres, with_redis = settings.database_url is None, settings.broker_url is None
    if not (with_postgres or with_redis):
        yield None
        return
    servers = embedded.start(settings.home, with_postgres=with_postgres, with_redis=with_redis)
    try:
        for server in servers.all:
            how = "joined, it was running" if server.joined else "started"
            out.print(
                f"{server.title} on 127.0.0.1:{server.port} ({how}), data in {text(str(server.folder))}"
            )
        yield servers
    finally:
        embedded.stop(servers)


def prepare_schema(settings: Settings, out: Console) -> None:
    """Apply the contract to the embedded database; a configured one is its owners', and only looked at."""
    databases = equipment().databases
    databases.verify()
    if settings.database_url is None:
        with databases.engine().connect() as connection:
            schema.apply(connection, settings.db_schema, settings.agency_table)
        return
    with databases.engine().connect() as connection:
        failures = [
            one for one in schema.check(connection, settings.db_schema, settings.agency_table) if one.failure
        ]
    if failures:
        out.print(
            f"[yellow]The database differs from the contract in {counted(len(failures), 'place')}:[/] "
            "seeder schema check lists them."
        )


def _say_where(out: Console, settings: Settings, flower: Flower, web: Web) -> None:
    found = embedded.endpoints(settings)
    # A token that is configured is known to whoever may log in, and needn't stand in a log.
    shown = address(LOOPBACK, web.port) if settings.api_token else login_link(LOOPBACK, web.port, web.token)
    out.print(f"[bold]Pages[/] (what is fresh, what failed)  {text(shown)}", soft_wrap=True)
    out.print(f"[bold]Flower[/] (workers and tasks)   {flower.url}")
    out.print(f"[bold]Database[/]                     {text(masked(found.database_url))}")
    out.print(f"[bold]Broker[/]                       {text(masked_broker(found.broker_url))}")
    out.print("[bold]In another terminal[/]          seeder status, seeder refresh --wait. Ctrl-C stops all.")
