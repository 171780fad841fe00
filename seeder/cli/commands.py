"""All commands. Each imports its implementation when it is called, so that ``seeder --help`` is quick."""

from typing import Annotated, cast

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


def _said(value: str | None) -> str | None:
    """Refuses an empty name: most likely a script's variable that isn't set."""
    if value is not None and not value.strip():
        raise typer.BadParameter("it is empty")
    if value and any("\ud800" <= one <= "\udfff" for one in value):
        raise typer.BadParameter("it isn't text in this terminal's encoding")
    return value


def _all_said(values: list[str] | None) -> list[str]:
    return [value for value in values or () if _said(value)]


def _duration(value: str | None) -> float | None:
    """Written as in the settings."""
    if value is None:
        return None
    from seeder.config.types import seconds

    try:
        return float(seconds(value))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"seeder {__version__}")
        raise typer.Exit


def _types() -> list[str]:
    return ["custom", "canned"]


def _forms() -> list[str]:
    return ["sql", "typescript"]


@application.callback()
def every_command(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Show the version and exit.")
    ] = False,
) -> None:
    """Keep one materialized view per report manifest fresh, and see how each run went."""


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Agency = Annotated[
    str | None,
    typer.Option("--agency", metavar="SLUG", callback=_said, help="Only this agency's reports."),
]
ReportTypeName = Annotated[
    str | None,
    typer.Option(
        "--type",
        metavar="custom|canned",
        callback=_said,
        autocompletion=_types,
        help="Only reports of this type.",
    ),
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
    table: Annotated[
        list[str] | None,
        typer.Option("--table", metavar="NAME", callback=_all_said, help="Only this table, or these."),
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
            callback=_duration,
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
