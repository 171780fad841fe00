"""The background duties as commands: carried out now."""

from typing import Annotated

import typer

from seeder.cli.commands.application import application
from seeder.cli.commands.options import AsJson


@application.command()
def sweep(as_json: AsJson = False) -> None:
    """Settle runs whose worker died or whose message was lost, now rather than within a minute."""
    from seeder.cli.upkeep import sweep_now

    raise typer.Exit(sweep_now(as_json=as_json))


@application.command()
def prune(
    matviews: Annotated[
        bool,
        typer.Option("--matviews", help="List the materialized views whose manifest is gone, instead."),
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="With --matviews: drop those that nothing is built on.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Delete finished runs older than SEEDER_HISTORY_DAYS, but each table's last."""
    if yes and not matviews:
        raise typer.BadParameter("it says what to do with --matviews", param_hint="--yes")
    if matviews:
        from seeder.cli.frozen import list_or_drop

        raise typer.Exit(list_or_drop(yes=yes, as_json=as_json))
    from seeder.cli.upkeep import prune_now

    raise typer.Exit(prune_now(as_json=as_json))
