"""Checks new rows against what their manifest expects, in one scan, before they are visible to others."""

from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction
from itertools import count as count_from

from seeder.postgres.session import Row, Session
from seeder.sql.expectations import COMPARISONS, Expectation, Fresh, NotNull, Rows, RowsChange
from seeder.sql.names import quoted

ROWS_NOW = "select count(*) as number from {relation}"

#: What each expectation needs is added as columns of its own, so that one scan serves them all.
SCAN = "select count(*) as number{more} from {relation}"
NULLS = "count(*) - count({column}) as {name}"
#: now() is when the transaction began, so a long refresh doesn't age its rows.
FRESH = "max({column}) >= now() - %({name})s as {name}_fresh, cast(max({column}) as text) as {name}_latest"


@dataclass(frozen=True)
class Failure:
    """An expectation that the rows don't meet, and what was found instead."""

    wanted: Expectation
    found: str

    def __str__(self) -> str:
        return f"wanted {self.wanted}, found {self.found}"


def needs_rows_before(expect: tuple[Expectation, ...]) -> bool:
    return any(isinstance(one, RowsChange) for one in expect)


def count(session: Session, relation: str) -> int:
    return int(session.row(ROWS_NOW.format(relation=relation)).number)


def failures(
    session: Session, relation: str, expect: tuple[Expectation, ...], rows_before: int | None
) -> list[Failure]:
    """Check the relation (a quoted name) against `expect`, in the transaction that has made its rows.

    `rows_before` is None where there was nothing before. Raises psycopg2.Error, for example where a column
    isn't there.
    """
    columns: list[str] = []
    values: dict[str, object] = {}
    for number, one in enumerate(expect):
        if isinstance(one, NotNull):
            columns += [
                NULLS.format(column=_column(column), name=f"nulls_{number}_{place}")
                for place, column in enumerate(one.columns)
            ]
        elif isinstance(one, Fresh):
            columns.append(FRESH.format(column=_column(one.column), name=f"within_{number}"))
            values[f"within_{number}"] = one.within
    more = "".join(f",\n       {column}" for column in columns)
    found = session.row(SCAN.format(more=more, relation=relation), **values)
    judged = ((one, _shortfall(number, one, found, rows_before)) for number, one in enumerate(expect))
    return [Failure(one, shortfall) for one, shortfall in judged if shortfall is not None]


def _column(name: str) -> str:
    # To psycopg2 a % begins a value.
    return quoted(name).replace("%", "%%")


def _shortfall(number: int, wanted: Expectation, found: Row, rows_before: int | None) -> str | None:
    """What was found instead of what is wanted; None if the expectation is met."""
    if isinstance(wanted, Rows):
        return None if COMPARISONS[wanted.comparison](found.number, wanted.number) else str(found.number)
    if isinstance(wanted, RowsChange):
        return _change(wanted, rows_before, found.number)
    if isinstance(wanted, NotNull):
        nulls = {
            column: getattr(found, f"nulls_{number}_{place}") for place, column in enumerate(wanted.columns)
        }
        told = ", ".join(
            f"{count} NULL{'' if count == 1 else 's'} in {column}" for column, count in nulls.items() if count
        )
        return f"{told} (of {found.number} row{'' if found.number == 1 else 's'})" if told else None
    if getattr(found, f"within_{number}_fresh"):
        return None
    latest = getattr(found, f"within_{number}_latest")
    return "no value at all" if latest is None else f"{latest} as the latest"


def _change(wanted: RowsChange, before: int | None, now: int) -> str | None:
    # From nothing there is no percentage.
    if not before:
        return None
    moved = abs(now - before)
    if COMPARISONS[wanted.comparison](moved * 100, wanted.percent * before):
        return None
    return f"{percentage(moved, before, wanted.percent)}% ({before} rows before, {now} now)"


def percentage(part: int, whole: int, beside: Decimal) -> str:
    """The part in percent, rounded to four digits, or to more if only these show that it differs from
    `beside`."""
    exact, other = Fraction(part * 100, whole), Fraction(beside)
    for digits in count_from(4):
        context = Context(prec=digits)
        shown = context.normalize(context.divide(Decimal(part * 100), Decimal(whole)))
        if (shown > beside) == (exact > other) and (shown < beside) == (exact < other):
            return f"{shown:f}"
    raise AssertionError("two different numbers differ in some digit")
