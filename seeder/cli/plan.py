"""``seeder plan``: shows what a refresh would do to each matview, without doing it."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from rich.console import Console

from seeder.cli.printing import console, counted, first_line, number, print_json, print_table, progress, text
from seeder.cli.tables import Column, Styled, Table
from seeder.diagnosis.expectation import Expectation, expected
from seeder.diagnosis.forecast import ERROR, NOT_RUN, Forecast, forecast
from seeder.equipment import equipment
from seeder.matviews import policy_of
from seeder.seedings.fan_out import graph_of
from seeder.seedings.planning import Selection
from seeder.wording import about, brief

#: What needs attention comes last, where a terminal leaves it in sight.
ORDER = ("shared", "refresh", "create", "rebuild")

#: Of what a report waits for, in its line; with --json all.
MOST_NAMED = 3
#: Of the runs that decide how long a seeding takes.
MOST_IN_PATH = 8


def run(agency: str | None, report_type: str | None, table_name: str | None, *, as_json: bool) -> int:
    selection = Selection(report_type, agency, table_name)
    ready = equipment()
    ready.databases.verify()
    jobs = ready.history.jobs()
    with ready.databases.session() as session:
        manifests = ready.manifests.every(session)
    with progress("asking", console(stderr=True)) as (begin, tell):
        begin(sum(selection.takes(one) for one in manifests))
        foreseen = (
            forecast(
                ready.databases,
                manifests,
                jobs,
                selection,
                policy_of(ready.settings),
                tell,
                graph_of(ready, manifests),
                ready.settings.on_upstream_error,
            )
            if manifests or selection != Selection()
            else []
        )
    history = ready.history
    foreseen, expectation = expected(
        foreseen, history.usual_seconds(), history.side_by_side(), ready.settings.limit_of
    )
    if as_json:
        print_json(foreseen)
    else:
        show(console(), foreseen)
        if expectation:
            show_expectation(console(), expectation, datetime.now().astimezone())
    return 1 if any(one.action == ERROR for one in foreseen) else 0


def show(out: Console, foreseen: Sequence[Forecast]) -> None:
    """A line for each, in the order in which they are refreshed where some read others; what is longer than a
    line follows below the table."""
    in_order = any(one.waits_for for one in foreseen)
    order = (Column("step", right=True, goes=6), Column("waits for", goes=5)) if in_order else ()
    rows = Table(
        *order[:1],
        Column("agency", goes=3),
        Column("table"),
        *order[1:],
        Column("action"),
        Column("cost", right=True, goes=1),
        Column("est. rows", right=True, goes=2),
        Column("last took", right=True, goes=4),
        Column("why", reason=True),
        lead=("action", "table"),
    )
    ordered = sorted(
        foreseen,
        key=lambda one: (
            _rank(one.action) if not in_order or one.action in (ERROR, NOT_RUN) else 0,
            one.step or 0,
            one.agency_slug,
            one.table_name,
        ),
    )
    for one in ordered:
        order_of_it = ("" if one.step is None else str(one.step), _listed(one.waits_for))
        rows.add(
            *(order_of_it[:1] if in_order else ()),
            one.agency_slug,
            one.table_name,
            *(order_of_it[1:] if in_order else ()),
            Styled(one.action, {ERROR: "red", NOT_RUN: "yellow"}.get(one.action, "")),
            number(None if one.cost is None else round(one.cost)),
            number(one.estimated_rows),
            "" if one.last_seconds is None else brief(one.last_seconds),
            first_line(one.why),
        )
    if ordered:
        print_table(out, rows)
    for one in ordered:
        rest = one.why.partition("\n")[2]
        if rest or one.diff:
            whole = f"\n{text(one.why)}" if rest else ""
            diff = f"\n{_coloured(one.diff)}" if one.diff else ""
            out.print(f"\n[bold]{text(one.table_name)}[/]{whole}{diff}")
    counts = Counter(one.action for one in foreseen)
    out.print(", ".join(f"{count} {action}" for action, count in counts.most_common()) or "No manifests yet.")


def show_expectation(out: Console, expectation: Expectation, now: datetime) -> None:
    """When it would end, and why not earlier."""
    end = now + timedelta(seconds=expectation.seconds)
    day = f"{end:%H:%M}" if end.date() == now.date() else f"{end:%Y-%m-%d %H:%M}"
    out.print(
        f"If it began now it would take {about(expectation.seconds)}, until {day}, with "
        f"{counted(expectation.places, 'run')} side by side as lately; all runs together "
        f"{brief(expectation.work)}."
    )
    if len(path := expectation.critical_path) > 1:
        out.print(f"What decides that, one after the other: {text(_listed(path, MOST_IN_PATH))}.")
    longest = ", ".join(f"{table} {brief(seconds)}" for table, seconds in expectation.longest)
    out.print(f"Longest: {text(longest)}.")
    for count, by in (
        (expectation.by_cost, "the planner's cost"),
        (expectation.by_others, "what is usual for the others"),
    ):
        if count:
            out.print(f"[dim]{counted(count, 'report')} without a run lately: guessed from {by}.[/]")


def _listed(tables: Sequence[str], most: int = MOST_NAMED) -> str:
    more = f" and {len(tables) - most} more" if len(tables) > most else ""
    return ", ".join(tables[:most]) + more


def _rank(action: str) -> int:
    word = action.partition(" ")[0]
    return ORDER.index(word) if word in ORDER else len(ORDER) + (action == NOT_RUN) + 2 * (word == ERROR)


def _coloured(diff: str) -> str:
    styles = {"+": "green", "-": "red"}
    lines = [
        f"[{styles[line[0]]}]{text(line)}[/]" if line[:1] in styles else text(line)
        for line in diff.split("\n")
    ]
    return "\n".join(lines)
