"""What several commands ask for, and how it is read."""

from typing import Annotated

import typer


def said(value: str | None) -> str | None:
    """Refuses an empty name: most likely a script's variable that isn't set."""
    if value is not None and not value.strip():
        raise typer.BadParameter("it is empty")
    if value and any("\ud800" <= one <= "\udfff" for one in value):
        raise typer.BadParameter("it isn't text in this terminal's encoding")
    return value


def all_said(values: list[str] | None) -> list[str]:
    return [value for value in values or () if said(value)]


def duration(value: str | None) -> float | None:
    """Written as in the settings."""
    if value is None:
        return None
    from seeder.config.types import seconds

    try:
        return float(seconds(value))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def types() -> list[str]:
    return ["custom", "canned"]


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Agency = Annotated[
    str | None,
    typer.Option("--agency", metavar="SLUG", callback=said, help="Only this agency's reports."),
]
ReportTypeName = Annotated[
    str | None,
    typer.Option(
        "--type",
        metavar="custom|canned",
        callback=said,
        autocompletion=types,
        help="Only reports of this type.",
    ),
]
Table = Annotated[str | None, typer.Option("--table", metavar="NAME", callback=said, help="Only this table.")]
