"""The background duties as commands: carried out now."""

from typing import Annotated

import typer

from seeder.cli.commands.application import application
from seeder.cli.commands.options import Agency, AsJson, Table, said


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


@application.command()
def audit(
    agency: Agency = None,
    table: Table = None,
    sample: Annotated[
        int | None, typer.Option("--sample", min=1, help="How many, by chance; SEEDER_AUDIT, or 20.")
    ] = None,
    trust: Annotated[
        str | None,
        typer.Option(
            "--trust", metavar="NAME", callback=said, help="Have this table skipped again, instead."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare reports that are called unchanged with their queries. Exit code 1: some are wrong."""
    if trust is not None and (agency is not None or table is not None or sample is not None):
        raise typer.BadParameter("it goes with none of the others", param_hint="--trust")
    if table is not None and sample is not None:
        raise typer.BadParameter("a table is compared in any case", param_hint="--sample")
    from seeder.cli.upkeep import audit_now, trust_now

    if trust is not None:
        raise typer.Exit(trust_now(trust, as_json=as_json))
    raise typer.Exit(audit_now(agency, table, sample, as_json=as_json))
