"""The settings: one table of name, type, default and help. Everything else reads it.

Each field is the environment variable of the same name with the prefix ``SEEDER_``; a ``.env`` file in the
working directory is read too, and the environment wins. ``docs/configuration.md`` is checked against this
table by a test.
"""

import os
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from difflib import get_close_matches
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError
from kombu.connection import Connection
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from seeder.errors import BadSetting, DirectiveRefused
from seeder.sql.directives import read_expectations
from seeder.urls import masked, masked_broker

_ANY_MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


class RefreshMode(StrEnum):
    """How a matview that exists is refreshed; see docs/matviews.md."""

    AUTO = "auto"
    PLAIN = "plain"
    CONCURRENTLY = "concurrently"
    SWAP = "swap"
    AUTO_SWAP = "auto-swap"


class OnQueryChange(StrEnum):
    """What happens when a manifest's SQL is no longer the one its matview was made from."""

    REBUILD = "rebuild"
    KEEP = "keep"
    ERROR = "error"


def _seconds(value: Any) -> Any:
    """'90', '90s', '15min', '2h' or '1d' as seconds, the units PostgreSQL's own settings use."""
    if isinstance(value, str) and (
        found := re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*([a-z]*)\s*", value, re.ASCII)
    ):
        number, unit = found.groups()
        if unit in _UNITS:
            return float(number) * _UNITS[unit]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise ValueError("write a number of seconds, or a number with ms, s, min, h or d, such as 15min")


def _postgresql_url(value: str) -> str:
    try:
        url = make_url(value)
    except (ArgumentError, ValueError):
        # The text is not repeated: it may hold a password.
        raise ValueError("write a URL such as postgresql://user:password@host:5432/name") from None
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise ValueError("only PostgreSQL is supported, so the URL must begin with postgresql://")
    if "@" in f"{url.host}{url.database}":
        raise ValueError("in a URL, an @ of the user's name or password is written %40")
    if "\x00" in f"{url.username}{url.password}{url.database}":
        raise ValueError("PostgreSQL knows no NUL character (%00)")
    return value


def _broker_url(value: str) -> str:
    if not re.match(r"(rediss?|redis\+socket)://", value):
        raise ValueError("write a Redis URL such as redis://host:6379/0")
    try:
        Connection(value)  # type: ignore[no-untyped-call]
    except (TypeError, ValueError):
        # kombu's own words may repeat a part of the password.
        raise ValueError(
            "write a Redis URL such as redis://:password@host:6379/0; in the password, / ? # @ and % are "
            "written %2F %3F %23 %40 and %25"
        ) from None
    return value


def _limits(value: Any) -> Any:
    """One number for all databases, or numbers by database_id and for the ``default``."""
    limits = value if isinstance(value, dict) else {"default": value}
    for name, limit in limits.items():
        # A bool is an int to Python.
        if not (name == "default" or name.isdecimal()) or type(limit) is not int or limit < 0:
            raise ValueError('write a number, or JSON such as {"7": 2, "default": 4}')
    return limits


def _timezone(value: str) -> str:
    if value not in available_timezones():
        raise ValueError(f"there is no time zone {value!r}; write a name such as Europe/Berlin")
    return value


def _cron(value: str) -> str:
    try:
        ticks = CronSim(value, _ANY_MOMENT)
    except CronSimError as error:
        raise ValueError(
            f"not a cron expression of five fields ({error}); 0 2 * * * is 02:00 each day"
        ) from None
    # cronsim takes a sixth field, of seconds; a seeding is named for its minute.
    if len(value.split()) != 5:
        raise ValueError("a cron expression has five fields; 0 2 * * * is 02:00 each day")
    if next(ticks, None) is None:
        raise ValueError("no day within 50 years is like that")
    return value


def _schema(value: str) -> str:
    if not value or "\x00" in value or len(value.encode()) > 63:
        raise ValueError("a schema name has 1 to 63 bytes")
    if "%" in value:
        # It would be a placeholder of psycopg2 in every statement that names the schema.
        raise ValueError("a schema name with a percent sign is not supported")
    return value


def _relation(value: str) -> str:
    part = r'([a-zA-Z_][\w$]*|"([^"]|"")+")'
    found = re.fullmatch(rf"{part}(?P<name>\.{part})?", value)
    if found is None:
        raise ValueError('write a table as in SQL, such as public.agency or "Core"."Agency"')
    # Our connections look nothing up in public by themselves.
    return value if found["name"] else f"public.{value}"


def _expectations(value: str) -> str:
    try:
        read_expectations(value)
    except DirectiveRefused as error:
        raise ValueError(f"{error.facts['reason']} (column {error.facts['column']})") from None
    return value


#: PostgreSQL keeps its time limits as milliseconds in an int: 24 days and 20 hours.
LONGEST_SECONDS = 2_147_483

#: More takes PostgreSQL's calendar to before its beginning.
LONGEST_HISTORY_DAYS = 1_000_000


def _token(value: str) -> str:
    if len(value) < 16 or not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("a token has 16 or more printable ASCII characters and no space")
    return value


def _header(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9-]+", value):
        raise ValueError("write the name of a header, such as X-Forwarded-User")
    return value


def _web_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("write an address such as https://flower.example")
    if "@" in parts.netloc:
        raise ValueError("write it without user and password, since the pages show it; Flower asks for them")
    return value.rstrip("/")


Seconds = Annotated[float, BeforeValidator(_seconds), Field(ge=0, le=LONGEST_SECONDS)]
PostgresqlUrl = Annotated[str, AfterValidator(_postgresql_url)]


def _setting(default: Any, help_text: str, **more: Any) -> Any:
    return Field(default, description=help_text, **more)


#: How the settings that hold a password are shown.
_MASKS: dict[str | None, Callable[[Any], Any]] = {
    "database_url": masked,
    "broker_url": masked_broker,
    "databases": lambda urls: {number: masked(url) for number, url in urls.items()},
    "api_token": lambda _: "***",
}


class _FirstWins(PydanticBaseSettingsSource):
    """Several sources as one; each setting is as a whole the first's that has it."""

    def __init__(self, settings_cls: type[BaseSettings], *sources: PydanticBaseSettingsSource) -> None:
        super().__init__(settings_cls)
        self._sources = sources

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        found = (source.get_field_value(field, field_name) for source in self._sources)
        return next((one for one in found if one[0] is not None), (None, field_name, False))

    def __call__(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for source in self._sources:
            found = source() | found
        return found


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
        return init_settings, _FirstWins(settings_cls, env_settings, dotenv_settings, file_secret_settings)

    database_url: PostgresqlUrl | None = _setting(
        None,
        "The reporting database: manifests, run history and status live here. Unset means the embedded "
        "PostgreSQL.",
    )
    broker_url: Annotated[str, AfterValidator(_broker_url)] | None = _setting(
        None, "Redis, over which runs are queued. Unset means the embedded one."
    )
    databases: dict[int, PostgresqlUrl] = _setting(
        {}, 'Other databases that manifests name by database_id, as JSON: {"7": "postgresql://…"}.'
    )
    max_per_database: Annotated[dict[str, int], BeforeValidator(_limits)] = _setting(
        {},
        "How many refreshes run on one database at a time, over all workers: a number for each database, or "
        'JSON by database_id: {"7": 2, "default": 4}. Unset, and 0, is no limit.',
    )
    route_by_database: bool = _setting(
        False,
        "Whether the runs of other databases have queues of their own, seeder.refresh.<database_id>, for "
        "workers that are given them with -Q.",
    )
    db_schema: Annotated[str, AfterValidator(_schema)] = _setting(
        "reporting",
        "The schema of the contract's tables, and of matviews whose table_name is a bare name.",
        alias="SEEDER_SCHEMA",
    )
    agency_table: Annotated[str, AfterValidator(_relation)] = _setting(
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
        "Volatile functions outside pg_catalog that manifests may call nevertheless, as JSON: "
        '["public.exchange_rate"].',
    )
    refresh_mode: RefreshMode = _setting(
        RefreshMode.AUTO,
        "auto: CONCURRENTLY where a usable unique index allows it, else plain; plain; concurrently; swap: "
        "built beside the old one, then exchanged; auto-swap: CONCURRENTLY where possible, else swap.",
    )
    on_query_change: OnQueryChange = _setting(
        OnQueryChange.REBUILD,
        "When a manifest's SQL has changed since its matview was made: rebuild (beside the old one, then "
        "exchanged), keep (refresh the old definition) or error.",
    )
    expect: Annotated[str, AfterValidator(_expectations)] = _setting(
        "",
        "What must hold of every matview's new rows before they are shown, as in a manifest's expect=( ): "
        "rows > 0, rows_change < 50%.",
    )
    schedule: Annotated[str, AfterValidator(_cron)] = _setting(
        "0 2 * * *", "When everything is refreshed: a cron expression of five fields, in TIMEZONE."
    )
    timezone: Annotated[str, AfterValidator(_timezone)] = _setting("UTC", "The time zone of SCHEDULE.")
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
    api_token: Annotated[str, AfterValidator(_token)] | None = _setting(
        None,
        "The secret with which the API is written to, and read from other machines: a bearer token, and the "
        "password of the pages' login. At least 16 characters.",
    )
    trust_proxy_user: Annotated[str, AfterValidator(_header)] | None = _setting(
        None,
        "The header in which a reverse proxy names the person it has let in, such as X-Forwarded-User. Only "
        "where nobody can reach the port but that proxy.",
    )
    flower_url: Annotated[str, AfterValidator(_web_url)] | None = _setting(
        None,
        "Where Flower's pages are, such as https://flower.example: a job's page then links to its run's task "
        "there. `seeder up` sets it by itself.",
    )
    history_days: int = _setting(
        90, "How long finished runs are kept, in days.", ge=1, le=LONGEST_HISTORY_DAYS
    )
    home: Path = _setting(Path(".seeder"), "Where the embedded servers keep their data.")

    def url_of(self, database_id: int) -> str | None:
        """The URL of another database, or None where SEEDER_DATABASES doesn't map the number."""
        return self.databases.get(database_id)

    def limit_of(self, database_id: int | None) -> int:
        """How many refreshes may run on that database at a time; 0 is no limit."""
        return self.max_per_database.get(str(database_id), self.max_per_database.get("default", 0))

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
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


def unknown_variables() -> list[str]:
    """What seems to be meant for seeder, in the environment or in ``.env``, and isn't known: most likely a
    misspelt name, whose value then has no effect."""
    known = {variable_name(field) for field in Settings.model_fields}
    names = {name.upper() for name in (*os.environ, *DotEnvSettingsSource(Settings).env_vars)}
    told = []
    for name in sorted(names - known):
        # The tests' own say where their servers are.
        if name.startswith("SEEDER_") and not name.startswith("SEEDER_TEST_"):
            like = get_close_matches(name, known, 1, cutoff=0.8)
            told.append(f"{name} is no setting of seeder's" + (f"; {like[0]} is." if like else "."))
    return told


def variable_name(field: str) -> str:
    """The environment variable of a field: ``database_url`` is ``SEEDER_DATABASE_URL``."""
    alias = getattr(Settings.model_fields.get(field), "alias", None)
    return alias or (field if field.startswith("SEEDER_") else f"SEEDER_{field.upper()}")


@cache
def current_settings() -> Settings:
    """The settings of this process, read at the first call."""
    return load_settings()
