"""What all models of the API have in common."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AliasPath, AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer
from pydantic.alias_generators import to_camel
from pydantic.json_schema import WithJsonSchema


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()


Moment = Annotated[
    AwareDatetime,
    PlainSerializer(_iso, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]

Status = Literal["pending", "running", "success", "error"]

#: What can be asked for: the contract's words, of which error then leaves out what was cancelled or not run.
StandingAsked = Literal["pending", "running", "success", "error", "cancelled", "not_run"]
ReportKind = Literal["custom", "canned"]

#: In examples.
TABLE = "agency_ua_sales"


def value(
    default: Any = ..., description: str = "", example: Any = None, source: str | None = None, **more: Any
) -> Any:
    """A field with what the OpenAPI document says of it.

    ``source`` is the attribute that it is read from where that has another name, such as ``job.status``.
    """
    if source is not None:
        more["validation_alias"] = AliasPath(*source.split("."))
    return Field(default, description=description, examples=[example], **more)


class Wire(BaseModel):
    """One of them; ``model_validate`` reads it from one of our own values, attribute by attribute."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        strict=True,
        from_attributes=True,
        frozen=True,
        extra="forbid",
        json_schema_serialization_defaults_required=True,
    )
