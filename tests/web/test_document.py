"""docs/openapi.json is what is served; docs/api.md tells of every endpoint."""

import json
import os
import re
from pathlib import Path

import pytest
from fastapi import FastAPI

from seeder.web.api.document import document

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "docs" / "openapi.json"
PATHS = json.loads(COMMITTED.read_text())["paths"]
ENDPOINTS = [(method.upper(), path) for path, methods in PATHS.items() for method in methods]


def test_the_committed_document_is_the_one_that_is_served(app: FastAPI) -> None:
    made = document(app)
    if os.environ.get("SEEDER_WRITE_OPENAPI"):
        COMMITTED.write_text(made)
    assert made == COMMITTED.read_text(), (
        "run this test with SEEDER_WRITE_OPENAPI=1, and look at what changed"
    )


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_an_endpoint_is_documented(method: str, path: str) -> None:
    page = (ROOT / "docs" / "api.md").read_text()
    assert re.search(rf"^\| `{method} {re.escape(path)}` \| .+ \|$", page, re.MULTILINE), (
        f"{method} {path} has no row in docs/api.md"
    )


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_an_endpoint_has_one_error_shape_and_an_example(method: str, path: str) -> None:
    answers = PATHS[path][method.lower()]["responses"]
    for status, answer in answers.items():
        if int(status) >= 400 and path != "/readyz":
            schema = answer["content"]["application/json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/Problem"}
    assert PATHS[path][method.lower()]["summary"]


def test_every_value_of_the_api_has_an_example() -> None:
    schemas = json.loads(COMMITTED.read_text())["components"]["schemas"]
    for name, schema in schemas.items():
        for field, described in schema.get("properties", {}).items():
            told = "examples" in described or "$ref" in described or "$ref" in json.dumps(described)
            assert told, f"{name}.{field}"
