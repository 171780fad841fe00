"""Directives: what a manifest asks for its matview, in the leading comments of its SQL.

    -- seeder: unique=(carrier, month) index=(month) timeout=15min
    -- seeder: expect=(rows > 0, not_null(carrier)) after=(flights_{agency_slug})

PostgreSQL's own scanner finds the comments and the beginning of the query. The directives have a small
grammar (in full in docs/manifests.md) and words of their own: PostgreSQL's scanner refuses ``15min``, a
number with letters behind it.
"""

import re
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import lru_cache

from seeder.errors import NameRefused, PlaceholderRefused
from seeder.sql.expectations import (
    COMPARISONS,
    Expectation,
    Fresh,
    NotNull,
    Rows,
    RowsChange,
    as_duration,
    as_list,
    as_written,
)
from seeder.sql.names import folded, matview_name, render_table_name
from seeder.sql.tokens import COMMENTS, position, scan_with_comments
from seeder.sql.words import Words, shortened

#: PostgreSQL keeps its time limits as milliseconds in an int.
LONGEST_TIMEOUT = timedelta(days=24)

#: PostgreSQL's INDEX_MAX_KEYS.
MOST_KEYS = 32

_MARK = re.compile(r"seeder[ \t\r\n\f\v]*:", re.IGNORECASE)
_OPENING = re.compile(r"(?:--+|/\*+)[ \t\r\n\f\v]*seeder[ \t\r\n\f\v]*:", re.IGNORECASE)
_NAMES = ("unique", "index", "mode", "timeout", "role", "expect", "after", "unchanged")
_ONCE = ("mode", "timeout", "role", "unchanged")
_WITHOUT_COLON = re.compile(
    rf"(?:--+|/\*+)[ \t\r\n\f\v]*seeder[ \t\r\n\f\v]+(?:{'|'.join(_NAMES)})[ \t]*=", re.IGNORECASE
)
#: Longer texts are read each time, so that memory stays small.
_REMEMBERED = 16 * 1024


class RefreshMode(StrEnum):
    """How a matview that exists is refreshed; see docs/matviews.md."""

    AUTO = "auto"
    PLAIN = "plain"
    CONCURRENTLY = "concurrently"
    SWAP = "swap"
    AUTO_SWAP = "auto-swap"


@dataclass(frozen=True, slots=True)
class Index:
    """An index that a manifest asks for. A unique one is the matview's key, or one of its keys."""

    columns: tuple[str, ...]
    unique: bool = False

    def __str__(self) -> str:
        return ("unique=" if self.unique else "index=") + as_list(self.columns)


@dataclass(frozen=True, slots=True)
class Directives:
    """What a manifest asks for; for the rest the settings apply."""

    indexes: tuple[Index, ...] = ()
    mode: RefreshMode | None = None
    timeout: timedelta | None = None
    role: str | None = None
    expect: tuple[Expectation, ...] = ()
    #: The tables of manifests whose matviews are to be fresh before this one is refreshed, as those write
    #: them, or with ``{…}`` to be filled in from this manifest.
    after: tuple[str, ...] = ()
    #: Whether a run isn't done whose sources haven't changed.
    skip_unchanged: bool | None = None

    def __str__(self) -> str:
        """As it would stand after ``-- seeder:``."""
        said = [str(index) for index in self.indexes]
        if self.mode:
            said.append(f"mode={self.mode}")
        if self.timeout is not None:
            said.append(f"timeout={as_duration(self.timeout)}")
        if self.role is not None:
            said.append(f"role={as_written(self.role)}")
        if self.expect:
            said.append(f"expect=({', '.join(map(str, self.expect))})")
        if self.after:
            said.append(f"after=({', '.join(self.after)})")
        if self.skip_unchanged is not None:
            said.append(f"unchanged={'skip' if self.skip_unchanged else 'refresh'}")
        return " ".join(said)


NONE = Directives()


def read(text: str) -> Directives:
    """The directives in a manifest's SQL, as its row has it.

    Raises DirectiveRefused with the place in `text`, and QueryRefused for SQL that can't be scanned.
    """
    if "seeder" not in text.lower() or not _MARK.search(text):
        return NONE
    return _read_once(text) if len(text) <= _REMEMBERED else _read(text)


def missed(text: str) -> list[int]:
    """The lines of comments that look like directives but lack the colon."""
    if "seeder" not in text.lower():
        return []
    tokens = scan_with_comments(text, lambda offset: position(text, offset))
    return [
        position(text, token.start).line
        for token in tokens
        if token.name in COMMENTS and _WITHOUT_COLON.match(text, token.start, token.end + 1)
    ]


def read_expectations(text: str) -> tuple[Expectation, ...]:
    """What stands between the parentheses of ``expect=( )``; nothing is no expectation."""
    reader = _Reader(text, 0, len(text))
    if reader.done:
        return ()
    found = reader.expectations()
    if not reader.done:
        reader.refuse(f"{reader.next_word} is not expected here")
    return found


def _read(text: str) -> Directives:
    found = _Found()
    begun = False
    for token in scan_with_comments(text, lambda offset: position(text, offset)):
        if token.name not in COMMENTS:
            begun = True
        elif opening := _OPENING.match(text, token.start, token.end + 1):
            end = token.end + 1 - 2 * (token.name == "C_COMMENT")
            reader = _Reader(text, opening.end(), end)
            if begun:
                reader.refuse("it stands inside or after the query; put it before", token.start)
            while not reader.done:
                reader.directive(found)
    return Directives(
        tuple(found.indexes),
        found.mode,
        found.timeout,
        found.role,
        tuple(found.expect),
        tuple(dict.fromkeys(found.after)),
        found.skip_unchanged,
    )


#: A run comes with the SQL of the run before it.
_read_once = lru_cache(maxsize=1024)(_read)


class _Found:
    """What has been read so far."""

    def __init__(self) -> None:
        self.indexes: list[Index] = []
        self.mode: RefreshMode | None = None
        self.timeout: timedelta | None = None
        self.role: str | None = None
        self.expect: list[Expectation] = []
        self.after: list[str] = []
        self.skip_unchanged: bool | None = None


class _Reader(Words):
    """Reads one comment's directives, from left to right."""

    def directive(self, found: _Found) -> None:
        word = self.take("name", "the name of a directive")
        name = folded(word.text)
        attribute = {"unchanged": "skip_unchanged"}.get(name, name)
        if name in _ONCE and getattr(found, attribute) is not None:
            self.refuse(f"{name} is given twice", word.start)
        if name not in _NAMES:
            self.refuse(
                f"there is no {shortened(name)}; there are {', '.join(_NAMES[:-1])} and {_NAMES[-1]}",
                word.start,
            )
        self.sign("=")
        if name in ("unique", "index"):
            start = self.word.start
            index = Index(self._columns(), unique=name == "unique")
            if len(index.columns) > MOST_KEYS:
                self.refuse(f"an index has at most {MOST_KEYS} columns", start)
            if index in found.indexes:
                self.refuse("it is given twice", start)
            found.indexes.append(index)
        elif name == "mode":
            found.mode = self._mode()
        elif name == "timeout":
            found.timeout = self.duration(LONGEST_TIMEOUT)
        elif name == "role":
            found.role = self.name("a role")
        elif name == "after":
            found.after += self._tables()
        elif name == "unchanged":
            found.skip_unchanged = self._unchanged()
        else:
            self.sign("(")
            found.expect += self.expectations()
            self.sign(")")

    def _columns(self) -> tuple[str, ...]:
        self.sign("(")
        columns: list[str] = []
        while True:
            start = self.word.start
            column = self.name("a column")
            if column in columns:
                self.refuse("the column is named twice", start)
            columns.append(column)
            if self.sign(",", ")") == ")":
                return tuple(columns)

    def _tables(self) -> list[str]:
        self.sign("(")
        tables: list[str] = []
        while True:
            start = self.word.start
            tables.append(self.table())
            try:
                matview_name(render_table_name(tables[-1], agency_slug="a", agency_id=1, manifest_id=1), "s")
            except (NameRefused, PlaceholderRefused) as error:
                self.refuse(error.reason, start)
            if self.sign(",", ")") == ")":
                return tables

    def _mode(self) -> RefreshMode:
        start = self.word.start
        mode = folded(self.take("name", "a mode").text)
        if self.passed("-"):
            mode += "-" + folded(self.take("name", "the rest of the mode").text)
        if mode not in list(RefreshMode):
            self.refuse(f"there is no mode {shortened(mode)}; there are {', '.join(RefreshMode)}", start)
        return RefreshMode(mode)

    def _unchanged(self) -> bool:
        start = self.word.start
        choice = folded(self.take("name", "skip or refresh").text)
        if choice not in ("skip", "refresh"):
            self.refuse(f"there is no {shortened(choice)}; there are skip and refresh", start)
        return choice == "skip"

    def expectations(self) -> tuple[Expectation, ...]:
        found = [self._expectation()]
        while self.passed(","):
            found.append(self._expectation())
        return tuple(found)

    def _expectation(self) -> Expectation:
        word = self.take("name", "rows, rows_change, not_null or fresh")
        name = folded(word.text)
        if name == "rows":
            comparison = self.sign(*COMPARISONS)
            start = self.word.start
            number = self.number()
            if number != int(number):
                self.refuse("a number of rows is whole", start)
            return Rows(comparison, int(number))
        if name == "rows_change":
            comparison = self.sign("<", "<=")
            percent = self.number()
            self.sign("%")
            return RowsChange(comparison, percent)
        if name == "not_null":
            return NotNull(self._columns())
        if name != "fresh":
            known = "there are rows, rows_change, not_null and fresh"
            self.refuse(f"nothing is known of {shortened(name)}; {known}", word.start)
        self.sign("(")
        column = self.name("a column")
        self.sign(",")
        within = self.duration()
        self.sign(")")
        return Fresh(column, within)
