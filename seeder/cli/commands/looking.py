"""Commands that look and change nothing."""

from typing import Annotated

import typer

from seeder.cli.commands.application import application
from seeder.cli.commands.options import Agency, AsJson, ReportTypeName, Table, said


@application.command()
def status(
    agency: Agency = None,
    report_type: ReportTypeName = None,
    table: Table = None,
    every: Annotated[
        bool, typer.Option("--all", help="List every report, not only those that need attention.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what failed and what is at work, and count the rest. Exit code 1: some have failed."""
    from seeder.cli.status import run

    raise typer.Exit(run(agency, report_type, table, every=every, as_json=as_json))


@application.command()
def history(
    table: Annotated[
        str, typer.Argument(callback=said, help="The table's name, as `seeder status` shows it.")
    ],
    limit: Annotated[int, typer.Option(min=1, help="How many runs.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show a table's runs, newest first, with their errors."""
    from seeder.cli.history import run

    raise typer.Exit(run(table, limit, as_json=as_json))


@application.command()
def check(
    agency: Agency = None, report_type: ReportTypeName = None, table: Table = None, as_json: AsJson = False
) -> None:
    """Check settings, servers, schema and every manifest without running any. Exit code 1: problems found."""
    from seeder.cli.check import run

    raise typer.Exit(run(agency, report_type, table, as_json=as_json))


@application.command()
def plan(
    agency: Agency = None, report_type: ReportTypeName = None, table: Table = None, as_json: AsJson = False
) -> None:
    """Show what a refresh would do to each matview and why. Exit code 1: some would fail."""
    from seeder.cli.plan import run

    raise typer.Exit(run(agency, report_type, table, as_json=as_json))
