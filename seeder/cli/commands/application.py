"""The command line itself, to which each file beside this one adds its commands."""

from typing import Annotated

import typer

from seeder import __version__

application = typer.Typer(
    name="seeder",
    help="Keep one materialized view per report manifest fresh, and see how each run went.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # Every command below inherits it.
    context_settings={"help_option_names": ["-h", "--help"]},
)
schema = typer.Typer(no_args_is_help=True, help="The contract's tables: show, apply, check.")
application.add_typer(schema, name="schema")
demo = typer.Typer(help="A demo on embedded servers: flights that left New York in 2013.")
application.add_typer(demo, name="demo")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"seeder {__version__}")
        raise typer.Exit


@application.callback()
def every_command(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Show the version and exit.")
    ] = False,
) -> None:
    """Keep one materialized view per report manifest fresh, and see how each run went."""
