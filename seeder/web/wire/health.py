"""The results of health checks."""

from typing import Literal

from pydantic import Field

from seeder.web.wire.base import Wire, value


class Alive(Wire):
    status: Literal["ok"] = value(example="ok")


class Ready(Wire):
    """Whether what seeder needs is there; a problem is told without any address."""

    ready: bool = value(example=True)
    database: str = value(example="ok")
    broker: str = value(example="ok")
    schema_: str = Field(serialization_alias="schema", examples=["ok"])
