"""Where a page of a long list ends, as a text that means nothing to anybody else."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

from starlette.exceptions import HTTPException

BAD = "This cursor is of another list, or was changed. Begin at the first page, and follow `next` from there."


def cursor(of: str, place: Any) -> str:
    """``of`` says which list in which order; the place in it is something JSON can hold."""
    return urlsafe_b64encode(json.dumps([of, place], separators=(",", ":")).encode()).decode().rstrip("=")


def place(of: str, text: str) -> list[Any]:
    """The place of a cursor of that list. Raises HTTPException 409."""
    try:
        found = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except ValueError:
        raise HTTPException(409, BAD) from None
    if not (isinstance(found, list) and len(found) == 2 and found[0] == of and isinstance(found[1], list)):
        raise HTTPException(409, BAD)
    return found[1]
