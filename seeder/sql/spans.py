"""A manifest's SQL as spans for display: keywords, strings, comments, filled placeholders.

PostgreSQL's own scanner decides what is what. The text stays as it was written: positions in errors refer to
it, and its comments, which a formatter drops that prints the SQL from its tree (pglast.prettify), hold
directives and reasons.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from seeder.errors import QueryRefused
from seeder.sql.tokens import COMMENTS, position, scan_with_comments

_STRINGS = frozenset(("SCONST", "USCONST", "BCONST", "XCONST"))
#: With these, text can look as if it stood in another order than PostgreSQL reads it
#: (https://www.unicode.org/reports/tr9/, explicit formatting characters).
_CONTROLS = re.compile("([\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069])")
_NUMBERS = frozenset(("ICONST", "FCONST"))
#: Not reserved, so they may be a column's name too, but seldom are.
_ALSO_KEYWORDS = frozenset(("BY", "OVER", "PARTITION", "FILTER", "RECURSIVE", "VALUES", "EXISTS", "BETWEEN"))


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of one line. ``kind`` is "keyword", "string", "number", "comment", "control" for a character
    that would turn the text around it, or "" for the rest."""

    text: str
    kind: str = ""
    #: The placeholder whose value this is.
    filling: str | None = None
    #: It is what an error points at.
    marked: bool = False


def lines_of(
    text: str, fillings: Sequence[tuple[int, int, str]] = (), mark: int | None = None
) -> list[list[Span]]:
    """The text's lines as spans, which put together are the text without its line ends.

    `mark` is the offset of what an error points at: the token there, or the one character. What the scanner
    refuses comes out as it is, of no kind.
    """
    tokens = list(_tokens(text))
    ends = {start: end for start, end, _ in tokens}
    kinds = dict.fromkeys([0, len(text)], "")
    for start, end, kind in tokens:
        # Where two touch, the second one's beginning counts.
        kinds |= {start: kind, end: ""}
    filled: dict[int, str | None] = {}
    for start, end, placeholder in fillings:
        filled |= {start: placeholder, end: None}
    marked = _marked(text, mark, ends)
    lines: list[list[Span]] = [[]]
    kind, filling = "", None
    for start, end in pairwise(sorted({*kinds, *filled, *marked})):
        kind, filling = kinds.get(start, kind), filled.get(start, filling)
        is_marked = bool(marked) and marked[0] <= start < marked[1]
        first, *others = text[start:end].split("\n")
        for number, piece in enumerate((first, *others)):
            if number:
                lines.append([])
            for part in filter(None, _CONTROLS.split(piece)):
                shown = "control" if _CONTROLS.fullmatch(part) else kind
                _add(lines[-1], Span(part, shown, filling, is_marked))
    if marked and marked[0] == marked[1]:
        # Something is missing at the end of a line: there is nothing to mark but the place.
        line = text.count("\n", 0, marked[0])
        lines[line].append(Span(" ", marked=True))
    return lines


def _add(line: list[Span], span: Span) -> None:
    """Put it at the line's end, as one with the last one where both are of no kind."""
    if line and line[-1] == replace(span, text=line[-1].text) and not (span.kind or span.filling):
        span = replace(span, text=line.pop().text + span.text)
    line.append(span)


def _tokens(text: str) -> Iterator[tuple[int, int, str]]:
    """Beginning, end and kind of each token."""
    try:
        found = scan_with_comments(text, lambda offset: position(text, offset))
    except QueryRefused:
        return
    for token in found:
        if token.name in COMMENTS:
            kind = "comment"
        elif token.name in _STRINGS:
            kind = "string"
        elif token.name in _NUMBERS:
            kind = "number"
        elif token.kind in ("RESERVED_KEYWORD", "TYPE_FUNC_NAME_KEYWORD") or token.name in _ALSO_KEYWORDS:
            kind = "keyword"
        else:
            kind = ""
        yield token.start, token.end + 1, kind


def _marked(text: str, mark: int | None, ends: Mapping[int, int]) -> tuple[int, ...]:
    """From where to where: nothing, a place, or a piece of a line. ``ends`` has each token's end by its
    beginning."""
    if mark is None or not 0 <= mark <= len(text):
        return ()
    if mark == len(text) or text[mark] == "\n":
        return (mark, mark)
    end = ends.get(mark, mark + 1)
    # PostgreSQL points at the beginning of a name with dots in it.
    while text[end : end + 1] == "." and end in ends and ends[end] in ends:
        end = ends[ends[end]]
    line_end = text.find("\n", mark)
    return (mark, min(end, len(text) if line_end < 0 else line_end))
