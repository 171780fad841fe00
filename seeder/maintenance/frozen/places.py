"""Where the manifests of today have their matviews, so that what is elsewhere is known to be frozen."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from seeder.errors import ManifestError
from seeder.maintenance.frozen.reports import Why
from seeder.manifests import Manifest
from seeder.matviews import Stamped
from seeder.postgres.databases import Databases
from seeder.sql.names import MatviewName

#: A database by the first of its numbers, and a matview there.
Place = tuple[int | None, MatviewName]


@dataclass(frozen=True)
class Places:
    """Of the manifests that count and of those switched off."""

    on: Mapping[Place, Manifest]
    off: Mapping[Place, Manifest]
    #: By identity, of both kinds, where its matview can be told.
    known: Mapping[str, tuple[Place, Manifest]]
    #: Identities of those whose row doesn't tell where their matview is. What is theirs isn't frozen.
    unclear: frozenset[str]
    #: Every table_name that is written in a manifest.
    table_names: frozenset[str]

    @classmethod
    def of(cls, on: Iterable[Manifest], off: Iterable[Manifest], databases: Databases) -> Self:
        places: list[dict[Place, Manifest]] = []
        known: dict[str, tuple[Place, Manifest]] = {}
        unclear: set[str] = set()
        names: set[str] = set()
        for manifests in (on, off):
            mine: dict[Place, Manifest] = {}
            for one in manifests:
                names.add(one.table_name)
                place = _place(one, databases)
                if place is None:
                    unclear.add(one.identity)
                    continue
                mine.setdefault(place, one)
                known[one.identity] = place, one
            places.append(mine)
        return cls(places[0], places[1], known, frozenset(unclear), frozenset(names))

    @property
    def is_empty(self) -> bool:
        return not (self.known or self.unclear)

    def names_on(self, database_id: int | None) -> list[MatviewName]:
        """The matviews there that are refreshed."""
        return [name for number, name in self.on if number == database_id]

    def verdict(self, database_id: int | None, one: Stamped) -> tuple[Why, Manifest | None] | None:
        """Why a matview on that database is frozen, and where its manifest is now; None: it isn't."""
        place = database_id, one.name
        if place in self.on or one.manifest in self.unclear:
            return None
        if place in self.off:
            return Why.OFF, None
        if one.manifest not in self.known:
            return Why.GONE, None
        (now_on, _), manifest = self.known[one.manifest]
        return (Why.RENAMED if now_on == database_id else Why.MOVED), manifest


def _place(manifest: Manifest, databases: Databases) -> Place | None:
    try:
        manifest.verify_database(databases)
        place = databases.first_name(manifest.database_id), manifest.matview
    except ManifestError:
        return None
    return None if manifest.unreadable else place
