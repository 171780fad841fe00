"""The types of the settings: each reads a text, or says how it should have been written."""

import re
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from typing import Annotated
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, BeforeValidator, Field
from sqlalchemy.exc import ArgumentError

from seeder.config.broker_urls import verify_broker_url
from seeder.config.urls import driver_url
from seeder.errors import DirectiveRefused
from seeder.sql.directives import read_expectations

#: PostgreSQL keeps its time limits as milliseconds in an int: 24 days and 20 hours.
LONGEST_SECONDS = 2_147_483

_ANY_MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(value: object) -> float:
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
        url = driver_url(value)
    except (ArgumentError, ValueError):
        # The text is not repeated: it may hold a password.
        raise ValueError(
            "write a URL such as postgresql://user:password@host:5432/name, several hosts as in "
            "//user:password@one:5432,other:5432/name"
        ) from None
    if not re.match(r"postgres(ql)?(\+\w+)?://", value):
        raise ValueError("only PostgreSQL is supported, so the URL must begin with postgresql://")
    if "@" in f"{url.host}{url.database}":
        raise ValueError("in a URL, an @ of the user's name or password is written %40")
    if "\x00" in f"{url.username}{url.password}{url.database}":
        raise ValueError("PostgreSQL knows no NUL character (%00)")
    return value


def _limits(value: object) -> dict[object, object]:
    """One number for all databases, or numbers by database_id and for the ``default``."""
    limits = value if isinstance(value, dict) else {"default": value}
    for name, limit in limits.items():
        # A bool is an int to Python.
        if not (name == "default" or name.isdecimal()) or type(limit) is not int or limit < 0:
            raise ValueError('write a number, or JSON such as {"7": 2, "default": 4}')
    return limits


#: Opens some 600 files each time, for 7 to 16 ms.
_timezones = cache(available_timezones)


def _timezone(value: str) -> str:
    if value not in _timezones():
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
    if value == "$user":
        # On a search_path PostgreSQL takes it, quoted too, for the schema of whoever is connected.
        raise ValueError("on a search_path $user means the schema of the role's name; write that name")
    return value


def _search_path(value: str) -> str:
    for name in schemas_of(value):
        _schema(name)
        if '"' in name:
            raise ValueError("write the schemas' names with commas between, as the catalogue has them")
        if name.lower().startswith("pg_"):
            raise ValueError(
                f"leave {name} out: pg_catalog comes first by itself, pg_temp last, and other schemas of "
                "PostgreSQL's own never"
            )
    return value


def schemas_of(path: str) -> tuple[str, ...]:
    """The schemas of a path as it is written; each may stand between double quotes."""
    names = (part.strip() for part in path.split(","))
    return tuple(name[1:-1] if len(name) > 2 and name[0] == name[-1] == '"' else name for name in names)


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
        raise ValueError(f"{error.reason} (column {error.position.column})") from None
    return value


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


class SameMoment(StrEnum):
    """Which reports of a seeding hold the rows of one moment."""

    OFF = "off"
    AGENCY = "agency"
    SEEDING = "seeding"


Seconds = Annotated[float, BeforeValidator(seconds), Field(ge=0, le=LONGEST_SECONDS)]
Limits = Annotated[dict[str, int], BeforeValidator(_limits)]
PostgresqlUrl = Annotated[str, AfterValidator(_postgresql_url)]
BrokerUrl = Annotated[str, AfterValidator(verify_broker_url)]
SchemaName = Annotated[str, AfterValidator(_schema)]
SearchPath = Annotated[str, AfterValidator(_search_path)]
RelationName = Annotated[str, AfterValidator(_relation)]
Expectations = Annotated[str, AfterValidator(_expectations)]
Cron = Annotated[str, AfterValidator(_cron)]
TimeZone = Annotated[str, AfterValidator(_timezone)]
Token = Annotated[str, AfterValidator(_token)]
HeaderName = Annotated[str, AfterValidator(_header)]
WebUrl = Annotated[str, AfterValidator(_web_url)]
