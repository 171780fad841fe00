"""``seeder plan``: shows what a refresh would do to each matview, without doing it."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Console

from seeder.cli.printing import console, first_line, number, print_json, print_table, progress, text
from seeder.cli.tables import Column, Styled, Table
from seeder.diagnosis.forecast import ERROR, NOT_RUN, Forecast, forecast
from seeder.equipment import equipment
from seeder.matviews import policy_of
from seeder.seedings.fan_out import graph_of
from seeder.seedings.planning import Selection
from seeder.wording import brief

#: What needs attention comes last, where a terminal leaves it in sight.
ORDER = ("shared", "refresh", "create", "rebuild")

#: Of what a report waits for, in its line; with --json all.
MOST_NAMED = 3


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
    if as_json:
        print_json(foreseen)
    else:
        show(console(), foreseen)
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


def _listed(tables: Sequence[str]) -> str:
    more = f" and {len(tables) - MOST_NAMED} more" if len(tables) > MOST_NAMED else ""
    return ", ".join(tables[:MOST_NAMED]) + more


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
