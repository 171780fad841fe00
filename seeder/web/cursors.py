"""Cursors: the position in a long list at which its next page begins, as an opaque text."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode

from starlette.exceptions import HTTPException

BAD = "This cursor is of another list, or was changed. Begin at the first page, and follow `next` from there."


def cursor(of: str, place: object) -> str:
    """``of`` says which list in which order; the place in it is something JSON can hold."""
    return urlsafe_b64encode(json.dumps([of, place], separators=(",", ":")).encode()).decode().rstrip("=")


def place(of: str, text: str) -> list[int | float | str]:
    """The place of a cursor of that list. Raises HTTPException 409."""
    try:
        found = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except ValueError:
        raise HTTPException(409, BAD) from None
    match found:
        case [str(its), list(place)] if its == of and all(
            isinstance(one, int | float | str) for one in place
        ):
            return place
    raise HTTPException(409, BAD)
