"""What a process works with, made once from its settings: databases, the record, the manifests."""

from functools import cache

from seeder import embedded
from seeder.config.settings import Settings, current_settings
from seeder.history import HistoryRepository
from seeder.manifests import ManifestReader
from seeder.postgres.databases import Databases


class Equipment:
    """Who works with it takes it as a whole, and is made where it is used: ``Claims.of(equipment)``."""

    def __init__(self, settings: Settings, database_url: str) -> None:
        self.settings = settings
        self.databases = Databases(database_url, settings.databases)
        self.history = HistoryRepository(self.databases, settings.db_schema)
        self.manifests = ManifestReader(settings.db_schema)


@cache
def equipment() -> Equipment:
    """This process'."""
    return new_equipment()


def new_equipment() -> Equipment:
    """A second set, for what must not wait for a lock inside the first: the shutdown in a signal handler."""
    settings = current_settings()
    return Equipment(settings, embedded.database_url(settings))
