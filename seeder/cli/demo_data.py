"""Loads the demo's data and manifests into a database."""

from rich.console import Console

from seeder import demo, schema
from seeder.app import app
from seeder.cli.refresh import announce
from seeder.config.settings import Settings
from seeder.equipment import equipment
from seeder.seedings.fan_out import seed
from seeder.seedings.planning import Selection


def load(out: Console) -> None:
    out.print("Loading 336,776 flights of 2013 …")
    with equipment().databases.bare_connection() as connection:
        fresh = demo.load(connection)
        count = demo.put_manifests(connection, equipment().settings.db_schema)
    settings = equipment().settings
    if settings.database_url is None:
        # Since the agencies' table is there by now, the dashboard view can show their names.
        with equipment().databases.engine().connect() as open_connection:
            schema.apply(open_connection, settings.db_schema, settings.agency_table)
    out.print(f"{'Loaded' if fresh else 'They were there already'}; {count} manifests.")


def load_for_a_first_look(settings: Settings, out: Console) -> None:
    """Load the demo and queue a run of everything, if the embedded database has no manifest at all."""
    if settings.database_url is not None:
        return
    with equipment().databases.session() as session:
        if equipment().manifests.has_any(session):
            return
    load(out)
    announce(out, seed(app, equipment(), Selection()))
