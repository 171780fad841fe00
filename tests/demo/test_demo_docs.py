"""docs/demo.md tells the truth about the files."""

import re
from pathlib import Path

from seeder.demo.load import ROWS
from seeder.demo.manifests import canned_reports, custom_reports
from seeder.demo.pack import DATA
from seeder.sql.directives import NONE, read

TEXT = (Path(__file__).parents[2] / "docs" / "demo.md").read_text(encoding="utf-8")


def test_the_documentation_lists_exactly_the_reports_there_are() -> None:
    reports = DATA.parent / "reports"
    files = [*sorted((reports / "canned").iterdir()), *sorted((reports / "custom").iterdir())]
    titles = [report.report_name for report in (*canned_reports(), *custom_reports())]
    listed = re.findall(r"^\| `(\w+\.sql)` \| ([^`].*) \|$", TEXT, flags=re.MULTILINE)
    assert listed == [(file.name, title) for file, title in zip(files, titles, strict=True)]


def test_the_documentation_gives_the_directives_of_every_report_that_has_any() -> None:
    said = dict(re.findall(r"^\| `(\w+\.sql)` \| `(.+=.+)` \|$", TEXT, flags=re.MULTILINE))
    reports = {file.name: read(file.read_text()) for file in (DATA.parent / "reports").rglob("*.sql")}
    assert {file: read(f"-- seeder: {text}") for file, text in said.items()} == {
        file: directives for file, directives in reports.items() if directives != NONE
    }


def test_the_documentation_gives_the_number_of_rows() -> None:
    for table, rows in ROWS.items():
        assert f"| `flights.{table}` | {rows:,} |" in TEXT


def test_the_file_about_the_source_gives_the_number_of_rows() -> None:
    text = (DATA / "SOURCE.md").read_text(encoding="utf-8")
    for table, rows in ROWS.items():
        assert f"| `{table}.csv.xz` | {rows:,} |" in text
