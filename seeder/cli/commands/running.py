"""Commands that run something: servers, refreshes; and the one that ends them."""

from typing import Annotated, cast

import typer

from seeder.cli.commands.application import application
from seeder.cli.commands.options import Agency, AsJson, ReportTypeName, all_said, duration, said


@application.command()
def up(
    demo: Annotated[
        bool, typer.Option("--demo", help="Load the demo where the embedded database has no manifest yet.")
    ] = False,
) -> None:
    """Run servers (where none are configured), workers, beat, Flower and the pages until Ctrl-C."""
    from seeder.cli.up import run

    raise typer.Exit(run(with_demo=demo))


@application.command()
def web(
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="The port.")] = 8080,
) -> None:
    """Serve the API and the pages until Ctrl-C. Without SEEDER_API_TOKEN, prints a link to log in with."""
    from seeder.cli.web import run

    raise typer.Exit(run(host, port))


@application.command()
def refresh(
    agency: Agency = None,
    report_type: ReportTypeName = None,
    table: Annotated[
        list[str] | None,
        typer.Option("--table", metavar="NAME", callback=all_said, help="Only this table, or these."),
    ] = None,
    failing: Annotated[bool, typer.Option("--failing", help="Only what is failing.")] = False,
    upstream: Annotated[bool, typer.Option("--upstream", help="And first what they read.")] = False,
    downstream: Annotated[bool, typer.Option("--downstream", help="And then what reads them.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until all runs have ended.")] = False,
    timeout: Annotated[
        str | None,
        typer.Option(
            "--timeout",
            metavar="DURATION",
            callback=duration,
            help="With --wait: no longer than this, as in 90s, 15min or 2h. The runs go on; exit code 1.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Queue a refresh: of everything, of an agency, of a type, of tables or of what is failing."""
    from seeder.cli.refresh import Related, Waiting, run

    # The callback has made a number of it.
    waiting = Waiting(wait, cast("float | None", timeout))
    related = Related(upstream, downstream)
    raise typer.Exit(
        run(agency, report_type, table or [], waiting, related, failing=failing, as_json=as_json)
    )


@application.command()
def cancel(
    name: Annotated[
        str,
        typer.Argument(
            metavar="TABLE|RUN_ID", callback=said, help="A table, for all its unfinished runs, or one run."
        ),
    ],
    by: Annotated[
        str | None,
        typer.Option("--by", metavar="NAME", callback=said, help="Who is recorded; your account's name."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """End runs that are queued or at work. Exit code 1: a run was over already, or there was none."""
    from seeder.cli.cancel import run

    raise typer.Exit(run(name, by, as_json=as_json))
