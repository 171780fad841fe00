"""All commands by name. Each one's work is in a file of its own, imported when it is called, so that
``seeder --help`` doesn't wait for Celery."""

from typing import Annotated

import typer

application = typer.Typer(
    name="seeder",
    help="Keep one materialized view per report manifest fresh, and see how each run went.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
schema = typer.Typer(no_args_is_help=True, help="The contract's tables: show, apply, check.")
application.add_typer(schema, name="schema")
demo = typer.Typer(help="A demo on embedded servers: flights that left New York in 2013.")
application.add_typer(demo, name="demo")


def _said(value: str | None) -> str | None:
    """An empty name is nobody's: most likely a variable of a script's that isn't set."""
    if value is not None and not value.strip():
        raise typer.BadParameter("it is empty")
    return value


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Agency = Annotated[
    str | None,
    typer.Option("--agency", metavar="SLUG", callback=_said, help="Only this agency's reports."),
]
ReportTypeName = Annotated[
    str | None,
    typer.Option("--type", metavar="custom|canned", callback=_said, help="Only reports of this type."),
]
Table = Annotated[
    str | None, typer.Option("--table", metavar="NAME", callback=_said, help="Only this table.")
]


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
    table: Table = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until all runs have ended.")] = False,
    as_json: AsJson = False,
) -> None:
    """Queue a refresh: of everything, of an agency, of a type or of one table."""
    from seeder.cli.refresh import run

    raise typer.Exit(run(agency, report_type, table, wait=wait, as_json=as_json))


@application.command()
def status(
    agency: Agency = None, report_type: ReportTypeName = None, table: Table = None, as_json: AsJson = False
) -> None:
    """Show the latest status of every manifest. Exit code 1: some have failed."""
    from seeder.cli.status import run

    raise typer.Exit(run(agency, report_type, table, as_json=as_json))


@application.command()
def history(
    table: Annotated[
        str, typer.Argument(callback=_said, help="The table's name, as `seeder status` shows it.")
    ],
    limit: Annotated[int, typer.Option(min=1, help="How many runs.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show a table's runs, newest first, with their errors."""
    from seeder.cli.history import run

    raise typer.Exit(run(table, limit, as_json=as_json))


@application.command()
def cancel(
    name: Annotated[
        str,
        typer.Argument(
            metavar="TABLE|RUN_ID", callback=_said, help="A table, for all its unfinished runs, or one run."
        ),
    ],
    by: Annotated[
        str | None,
        typer.Option("--by", metavar="NAME", callback=_said, help="Who is recorded; your account's name."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """End runs that are queued or at work. Exit code 1: a run was over already, or there was none."""
    from seeder.cli.cancel import run

    raise typer.Exit(run(name, by, as_json=as_json))


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


@application.command()
def sweep(as_json: AsJson = False) -> None:
    """Settle runs whose worker died or whose message was lost, now rather than within a minute."""
    from seeder.cli.upkeep import sweep_now

    raise typer.Exit(sweep_now(as_json=as_json))


@application.command()
def prune(as_json: AsJson = False) -> None:
    """Delete finished runs older than SEEDER_HISTORY_DAYS, but each table's last."""
    from seeder.cli.upkeep import prune_now

    raise typer.Exit(prune_now(as_json=as_json))


AgencyKey = Annotated[
    bool, typer.Option("--agency-fk", help="With a foreign key from agency_id to the agency table.")
]


@schema.command("show")
def schema_show(
    agency_fk: AgencyKey = False,
    form: Annotated[
        str, typer.Option("--as", metavar="sql|typescript", help="The tables, or the API's types.")
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
