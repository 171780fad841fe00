"""Reports that nothing refreshes any more."""

from typing import Literal

from seeder.web.wire.base import TABLE, Moment, Wire, value

WhyFrozen = Literal["gone", "renamed", "moved", "off"]
WhyKept = Literal[
    "noManifests", "off", "unrecorded", "notOwned", "builtOn", "busy", "inUse", "changed", "matview",
    "unreachable", "failed",
]  # fmt: skip


class FrozenRow(Wire):
    """A matview whose manifest is gone, or a row of status whose table no manifest names."""

    table_name: str = value(description="As the record has it; else the matview's own name.", example=TABLE)
    database_id: int | None = value(
        description="Where the matview is; null is the reporting database, or that there is none.",
        example=None,
    )
    matview: str | None = value(
        description="Schema and name; null where only a row of status is left.", example=f"reporting.{TABLE}"
    )
    manifest: str = value(description="Whose it was: type and id.", example="custom-12")
    report_name: str | None = value(description="By the record.", example="Sales")
    agency_slug: str | None = value(description="By the record.", example="ua")
    why: WhyFrozen = value(
        description="Whether the manifest is gone, is of another table or on another database by now, or is "
        "switched off.",
        example="gone",
    )
    now_table: str | None = value(description="Its table now, where it is renamed or moved.", example=None)
    now_database_id: int | None = value(description="Its database_id now.", example=None)
    last_refreshed: Moment | None = value(
        description="When its last success ended; null where that isn't known.",
        example="2026-11-24T02:03:00+00:00",
    )
    about_bytes: int | None = value(
        description="Its size when its pages were last counted.", example=8_192_000
    )
    kept: WhyKept | None = value(
        description="Why `seeder prune --matviews --yes` would leave it; null is that it would go.",
        example="builtOn",
    )
    reason: str | None = value(description="The same in words.", example="view public.totals is built on it")


class UnreachableDatabase(Wire):
    """A database that couldn't be asked."""

    database_id: int = value(example=7)
    reason: str = value(example="connection refused")


class FrozenList(Wire):
    """What nothing refreshes any more; at most 1,000 rows of each kind."""

    count: int = value(description="How many are frozen.", example=1)
    items: list[FrozenRow]
    off_count: int = value(description="How many matviews have a manifest that is switched off.", example=0)
    off: list[FrozenRow]
    unreachable: list[UnreachableDatabase] = value(
        description="What is frozen there isn't known.", example=[]
    )
    looked_at: Moment = value(example="2026-11-24T09:00:00+00:00")
