"""The API's models as TypeScript, for the frontend's ``mockSeederData.ts`` and ``mockSeederHistory.ts``.

Made from the JSON schema of what is sent, which is also what the OpenAPI document holds.
"""

import json
from collections.abc import Iterator
from typing import Any

from pydantic.json_schema import models_json_schema

from seeder.web.wire.actions import Started
from seeder.web.wire.frozen import FrozenList
from seeder.web.wire.history import HistoryPage, RunPage
from seeder.web.wire.jobs import Changes, JobDetail, JobPage
from seeder.web.wire.problems import Problem
from seeder.web.wire.summary import Summary

HEADER = """\
// What seeder's API sends. Made by `seeder schema show --as typescript`; don't edit.
//
// The rows of mockSeederData.ts are SeederJob, those of mockSeederHistory.ts are SeederHistory.
// Moments are ISO 8601 in UTC with their offset. Every field is always there; null is nothing known.
"""

#: The frontend's words for the rows of its two mocks.
MOCKS = """\
export type SeederJob = JobRow;
export type SeederHistory = HistoryRow;
"""

#: The answers, and the data of events; what they are made of comes with them.
SENT = (
    JobPage,
    JobDetail,
    HistoryPage,
    RunPage,
    Summary,
    FrozenList,
    Started,
    Changes,
    Problem,
)

WORDS = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}


def typescript() -> str:
    """A module of interfaces, the same text for the same models."""
    _, schema = models_json_schema([(model, "serialization") for model in SENT], by_alias=True)
    interfaces = [_interface(name, found) for name, found in schema["$defs"].items()]
    return "\n".join([HEADER, *interfaces, MOCKS])


def _interface(name: str, schema: dict[str, Any]) -> str:
    return "\n".join([*_comment(schema, ""), f"export interface {name} {{", *_fields(schema), "}", ""])


def _fields(schema: dict[str, Any]) -> Iterator[str]:
    required = schema.get("required", ())
    for name, field in schema["properties"].items():
        yield from _comment(field, "  ")
        yield f"  {name}{'' if name in required else '?'}: {_type(field)};"


def _comment(schema: dict[str, Any], indent: str) -> Iterator[str]:
    if text := " ".join(schema.get("description", "").split()):
        yield f"{indent}/** {text.replace('*/', '* /')} */"


def _type(schema: dict[str, Any]) -> str:
    """A schema of the kinds our models have. Raises KeyError for any other."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " | ".join(map(_type, schema["anyOf"]))
    if "enum" in schema:
        return " | ".join(map(json.dumps, schema["enum"]))
    if "const" in schema:
        return json.dumps(schema["const"])
    if schema["type"] == "array":
        item = _type(schema["items"])
        return f"({item})[]" if " " in item else f"{item}[]"
    return WORDS[schema["type"]]
