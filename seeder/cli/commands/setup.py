"""Commands that set a platform up: the contract's tables, and the demo."""

from typing import Annotated

import typer

from seeder.cli.commands.application import demo, schema
from seeder.cli.commands.options import AsJson


def _forms() -> list[str]:
    return ["sql", "typescript"]


AgencyKey = Annotated[
    bool, typer.Option("--agency-fk", help="With a foreign key from agency_id to the agency table.")
]


@schema.command("show")
def schema_show(
    agency_fk: AgencyKey = False,
    form: Annotated[
        str,
        typer.Option(
            "--as", metavar="sql|typescript", autocompletion=_forms, help="The tables, or the API's types."
        ),
    ] = "sql",
) -> None:
    """Print the SQL that creates the contract's tables, or the TypeScript types of what the API sends."""
    from seeder.cli.schema import show

    raise typer.Exit(show(agency_fk=agency_fk, form=form))


@schema.command("apply")
def schema_apply(agency_fk: AgencyKey = False) -> None:
    """Create what is missing of the contract's tables in the reporting database."""
    from seeder.cli.schema import apply

    raise typer.Exit(apply(agency_fk=agency_fk))


@schema.command("check")
def schema_check(agency_fk: AgencyKey = False, as_json: AsJson = False) -> None:
    """List every difference between the reporting database and the contract. Exit code 1: there are some."""
    from seeder.cli.schema import check_schema

    raise typer.Exit(check_schema(agency_fk=agency_fk, as_json=as_json))


@demo.callback(invoke_without_command=True)
def demo_run(context: typer.Context) -> None:
    """Load the demo, refresh all its reports through a real worker, show what happened, and stop."""
    if context.invoked_subcommand is None:
        from seeder.cli.demo import run

        raise typer.Exit(run())


@demo.command("load")
def demo_load() -> None:
    """Only load the demo's data and manifests, into the configured or the running embedded database."""
    from seeder.cli.demo import load_only

    raise typer.Exit(load_only())
