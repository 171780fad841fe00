"""Frozen reports as values: which, whose, why, and whether they may go."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from seeder.history.abandoned import OtherStatus
from seeder.matviews import Stamped


class Why(StrEnum):
    """What has become of a frozen report's manifest."""

    #: It was deleted.
    GONE = "gone"
    #: Its table_name is another one.
    RENAMED = "renamed"
    #: Its database_id is another database's.
    MOVED = "moved"
    #: It is switched off, and may be switched on again: the matview isn't frozen, it rests.
    OFF = "off"


class Kept(StrEnum):
    """Why something isn't dropped, or a row not deleted."""

    #: There is no manifest at all: more likely they are being loaded, or the settings name another schema.
    NO_MANIFESTS = "noManifests"
    #: Its manifest is only switched off.
    OFF = "off"
    #: This record knows of no run that made it: another seeder may keep it.
    UNRECORDED = "unrecorded"
    #: The connection may not drop it.
    NOT_OWNED = "notOwned"
    #: Something else needs it.
    BUILT_ON = "builtOn"
    #: A run works on it, or is queued.
    BUSY = "busy"
    #: Somebody reads it, or holds another lock.
    IN_USE = "inUse"
    #: It has a manifest again, or isn't what it was.
    CHANGED = "changed"
    #: A row's matview is there, and stays.
    MATVIEW = "matview"
    #: A row's matview may be on a database that can't be reached.
    UNREACHABLE = "unreachable"
    #: PostgreSQL said no for another reason.
    FAILED = "failed"


@dataclass(frozen=True)
class FrozenMatview:
    """A matview that bears seeder's stamp and that no manifest which counts is of."""

    database_id: int | None
    stamped: Stamped
    #: As the record writes it; the matview's own name where that knows nothing.
    table_name: str
    why: Why
    #: Where a manifest that was renamed or moved has its table now, and on which database.
    now_table: str | None = None
    now_database_id: int | None = None
    report_name: str | None = None
    agency_id: int | None = None
    agency_slug: str | None = None
    last_refreshed: datetime | None = None
    #: None is that it would be dropped.
    kept: Kept | None = None

    @property
    def manifest(self) -> str:
        return self.stamped.manifest


@dataclass(frozen=True)
class FrozenStatus:
    """A row of status whose table no manifest names."""

    row: OtherStatus
    #: None is that it would be deleted.
    kept: Kept | None = None


@dataclass(frozen=True)
class Unreachable:
    """A database other than the reporting one that couldn't be asked, and why."""

    database_id: int
    reason: str


@dataclass(frozen=True)
class FrozenReports:
    """All of them, as far as the databases could be reached."""

    matviews: tuple[FrozenMatview, ...]
    #: Those whose manifest is switched off.
    off: tuple[FrozenMatview, ...]
    statuses: tuple[FrozenStatus, ...]
    unreachable: tuple[Unreachable, ...]
    #: The manifests' versions before they were read (seeder.history.watching).
    manifests: str

    @property
    def alone(self) -> tuple[FrozenStatus, ...]:
        """The rows of status that belong to no frozen matview."""
        tables = {one.table_name for one in self.matviews}
        return tuple(one for one in self.statuses if one.row.table_name not in tables)

    @property
    def count(self) -> int:
        """How many reports are frozen."""
        return len(self.matviews) + len(self.alone)
