"""Which report reads which, over all databases: by what PostgreSQL tells, and what manifests say beside."""

from collections.abc import Iterable, Mapping

import psycopg2
import structlog

from seeder.errors import ManifestError
from seeder.manifests import Manifest
from seeder.manifests.sharing import Shared
from seeder.matviews import Policy
from seeder.matviews.query.reads import reads, reads_by_sql_alone
from seeder.postgres.databases import Databases
from seeder.postgres.failures import one_line
from seeder.seedings.graph import Graph

log = structlog.get_logger(__name__)


def read_graph(databases: Databases, shared: Shared, policy: Policy) -> Graph:
    """By their identities, one for each matview, what the manifests read of each other.

    A database is asked once, however many they are. For one out of reach their SQL has to do: their runs will
    say what is wrong.
    """
    nodes = _of_matviews(shared)
    places: dict[int | None, list[Manifest]] = {}
    for one in nodes.values():
        if one.database_id is None or one.database_id in databases:
            places.setdefault(databases.first_name(one.database_id), []).append(one)
    found: dict[str, frozenset[str]] = {}
    for database_id, there in places.items():
        found |= _reads_of(databases, database_id, there, policy)
    for one in nodes.values():
        if after := _after(one, nodes):
            found[one.identity] = found.get(one.identity, frozenset()) | after
    return Graph({reader: sources for reader, sources in found.items() if sources})


def _of_matviews(shared: Shared) -> dict[str, Manifest]:
    """The manifest of each matview by its name; one that can't be used is still what others read."""
    nodes = {str(one.matview): one for one in shared.owners}
    for one, _ in shared.refused:
        if one.identity in shared.guests:
            continue
        try:
            nodes.setdefault(str(one.matview), one)
        except ManifestError:
            # Without a name nobody can read it.
            continue
    return nodes


def _reads_of(
    databases: Databases, database_id: int | None, manifests: list[Manifest], policy: Policy
) -> dict[str, frozenset[str]]:
    try:
        with databases.session(database_id) as session:
            return reads(session, manifests, policy)
    except psycopg2.Error as error:
        log.warning(
            "what reports read can't be asked; their SQL has to do",
            database_id=database_id,
            reason=databases.scrubbed(one_line(error)),
        )
        return reads_by_sql_alone(manifests, policy)


def _after(manifest: Manifest, nodes: Mapping[str, Manifest]) -> frozenset[str]:
    return frozenset(nodes[name].identity for name in map(str, _named(manifest)) if name in nodes)


def _named(manifest: Manifest) -> Iterable[object]:
    try:
        return manifest.after
    except ManifestError:
        # Its run says so.
        return ()
