"""PostgreSQL's own scanner, applied to a manifest's SQL, and positions in that.

What is a string, a comment, a quoted identifier or a cast is never guessed here: libpg_query is PostgreSQL's
scan.l, compiled (https://github.com/pganalyze/libpg_query), and pglast calls it.
"""

import re
from collections.abc import Callable

from pglast import parser
from pglast.parser import Token

from seeder.errors import Position, QueryRefused

#: Longer SQL is refused before it is scanned. Far above any report's query, and it bounds the time: the worst
#: text of this length that was found takes under two seconds from text to verdict (docs/manifests.md).
LONGEST_QUERY = 256 * 1024

#: PostgreSQL's scanner takes the square of a run's length in time when the run is comments: 48 s for 260,000
#: characters of /**//**/….
_LONGEST_OPERATOR_RUN = 4_000
_OPERATOR_RUN = re.compile(r"[-+*/<>=~!@#%^&|`?]+")  # scan.l: op_chars
#: What the scanner calls ``-- …`` and ``/* … */``.
COMMENTS = ("SQL_COMMENT", "C_COMMENT")
_NON_ASCII = re.compile(r"[^\x00-\x7f]")


def position(text: str, offset: int) -> Position:
    """Line and column of the character at `offset`; at the end of the text, of what would come next."""
    before = text[: max(offset, 0)]
    return Position(before.count("\n") + 1, len(before) - before.rfind("\n"))


def offset_at(text: str, where: Position) -> int | None:
    """The inverse of `position`; None where the text has no such place."""
    line_start = 0
    for _ in range(where.line - 1):
        line_end = text.find("\n", line_start)
        if line_end < 0:
            return None
        line_start = line_end + 1
    line_end = text.find("\n", line_start)
    offset = line_start + where.column - 1
    # The end of a line, and of the text, is a place too: there something is missing.
    return offset if where.column >= 1 and offset <= (len(text) if line_end < 0 else line_end) else None


def refusal(reason: str, where: Position) -> QueryRefused:
    # What is quoted from the manifest may go over several lines.
    return QueryRefused(reason=" ".join(reason.split()), position=where)


def scan(text: str, locate: Callable[[int], Position]) -> list[Token]:
    """The tokens of `text`, comments left out; see `scan_with_comments`."""
    return [token for token in scan_with_comments(text, locate) if token.name not in COMMENTS]


def scan_with_comments(text: str, locate: Callable[[int], Position]) -> list[Token]:
    """The tokens of `text`; a token's `start` and `end` are those of its first and last character.

    Raises QueryRefused, at the position `locate` gives for an offset, when the text is too long, holds a NUL
    or a lone surrogate, or ends inside a string, a comment or a quoted identifier.
    """
    if len(text) > LONGEST_QUERY:
        raise refusal(
            f"it has {len(text):,} characters and the most is {LONGEST_QUERY:,}; put long lists of values "
            "into a table",
            locate(0),
        )
    if len(text) > _LONGEST_OPERATOR_RUN:
        for run in _OPERATOR_RUN.finditer(text):
            if len(run[0]) > _LONGEST_OPERATOR_RUN:
                raise refusal(f"{len(run[0]):,} operator characters stand in a row", locate(run.start()))
    if "\x00" in text:
        raise refusal("it holds a NUL character", locate(text.index("\x00")))
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise refusal("it holds half of a surrogate pair", locate(error.start)) from None
    # To the scanner every character outside ASCII is a letter. Standing a q in for each (no q begins a
    # string or a number, as e, x or n do) keeps pglast 8.8 from looking each offset up in a list of all such
    # characters, which takes minutes for a long text full of them.
    try:
        found = parser.scan(text if text.isascii() else _NON_ASCII.sub("q", text))
    except parser.ParseError as error:
        message, offset = error.args
        reason = str(message).partition(" at or near ")[0]
        raise refusal(reason, locate(len(text) if offset is None else offset)) from None
    return list(found)
