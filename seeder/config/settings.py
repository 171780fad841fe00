"""The settings: one table of name, type, default and help, which everything else reads.

Each field is the environment variable of the same name with the prefix ``SEEDER_``; a ``.env`` file in the
working directory is read too, and the environment wins. ``docs/configuration.md`` is checked against this
table by a test.
"""

import re
from collections.abc import Callable, Iterator
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from seeder.config.sources import FirstWins
from seeder.config.types import (
    BrokerUrl,
    Cron,
    Expectations,
    HeaderName,
    Limits,
    PostgresqlUrl,
    RelationName,
    SameMoment,
    SchemaName,
    SearchPath,
    Seconds,
    TimeZone,
    Token,
    WebUrl,
    schemas_of,
)
from seeder.config.urls import masked, masked_broker
from seeder.errors import BadSetting
from seeder.sql.directives import RefreshMode


class OnQueryChange(StrEnum):
    """What happens when a manifest's SQL is no longer the one its matview was made from."""

    REBUILD = "rebuild"
    KEEP = "keep"
    ERROR = "error"


class OnUpstreamError(StrEnum):
    """What becomes of a run when one that it reads has ended in an error."""

    SKIP = "skip"
    REFRESH = "refresh"


#: More takes PostgreSQL's calendar to before its beginning.
LONGEST_HISTORY_DAYS = 1_000_000


def _setting(default: Any, help_text: str, **more: Any) -> Any:
    return Field(default, description=help_text, **more)


#: How the settings that hold a password are shown.
_MASKS: dict[str | None, Callable[[Any], Any]] = {
    "database_url": masked,
    "broker_url": masked_broker,
    "databases": lambda urls: {number: masked(url) for number, url in urls.items()},
    "api_token": lambda _: "***",
}


class Settings(BaseSettings):
    """All settings, read once from the environment; frozen."""

    model_config = SettingsConfigDict(
        env_prefix="SEEDER_", env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # pydantic-settings 2 merges the dictionaries of its sources entry by entry.
        return init_settings, FirstWins(settings_cls, env_settings, dotenv_settings, file_secret_settings)

    database_url: PostgresqlUrl | None = _setting(
        None,
        "The reporting database: manifests, run history and status live here. Unset means the embedded "
        "PostgreSQL.",
    )
    broker_url: BrokerUrl | None = _setting(
        None, "Redis, over which runs are queued. Unset means the embedded one."
    )
    databases: dict[int, PostgresqlUrl] = _setting(
        {}, 'Other databases that manifests name by database_id, as JSON: {"7": "postgresql://…"}.'
    )
    max_per_database: Limits = _setting(
        {},
        "How many refreshes run on one database at a time, over all workers: a number for each database, or "
        'JSON by database_id: {"7": 2, "default": 4}. Unset, and 0, is no limit.',
    )
    route_by_database: bool = _setting(
        False,
        "Whether the runs of other databases have queues of their own, seeder.refresh.<database_id>, for "
        "workers that are given them with -Q.",
    )
    db_schema: SchemaName = _setting(
        "reporting",
        "The schema of the contract's tables, and of matviews whose table_name is a bare name.",
        alias="SEEDER_SCHEMA",
    )
    search_path: SearchPath | None = _setting(
        None,
        "Where names without a schema in a manifest's SQL are looked up: schemas in this order, with "
        "commas between, such as reporting, public, extensions. pg_catalog comes first by itself, pg_temp "
        "last. Unset means SCHEMA, public.",
    )
    agency_table: RelationName = _setting(
        "public.agency",
        "The table with the agencies' names (columns id and name), in public unless a schema is named; it "
        "may be absent.",
    )
    manifest_role: str | None = _setting(
        None,
        "A PostgreSQL role of least privilege that manifests run as (SET LOCAL ROLE) and that owns the "
        "matviews. Unset means the connection's own role.",
    )
    allowed_roles: tuple[str, ...] = _setting(
        (),
        'Roles that a manifest may choose with role= instead of MANIFEST_ROLE, as JSON: ["report_reader"].',
    )
    allowed_functions: tuple[str, ...] = _setting(
        (),
        "Functions outside pg_catalog that manifests may call though they are volatile or are given SQL as "
        "text, as JSON: "
        '["public.exchange_rate"].',
    )
    refresh_mode: RefreshMode = _setting(
        RefreshMode.AUTO,
        "auto: CONCURRENTLY where a usable unique index allows it, else plain; plain; concurrently; swap: "
        "built beside the old one, then exchanged; auto-swap: whichever of CONCURRENTLY and swap has been "
        "cheaper lately, swap without such an index.",
    )
    on_query_change: OnQueryChange = _setting(
        OnQueryChange.REBUILD,
        "When a manifest's SQL has changed since its matview was made: rebuild (beside the old one, then "
        "exchanged), keep (refresh the old definition) or error.",
    )
    expect: Expectations = _setting(
        "",
        "What must hold of every matview's new rows before they are shown, as in a manifest's expect=( ): "
        "rows > 0, rows_change < 50%.",
    )
    on_upstream_error: OnUpstreamError = _setting(
        OnUpstreamError.SKIP,
        "When a report that another one reads has failed: skip (the other isn't run either, which counts as "
        "no failure of its own) or refresh (it is run on the old rows).",
    )
    skip_unchanged: bool = _setting(
        False,
        "Whether a run isn't done whose sources provably haven't changed since the last one: it ends as a "
        "success, and its rows stay. A manifest may say otherwise with unchanged=skip or unchanged=refresh.",
    )
    same_moment: SameMoment = _setting(
        SameMoment.OFF,
        "Which reports of a seeding hold the rows of one moment, as far as they read tables alone: agency "
        "(all of an agency), seeding (all of a database) or off (each has its own).",
    )
    same_moment_max: Seconds = _setting(
        1800.0,
        "For how long a moment is held, which keeps VACUUM from removing rows that died since; the rest of "
        "the seeding gets the next one.",
        ge=1,
        le=86_400,
    )
    audit: int = _setting(
        20,
        "How many of the reports that are called unchanged are compared with their queries after each "
        "scheduled seeding; 0 is none.",
        ge=0,
    )
    schedule: Cron = _setting(
        "0 2 * * *", "When everything is refreshed: a cron expression of five fields, in TIMEZONE."
    )
    timezone: TimeZone = _setting("UTC", "The time zone of SCHEDULE.")
    catch_up: Seconds = _setting(
        21600.0,
        "For how long after a tick of SCHEDULE that nothing ran it is run, by beat, a worker or the API's "
        "process; later it is shown as missed.",
    )
    statement_timeout: Seconds = _setting(
        3600.0, "The longest one refresh may take before PostgreSQL ends it; 0 is no limit."
    )
    lock_timeout: Seconds = _setting(
        30.0, "The longest a refresh waits for a lock another session holds; then the run is tried again."
    )
    max_retries: int = _setting(4, "How often a run is tried again after a failure that may pass.", ge=0)
    retry_backoff_max: Seconds = _setting(
        300.0, "The longest wait between two tries; it doubles from 1 s up to here, with full jitter."
    )
    shutdown_grace: Seconds = _setting(
        0.0,
        "How long a worker that is told to stop lets its refreshes run before it cancels them and queues "
        "them again; 0 is until they end. Choose a few seconds less than your supervisor waits.",
    )
    long_running_seconds: Seconds = _setting(
        1800.0,
        "A run that takes longer is shown as long-running; so is one that takes three times as long as "
        "usual.",
    )
    api_token: Token | None = _setting(
        None,
        "The secret with which the API is written to, and read from other machines: a bearer token, and the "
        "password of the pages' login. At least 16 characters.",
    )
    trust_proxy_user: HeaderName | None = _setting(
        None,
        "The header in which a reverse proxy names the person it has let in, such as X-Forwarded-User. Only "
        "where nobody can reach the port but that proxy.",
    )
    flower_url: WebUrl | None = _setting(
        None,
        "Where Flower's pages are, such as https://flower.example: a job's page then links to its run's task "
        "there. `seeder up` sets it by itself.",
    )
    history_days: int = _setting(
        90, "How long finished runs are kept, in days.", ge=1, le=LONGEST_HISTORY_DAYS
    )
    home: Path = _setting(Path(".seeder"), "Where the embedded servers keep their data.")

    @property
    def schemas_of_manifests(self) -> tuple[str, ...]:
        """Where a manifest's unqualified names are looked up, pg_catalog and pg_temp included.

        With these at either end neither a function in a schema people may write to nor a temporary table
        takes the place of what a manifest means
        (https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-SEARCH-PATH).
        """
        own = (self.db_schema, "public") if self.search_path is None else schemas_of(self.search_path)
        return ("pg_catalog", *own, "pg_temp")

    def limit_of(self, database_id: int | None) -> int:
        """How many refreshes may run on that database at a time; 0 is no limit."""
        return self.max_per_database.get(str(database_id), self.max_per_database.get("default", 0))

    def __repr_args__(self) -> Iterator[tuple[str | None, object]]:
        """For repr and str, which end up in tracebacks and logs: without the passwords."""
        for name, value in super().__repr_args__():
            yield name, _MASKS[name](value) if name in _MASKS and value else value

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)


def load_settings(**overrides: Any) -> Settings:
    """Read the environment and ``.env``.

    Raises BadSetting, naming the first variable that doesn't parse; its value isn't shown, as it may hold a
    password.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise BadSetting(
            name=variable_name(str(first["loc"][0])), problem=first["msg"].removeprefix("Value error, ")
        ) from None
    except Exception as error:
        # pydantic-settings raises its own SettingsError when a JSON value doesn't parse.
        name = re.search(r'field "(\w+)"', str(error))
        if name is None:
            raise
        raise BadSetting(name=variable_name(name[1]), problem="it must be JSON") from None


def variable_name(field: str) -> str:
    """The environment variable of a field: ``database_url`` is ``SEEDER_DATABASE_URL``."""
    alias = getattr(Settings.model_fields.get(field), "alias", None)
    return alias or (field if field.startswith("SEEDER_") else f"SEEDER_{field.upper()}")


@cache
def current_settings() -> Settings:
    """The settings of this process, read at the first call."""
    return load_settings()
