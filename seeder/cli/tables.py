"""Tables that fit a terminal: the least important columns are left out first; if that isn't enough, or the
terminal is narrow, each row becomes a few lines of its own.

Rich's tables shrink every column alike until nothing can be read, and take 2 ms for a row.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from seeder.cli.fitting import cells, cut, padded, plain, wrapped

GAP = "  "
INDENT = "    "

#: Below this there is no room for a status, a name and a reason beside each other.
STACKED_BELOW = 80

#: What a reason needs for its first words, and what columns that can be done without leave to it.
REASON_NEEDS = 24
REASON_WANTS = 32

#: Of a reason so many lines are shown; the whole is elsewhere.
REASON_LINES = 3

#: Without a terminal nothing is cut; but one long name doesn't push the columns of all other rows aside.
PADDED_TO = 48

#: Text and the name of its style.
Span = tuple[str, str]
Line = Sequence[Span]


@dataclass(frozen=True)
class Column:
    """``goes``: whether it can be done without, the lowest first; None stays. ``reason``: it is broken over
    lines, where names, numbers and moments are never."""

    name: str
    right: bool = False
    goes: int | None = None
    reason: bool = False


@dataclass(frozen=True)
class Styled:
    """A cell's text with a style of rich's."""

    text: str
    style: str


class Table:
    """Rows of cells. ``lead``: what begins a row that is stacked."""

    def __init__(self, *columns: Column, lead: tuple[str, str]) -> None:
        self._columns = columns
        self._lead = [next(one for one in columns if one.name == name) for name in lead]
        self._rows: list[list[Styled]] = []

    def add(self, *values: str | Styled) -> None:
        """One row. Its cells are text of others: no markup is read in them."""
        styled = [one if isinstance(one, Styled) else Styled(one, "") for one in values]
        self._rows.append([Styled(plain(one.text).replace("\n", " ").rstrip(), one.style) for one in styled])

    def lines(self, width: int | None) -> Iterator[Line]:
        """The table as lines of at most so many cells; None is no terminal, where lines are as long as they
        are."""
        widths = [
            max([cells(column.name), *(cells(row[number].text) for row in self._rows)])
            for number, column in enumerate(self._columns)
        ]
        shown = list(range(len(self._columns)))
        if width is not None:
            if width < STACKED_BELOW:
                return self._stacked(width)
            shown = self._kept(widths, width)
            if self._needed(shown, widths, REASON_NEEDS) > width:
                return self._stacked(width)
        return self._beside(shown, widths, width)

    def _kept(self, widths: Sequence[int], width: int) -> list[int]:
        """The columns for which there is room; those without a word in them make room first."""
        empty = {number for number in range(len(widths)) if not any(row[number].text for row in self._rows)}
        leaving = sorted(
            (number not in empty, 0 if goes is None else goes, number)
            for number, column in enumerate(self._columns)
            if (goes := column.goes) is not None or (column.reason and number in empty)
        )
        shown = list(range(len(widths)))
        gone: list[int] = []
        for _, _, number in leaving:
            if self._needed(shown, widths, REASON_WANTS) <= width:
                break
            shown.remove(number)
            gone.append(number)
        for number in reversed(gone):
            # A small one may fit where a large one has gone after it.
            again = sorted([*shown, number])
            if number not in empty and self._needed(again, widths, REASON_WANTS) <= width:
                shown = again
        return shown

    def _needed(self, shown: Sequence[int], widths: Sequence[int], reason: int) -> int:
        sizes = [
            min(widths[number], reason) if self._columns[number].reason else widths[number]
            for number in shown
        ]
        return sum(sizes) + len(GAP) * (len(sizes) - 1)

    # --- rows of one line, but for the reason ---------------------------------------------------------

    def _beside(self, shown: Sequence[int], widths: Sequence[int], width: int | None) -> Iterator[Line]:
        room = list(widths)
        for number in shown:
            if width is None:
                room[number] = min(widths[number], PADDED_TO)
            elif self._columns[number].reason:
                room[number] = width - self._needed([one for one in shown if one != number], widths, 0) - 2
        yield self._line(shown, room, [Styled(column.name, "bold") for column in self._columns])
        for row in self._rows:
            broken = {
                number: wrapped(row[number].text, room[number], REASON_LINES)
                if self._columns[number].reason and width is not None
                else [row[number].text]
                for number in shown
            }
            for turn in range(max(map(len, broken.values()))):
                yield self._line(
                    shown,
                    room,
                    [
                        Styled(
                            broken[number][turn] if turn < len(broken.get(number, ())) else "",
                            row[number].style,
                        )
                        for number in range(len(self._columns))
                    ],
                )

    def _line(self, shown: Sequence[int], room: Sequence[int], row: Sequence[Styled]) -> Line:
        spans: list[Span] = []
        blank = ""
        for number in shown:
            cell, right = row[number], self._columns[number].right
            text = padded(cell.text, room[number], right=right)
            # Nothing but blanks behind the last word of a line.
            if bare := text.rstrip():
                spans += [(blank, ""), (bare, cell.style)]
                blank = text[len(bare) :] + GAP
            else:
                blank += text + GAP
        return spans

    # --- rows of several lines ------------------------------------------------------------------------

    def _stacked(self, width: int) -> Iterator[Line]:
        indent = INDENT if width > 4 * len(INDENT) else ""
        room = width - len(indent)
        lead = [self._columns.index(one) for one in self._lead]
        first = max((cells(row[lead[0]].text) for row in self._rows), default=0)
        for row in self._rows:
            yield from self._head(row, lead, first, width)
            for number, column in enumerate(self._columns):
                if column.reason and row[number].text:
                    for part in wrapped(row[number].text, room, REASON_LINES):
                        yield [(indent, ""), (part, row[number].style)]
            rest = ", ".join(
                f"{column.name} {row[number].text}"
                for number, column in enumerate(self._columns)
                if not column.reason and number not in lead and row[number].text
            )
            if rest:
                for part in wrapped(rest, room):
                    yield [(indent, ""), (part, "dim")]

    def _head(self, row: Sequence[Styled], lead: Sequence[int], first: int, width: int) -> Iterator[Line]:
        """A name is never cut, as people copy it."""
        status, name = (row[number] for number in lead)
        text = padded(status.text, first) + GAP
        if cells(text) + cells(name.text) <= width:
            yield [(text, status.style), (name.text, name.style)]
            return
        yield [(cut(status.text, width), status.style)]
        for part in wrapped(name.text, width):
            yield [(part, name.style)]
