"""The OpenAPI document as a text that changes only when the API does. docs/openapi.json is a copy of it."""

import json

from fastapi import FastAPI


def document(app: FastAPI) -> str:
    """As it is served, but indented, and without the release's number."""
    content = app.openapi()
    stable = {**content, "info": {**content["info"], "version": "0"}}
    return json.dumps(stable, indent=1, ensure_ascii=False) + "\n"
