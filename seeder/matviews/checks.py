"""What is expected of new rows, held against them in one scan before anyone else can see them."""

from dataclasses import dataclass
from typing import Any

from seeder.session import Session
from seeder.sql.expectations import COMPARISONS, Expectation, Fresh, NotNull, Rows, RowsChange
from seeder.sql.names import quoted

COUNT = "select count(*) as number from {relation}"

#: What each expectation needs is added as columns of its own, so that one scan serves them all.
SCAN = "select count(*) as number{more} from {relation}"
NULLS = "count(*) - count({column}) as {name}"
#: now() is when the transaction began, so a long refresh doesn't age its rows.
FRESH = "max({column}) >= now() - %({name})s as {name}_fresh, cast(max({column}) as text) as {name}_latest"


@dataclass(frozen=True)
class Failure:
    """An expectation that the rows don't meet, and what they are like instead."""

    wanted: Expectation
    found: str

    def __str__(self) -> str:
        return f"wanted {self.wanted}, found {self.found}"


def needs_rows_before(expect: tuple[Expectation, ...]) -> bool:
    return any(isinstance(one, RowsChange) for one in expect)


def count(session: Session, relation: str) -> int:
    return int(session.row(COUNT.format(relation=relation)).number)


def failures(
    session: Session, relation: str, expect: tuple[Expectation, ...], rows_before: int | None
) -> list[Failure]:
    """Hold the relation (a quoted name) against `expect`, in the transaction that has made its rows.

    `rows_before` is None where there was nothing before. Raises psycopg2.Error, for example where a column
    isn't there.
    """
    columns: list[str] = []
    values: dict[str, Any] = {}
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


def _shortfall(number: int, wanted: Expectation, found: Any, rows_before: int | None) -> str | None:
    """What was found instead of what is wanted, or None: it holds."""
    if isinstance(wanted, Rows):
        return None if COMPARISONS[wanted.comparison](found.number, wanted.number) else str(found.number)
    if isinstance(wanted, RowsChange):
        return _change(wanted, rows_before, found.number)
    if isinstance(wanted, NotNull):
        nulls = {
            column: getattr(found, f"nulls_{number}_{place}") for place, column in enumerate(wanted.columns)
        }
        told = ", ".join(f"{count} in {column}" for column, count in nulls.items() if count)
        return f"NULLs in {found.number} rows: {told}" if told else None
    if getattr(found, f"within_{number}_fresh"):
        return None
    latest = getattr(found, f"within_{number}_latest")
    return "no value at all" if latest is None else f"{latest} as the latest"


def _change(wanted: RowsChange, before: int | None, now: int) -> str | None:
    # From nothing there is no percentage.
    if not before:
        return None
    percent = abs(now - before) * 100 / before
    holds = COMPARISONS[wanted.comparison](abs(now - before) * 100, wanted.percent * before)
    return None if holds else f"{percent:.4g}% ({before} rows before, {now} now)"
