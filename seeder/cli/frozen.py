"""``seeder prune --matviews``: matviews and rows of status whose manifest is gone."""

from dataclasses import dataclass
from datetime import datetime

from rich.console import Console

from seeder.cli.cancel import account
from seeder.cli.printing import console, counted, moment, print_json, print_table, size, text
from seeder.cli.tables import Column, Styled, Table
from seeder.equipment import equipment
from seeder.maintenance.frozen import (
    Dropping,
    FrozenMatview,
    FrozenReports,
    FrozenStatus,
    Outcome,
    find_frozen,
)
from seeder.maintenance.frozen.wording import everything, whose, why_kept
from seeder.postgres.databases import database_name

DATABASE_DOWN = "{database} can't be reached, and what is frozen there isn't known: {reason}."


@dataclass(frozen=True)
class Line:
    """One of them as JSON."""

    table_name: str
    database_id: int | None
    #: Schema and name; None is that only a row of status is left.
    matview: str | None
    manifest: str
    why: str
    report_name: str | None
    agency_slug: str | None
    last_refreshed: datetime | None
    about_bytes: int | None
    #: Why it stays, by the API's name of it, and in words; None is that it goes.
    kept: str | None
    reason: str | None


def list_or_drop(*, yes: bool, as_json: bool) -> int:
    """List what is frozen; with ``yes`` drop what may go, and say before what that is."""
    ready = equipment()
    ready.databases.verify()
    found = find_frozen(ready)
    out = console()
    if not as_json:
        _show(out, found)
    outcomes = []
    if yes:
        for outcome in Dropping.of(ready, account()).let_go(found):
            outcomes.append(outcome)
            if not as_json:
                out.print(_told(outcome))
    elif not as_json and any(one.kept is None for one in everything(found)):
        out.print("Nothing was changed. `seeder prune --matviews --yes` drops what is to go.")
    if as_json:
        print_json(
            {
                "frozen": [_line(one) for one in everything(found)],
                "off": [_line(one) for one in found.off],
                "unreachable": found.unreachable,
                **({"done": [_done(one) for one in outcomes]} if yes else {}),
            }
        )
    failed = any(one.kept is not None or one.said for one in outcomes)
    return 1 if failed or found.unreachable else 0


def _show(out: Console, found: FrozenReports) -> None:
    rows = Table(
        Column("table"),
        Column("database", goes=3),
        Column("manifest", goes=4),
        Column("last refreshed", goes=2),
        Column("about", right=True, goes=1),
        Column("becomes"),
        Column("why", reason=True),
        lead=("becomes", "table"),
    )
    for one in everything(found):
        rows.add(*_cells(one), *_fate(one))
    for one in found.off:
        rows.add(*_cells(one), Styled("stays", "dim"), whose(one))
    if found.count or found.off:
        print_table(out, rows)
    for down in found.unreachable:
        name = database_name(down.database_id)
        words = DATABASE_DOWN.format(database=name[0].upper() + name[1:], reason=down.reason)
        out.print(f"[yellow]{text(words)}[/]")
    off = f", {counted(len(found.off), 'report')} switched off" if found.off else ""
    out.print(f"{counted(found.count, 'frozen report')}{off}.")


def _cells(one: FrozenMatview | FrozenStatus) -> tuple[str, ...]:
    if isinstance(one, FrozenStatus):
        return one.row.table_name, "", one.row.identity, "", ""
    return (
        str(one.stamped.name),
        "" if one.database_id is None else str(one.database_id),
        one.manifest,
        moment(one.last_refreshed),
        size(one.stamped.about_bytes),
    )


def _fate(one: FrozenMatview | FrozenStatus) -> tuple[Styled, str]:
    if isinstance(one, FrozenStatus):
        gone, why = "deleted", "No manifest names it; only its row of status is left."
    else:
        gone, why = "dropped", whose(one)
    if one.kept is None:
        return Styled(gone, "yellow"), why
    return Styled("stays", "dim"), f"{why} It stays: {why_kept(one, one.kept)}."


def _told(outcome: Outcome) -> str:
    one = outcome.one
    if isinstance(one, FrozenStatus):
        name, done = one.row.table_name, "Deleted the row of status of"
    else:
        name, done = str(one.stamped.name), "Dropped"
    if outcome.kept is not None:
        return f"[yellow]{text(name)} stays: {text(why_kept(one, outcome.kept, outcome.said))}.[/]"
    unrecorded = f"; that couldn't be recorded: {text(outcome.said)}" if outcome.said else ""
    return f"{done} {text(name)}{unrecorded}."


def _line(one: FrozenMatview | FrozenStatus) -> Line:
    reason = None if one.kept is None else why_kept(one, one.kept)
    if isinstance(one, FrozenStatus):
        its = one.row
        return Line(
            its.table_name, None, None, its.identity, "gone", its.report_name, its.agency_slug, None, None,
            one.kept, reason,
        )  # fmt: skip
    return Line(
        one.table_name, one.database_id, str(one.stamped.name), one.manifest, one.why, one.report_name,
        one.agency_slug, one.last_refreshed, one.stamped.about_bytes, one.kept, reason,
    )  # fmt: skip


def _done(outcome: Outcome) -> dict[str, object]:
    one = outcome.one
    return {
        "table_name": one.row.table_name if isinstance(one, FrozenStatus) else one.table_name,
        "matview": None if isinstance(one, FrozenStatus) else str(one.stamped.name),
        "dropped": outcome.kept is None,
        "kept": outcome.kept,
        "said": outcome.said,
    }
