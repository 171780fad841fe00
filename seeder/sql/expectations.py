"""What is expected of a matview's new rows before anyone reads them, as values; `directives` reads them.

Each prints as it is written in a directive, which is also how a person is told which of them failed.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from operator import eq, ge, gt, le, lt

_PLAIN_NAME = re.compile(r"[a-z_][a-z0-9_$]*")

_SIZES = {
    "day": timedelta(days=1),
    "h": timedelta(hours=1),
    "min": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}

COMPARISONS: dict[str, Callable[[int | Decimal, int | Decimal], bool]] = {
    ">": gt,
    ">=": ge,
    "<": lt,
    "<=": le,
    "=": eq,
}


def as_written(name: str) -> str:
    """An identifier as a directive holds it: between quotes only where it needs them."""
    return name if _PLAIN_NAME.fullmatch(name) else '"' + name.replace('"', '""') + '"'


def as_list(names: tuple[str, ...]) -> str:
    return "(" + ", ".join(map(as_written, names)) + ")"


def as_duration(duration: timedelta) -> str:
    """In the largest unit that gives a whole number."""
    for unit, size in _SIZES.items():
        if not duration % size:
            number = duration // size
            return f"{number} {unit}s" if unit == "day" and number != 1 else f"{number} {unit}"
    raise ValueError(f"{duration} is not a whole number of milliseconds")


@dataclass(frozen=True, slots=True)
class Rows:
    """``rows > 0``: the number of rows."""

    comparison: str
    number: int

    def __str__(self) -> str:
        return f"rows {self.comparison} {self.number}"


@dataclass(frozen=True, slots=True)
class RowsChange:
    """``rows_change < 50%``: by how much the number of rows moved, up or down, in percent of what it was."""

    comparison: str
    percent: Decimal

    def __str__(self) -> str:
        return f"rows_change {self.comparison} {self.percent:f}%"


@dataclass(frozen=True, slots=True)
class NotNull:
    """``not_null(carrier, month)``: no NULL in any of the columns."""

    columns: tuple[str, ...]

    def __str__(self) -> str:
        return f"not_null{as_list(self.columns)}"


@dataclass(frozen=True, slots=True)
class Fresh:
    """``fresh(flight_date, 2 days)``: the column's latest value is no older than that."""

    column: str
    within: timedelta

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def __str__(self) -> str:
        return f"fresh({as_written(self.column)}, {as_duration(self.within)})"


Expectation = Rows | RowsChange | NotNull | Fresh


def combined(general: tuple[Expectation, ...], own: tuple[Expectation, ...]) -> tuple[Expectation, ...]:
    """What holds for a manifest: its own, and of those for all the kinds it says nothing of."""
    kinds = {type(one) for one in own}
    return (*(one for one in general if type(one) not in kinds), *own)
