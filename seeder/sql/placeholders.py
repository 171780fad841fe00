"""Fills ``:agency_id``, ``:agency_slug`` and ``:manifest_id`` in a manifest's query with quoted literals.

A placeholder is a colon directly followed by a name. Which colons those are is decided on PostgreSQL's own
tokens, so nothing inside a string, a comment, a quoted identifier or a cast is touched. PostgreSQL's grammar
has two colons of its own that may stand before a name: in a subscript (``a[1:b]``, gram.y indirection_el) and
in JSON_OBJECT and JSON_OBJECTAGG (``'key':value``, json_name_and_value). There, a colon after an operand is
PostgreSQL's; parentheses around a placeholder always make it one: ``a[(:agency_id)]``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from pglast.parser import Token

from seeder.errors import Position, QueryPlaceholderRefused
from seeder.sql.tokens import offset_at, position, scan

#: Tokens after which an operand is complete; beside them, every keyword that can be a column's name.
_ENDS_OPERAND = frozenset(
    "IDENT UIDENT SCONST USCONST BCONST XCONST ICONST FCONST PARAM ASCII_41 ASCII_93 END_P NULL_P TRUE_P "
    "FALSE_P CURRENT_CATALOG CURRENT_DATE CURRENT_ROLE CURRENT_TIME CURRENT_TIMESTAMP CURRENT_USER LOCALTIME "
    "LOCALTIMESTAMP SESSION_USER SYSTEM_USER USER".split()
)
_STRINGS = frozenset(("SCONST", "USCONST", "BCONST", "XCONST"))
#: A literal may touch these, or the text's end: no token runs on over them.
_APART = frozenset(("", *" \t\n\r\f\v(),;[]=<>"))
#: Longer texts are scanned each time, so that memory stays small.
_REMEMBERED = 16 * 1024


@dataclass(frozen=True, slots=True)
class _Filled:
    """One placeholder: where its literal is in the rendered text, where it was in the manifest's."""

    start: int
    end: int
    source_start: int
    source_end: int


@dataclass(frozen=True, slots=True)
class RenderedQuery:
    """A manifest's SQL with its placeholders filled in, not judged yet."""

    text: str
    source: str
    filled: tuple[_Filled, ...] = ()

    def source_position(self, offset: int) -> Position:
        """Where in the manifest's own text the character at `offset` of `text` comes from."""
        shift = 0
        for gap in self.filled:
            if offset < gap.start:
                break
            if offset < gap.end:
                return position(self.source, gap.source_start)
            shift = gap.source_end - gap.end
        return position(self.source, offset + shift)

    def offset_of(self, where: Position) -> int | None:
        """Where in `text` that place of the manifest's own text has come to, at the beginning of a literal if
        it is in a placeholder; None where the manifest's text has no such place."""
        offset = offset_at(self.source, where)
        if offset is None:
            return None
        shift = 0
        for gap in self.filled:
            if offset < gap.source_start:
                break
            if offset < gap.source_end:
                return gap.start
            shift = gap.end - gap.source_end
        return offset + shift

    @property
    def fillings(self) -> list[tuple[int, int, str]]:
        """Where the literals are in `text`, their beginning and end, each with its placeholder."""
        return [(gap.start, gap.end, self.source[gap.source_start : gap.source_end]) for gap in self.filled]


def render_query(text: str, values: Mapping[str, int | str | None]) -> RenderedQuery:
    """Fill each ``:name`` of `text` with the literal of ``values[name]``.

    Raises QueryPlaceholderRefused for a name that isn't in `values`, a value that is None or that PostgreSQL
    can't hold, and QueryRefused for text that can't be scanned.
    """
    if ":" not in text:
        return RenderedQuery(text, text)
    pieces: list[str] = []
    filled: list[_Filled] = []
    copied = length = 0
    for gap in _gaps_once(text) if len(text) <= _REMEMBERED else _gaps(text):
        literal = _literal(text, gap, values)
        length += gap.start - copied
        filled.append(_Filled(length, length + len(literal), gap.start, gap.end))
        pieces += (text[copied : gap.start], literal)
        copied, length = gap.end, length + len(literal)
    pieces.append(text[copied:])
    return RenderedQuery("".join(pieces), text, tuple(filled))


class _Gap(NamedTuple):
    """One placeholder in the manifest's text, and what keeps its literal a token of its own."""

    start: int
    end: int
    before: str
    after: str


def _gaps(text: str) -> tuple[_Gap, ...]:
    tokens = scan(text, lambda offset: position(text, offset))
    gaps = []
    for index in _placeholders(text, tokens):
        start, end = tokens[index].start, tokens[index + 1].end + 1
        before = "" if text[start - 1 : start] in _APART else " "
        after = "" if text[end : end + 1] in _APART else " "
        # Two strings with only white space and a line break between them are one to PostgreSQL; the
        # parentheses leave them two, as they were.
        around = tokens[max(index - 1, 0) : index] + tokens[index + 2 : index + 3]
        if any(t.name in _STRINGS or t.name == "ASCII_58" for t in around):
            before, after = before + "(", ")" + after
        gaps.append(_Gap(start, end, before, after))
    return tuple(gaps)


#: A canned report's text is the same for all its agencies, so most texts come again.
_gaps_once = lru_cache(maxsize=256)(_gaps)


def _placeholders(text: str, tokens: list[Token]) -> list[int]:
    """The indexes of the colons that begin a placeholder."""
    found: list[int] = []
    #: For each bracket that is open: may PostgreSQL's own colon stand directly inside it?
    own_colon = [False]
    for index, token in enumerate(tokens):
        before = tokens[index - 1].name if index else ""
        if token.name == "ASCII_40":
            own_colon.append(before in ("JSON_OBJECT", "JSON_OBJECTAGG"))
        elif token.name == "ASCII_91":
            own_colon.append(not _begins_array(tokens, index))
        elif token.name in ("ASCII_41", "ASCII_93"):
            if len(own_colon) > 1:
                own_colon.pop()
        elif token.name == "ASCII_58" and index + 1 < len(tokens):
            after = tokens[index + 1]
            is_name = after.name == "IDENT" or after.kind != "NO_KEYWORD"
            touching = after.start == token.end + 1 and text[after.start] != '"'
            of_grammar = own_colon[-1] and (before == "ASCII_91" or _ends_operand(tokens, index - 1))
            if is_name and touching and not of_grammar:
                found.append(index)
    return found


def _begins_array(tokens: list[Token], index: int) -> bool:
    """Is this ``[`` the one of ARRAY[…], or of an array nested in it, rather than of a subscript?"""
    if index == 0:
        return False
    if tokens[index - 1].name == "ARRAY":
        # After a dot it is a column of that name: (x).array[1:2]
        return index < 2 or tokens[index - 2].name != "ASCII_46"
    return tokens[index - 1].name in ("ASCII_91", "ASCII_44")


def _ends_operand(tokens: list[Token], index: int) -> bool:
    """Is an operand complete with this token?"""
    if tokens[index].name == "VALUE_P" and _may_end_operand(tokens[index - 1]):
        # JSON_OBJECT('key' VALUE :x): the keyword, not a column of that name.
        return False
    return _may_end_operand(tokens[index])


def _may_end_operand(token: Token) -> bool:
    return token.name in _ENDS_OPERAND or token.kind in ("UNRESERVED_KEYWORD", "COL_NAME_KEYWORD")


def _literal(text: str, gap: _Gap, values: Mapping[str, int | str | None]) -> str:
    """The value as SQL, whatever standard_conforming_strings is."""
    name = text[gap.start + 1 : gap.end]
    if name not in values:
        raise _refusal(text, gap, "a query knows " + ", ".join(f":{known}" for known in values))
    value = values[name]
    if value is None:
        raise _refusal(text, gap, f"the manifest has no {name}")
    if isinstance(value, int):
        # Bare, x-:agency_id would begin a comment when the number is negative.
        literal = f"({value:d})" if value < 0 else f"{value:d}"
    elif "\x00" in value:
        raise _refusal(text, gap, "its value holds a NUL character, which PostgreSQL can't store")
    else:
        literal = "'" + value.replace("'", "''") + "'"
        if "\\" in literal:
            # Only E'' reads a backslash alike under both values of that setting.
            literal = "E" + literal.replace("\\", "\\\\")
    return gap.before + literal + gap.after


def _refusal(text: str, gap: _Gap, reason: str) -> QueryPlaceholderRefused:
    return QueryPlaceholderRefused(
        placeholder=text[gap.start : gap.end], reason=reason, position=position(text, gap.start)
    )
