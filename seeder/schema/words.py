"""The checks that hold a column to the contract's words (report_type, status), against those that are there.

There are many ways to write such a check. So it isn't read: PostgreSQL is asked which words pass it.
"""

import re
from collections.abc import Iterator

from sqlalchemy import CheckConstraint, Connection, Table
from sqlalchemy.exc import DBAPIError

from seeder.models import ReportType, RunStatus
from seeder.schema.catalogue import LiveCheck, LiveTable
from seeder.schema.difference import Difference, where
from seeder.schema.writing import add_check, ident, qualified

WORDS = {"report_type": tuple(ReportType), "status": tuple(RunStatus)}
#: No owner's check lists this word, so one that lets it pass checks nothing.
NO_WORD = "no word of the contract"


def word_differences(
    connection: Connection, wanted: Table, live: LiveTable, constraint: CheckConstraint
) -> Iterator[Difference]:
    """Whether the checks on the constraint's column let exactly the contract's words pass."""
    column = str(constraint.name).removeprefix(f"{wanted.name}_").removesuffix("_check")
    words = WORDS[column]
    found = [check for check in live.checks if check.columns == (column,)]
    if column in live.columns and live.columns[column].category != "S":
        # The type itself is the difference then.
        return
    listed = [word for check in found for word in re.findall(r"'([^']*)'", check.expression)]
    others = [NO_WORD, *(word for word in listed if word not in words)]
    passing = {check.name: _passing(connection, check, column, [*words, *others]) for check in found}
    for name, passed in passing.items():
        if refused := [word for word in words if word not in passed]:
            yield Difference(
                where(wanted, column),
                f"the check {name} refuses '{refused[0]}'",
                f"alter table {qualified(wanted)} drop constraint {ident(name)};\n"
                + _add_check_anew(constraint, wanted),
            )
            return
    if allowed := [word for word in others if all(word in passed for passed in passing.values())]:
        ours = ", ".join(f"'{word}'" for word in words)
        yield Difference(
            where(wanted, column),
            f"the check that holds it to {ours} is missing"
            if NO_WORD in allowed
            else f"the check allows '{allowed[0]}' beside {ours}",
            _add_check_anew(constraint, wanted),
        )


def _passing(connection: Connection, check: LiveCheck, column: str, words: list[str]) -> set[str]:
    """The words with which a row would pass the check; one on which it fails is refused by it too."""
    expression = check.expression.replace("%", "%%")
    name = ident(column)
    try:
        with connection.begin_nested():
            passed = connection.exec_driver_sql(
                f"select {name} from unnest(%(words)s::text[]) as new_row ({name}) "
                f"where ({expression}) is not false",
                {"words": words},
            )
            return set(passed.scalars())
    except DBAPIError:
        if len(words) == 1:
            return set()
        return {word for one in words for word in _passing(connection, check, column, [one])}


def _add_check_anew(constraint: CheckConstraint, table: Table) -> str:
    return (
        f"alter table {qualified(table)} drop constraint if exists {ident(str(constraint.name))};\n"
        f"{add_check(constraint, table)}"
    )
