"""The filters and order that a person chose in the job list, and the address that stands for them.

Everything a person chooses stands in the address, so a page can be reloaded, kept and sent to somebody else.
"""

from datetime import datetime
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query
from pydantic import Field, model_validator

from seeder.web.api.jobs import JobsAsked

#: In place of rows, where a page shows none.
NO_ROWS = "-"


class ListAsked(JobsAsked):
    """What ``/api/jobs`` takes, as a form sends it: an empty field is no filter."""

    rows: Annotated[
        str | None,
        Field(max_length=60_000),
        Query(description="Only these jobs, as custom-12,canned-3: a piece for a page that shows them."),
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, values: object) -> object:
        if not isinstance(values, dict):
            return values
        return {
            name: [one for one in value if one != ""] if isinstance(value, list) else value
            for name, value in values.items()
            if value != ""
        }

    @property
    def identities(self) -> list[str]:
        return [one for one in (self.rows or "").split(",") if one not in ("", NO_ROWS)]


def address(base: str, asked: ListAsked, **changes: object) -> str:
    """The page at that path with what is asked for, apart from these changes. Defaults aren't written."""
    pairs = []
    for name, field in ListAsked.model_fields.items():
        value = changes[name] if name in changes else None if name == "rows" else getattr(asked, name)
        if value != field.default:
            pairs.append((name, value.isoformat() if isinstance(value, datetime) else value))
    return f"{base}?{urlencode(pairs, doseq=True)}" if pairs else base
