"""docs/schema.md lists what is there: each table and column, in order, with its type."""

import re
from pathlib import Path

import pytest
from sqlalchemy import Connection, Table, text

from seeder.models import RunStatus, contract
from seeder.schema.writing import column_type

TEXT = (Path(__file__).parents[2] / "docs" / "schema.md").read_text()
TABLES = contract("reporting").metadata.tables.values()


def documented(heading: str) -> list[list[str]]:
    """The cells of the first table under a heading, code marks removed; its head left out."""
    section = re.search(rf"^### {heading}$(.*?)(?=^#|\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert section, f"docs/schema.md has no heading {heading}"
    lines = [line for line in section[1].splitlines() if line.startswith("|")]
    return [[cell.strip().replace("`", "") for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_each_table_is_documented_column_by_column(table: Table) -> None:
    columns = [[column.name, column_type(column)] for column in table.columns]
    rows = documented(table.name)
    assert [row[:2] for row in rows] == columns
    assert all(len(row) == 3 and row[2].endswith(".") for row in rows), "each row ends in what it means"


def test_no_other_table_is_documented() -> None:
    headings = set(re.findall(r"^### (seeder_\w+)$", TEXT, re.MULTILINE))
    assert headings == {table.name for table in TABLES} | {"seeder_dashboard"}


def test_the_dashboard_is_documented_column_by_column(connection: Connection) -> None:
    live = connection.execute(text("select * from reporting.seeder_dashboard")).keys()
    names = [name for row in documented("seeder_dashboard") for name in row[0].split(", ")]
    assert names == list(live)


def test_each_status_is_explained() -> None:
    assert re.findall(r"^- `(\w+)`:", TEXT, re.MULTILINE) == list(RunStatus)
