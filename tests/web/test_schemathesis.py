"""Every endpoint of the OpenAPI document, asked for what it says and for what it doesn't.

The stream of events is left out, since an answer that doesn't end can't be judged; test_events.py reads it.
"""

import json
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from support.contract import Platform, as_it_is, new_run

from seeder.history import Figures

ROOT = Path(__file__).parents[2]
OPERATIONS = [
    (path, method)
    for path, methods in json.loads((ROOT / "docs" / "openapi.json").read_text())["paths"].items()
    for method in methods
    if path != "/api/events"
]

TOKEN = "a-token-for-the-tests"


@pytest.fixture
def document(platform: Platform, address: str, monkeypatch: pytest.MonkeyPatch) -> schemathesis.BaseSchema:
    """The document as it is served, over a job and an agency that are its examples."""
    # Each example is sent with a wrong token, too, which from the eleventh on is answered with 429.
    monkeypatch.setattr("seeder.web.security.attempts.ALLOWED", 100_000)
    platform.custom(12, table_name="agency_ua_sales", agency_slug="north-port")
    platform.history.queue([new_run("20261124T0200Z.custom-12", "agency_ua_sales", manifest_id=12)])
    platform.history.start("20261124T0200Z.custom-12", "agency_ua_sales")
    platform.history.succeed(as_it_is(platform.history, "20261124T0200Z.custom-12"), Figures(1, 8192))
    return schemathesis.openapi.from_url(f"{address}/api/openapi.json").exclude(path="/api/events")


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
@pytest.mark.parametrize(
    "mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=lambda mode: mode.value
)
def test_it_answers_as_the_document_says(
    document: schemathesis.BaseSchema, path: str, method: str, mode: GenerationMode
) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"} if method == "post" else {}

    # Its own decorators for pytest don't work with pytest 9.2.
    @given(case=document[path][method].as_strategy(generation_mode=mode))
    @settings(
        max_examples=25,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def every_case(case: schemathesis.Case) -> None:
        case.call_and_validate(headers=headers)

    try:
        every_case()
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE, "nothing that the document describes can be made"
