"""What reports read of each other, for the pages: read once for each moment that they show."""

from dataclasses import dataclass

from seeder.manifests import Manifest
from seeder.manifests.sharing import owned
from seeder.monitoring import Snapshot
from seeder.seedings.fan_out import graph_of
from seeder.seedings.graph import Graph
from seeder.web.services import Services


@dataclass(frozen=True)
class Reads:
    """The manifests whose matviews are their own, and what they read of each other; both by identity."""

    manifests: dict[str, Manifest]
    graph: Graph


def reads_of(here: Services, snapshot: Snapshot) -> Reads:
    """To be called in a thread. Raises psycopg2.Error where the reporting database can't be asked."""
    return snapshot.kept("reads", lambda: _read(here))


def _read(here: Services) -> Reads:
    equipment = here.equipment
    with equipment.databases.session() as session:
        manifests = equipment.manifests.every(session)
    shared = owned(manifests, equipment.databases)
    return Reads({one.identity: one for one in shared.owners}, graph_of(equipment, manifests))
