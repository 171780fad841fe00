"""``seeder plan``: shows what a refresh would do to each matview, without doing it."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Console

from seeder.cli.printing import console, first_line, number, print_json, print_table, progress, text
from seeder.cli.tables import Column, Styled, Table
from seeder.diagnosis.forecast import ERROR, Forecast, forecast
from seeder.equipment import equipment
from seeder.matviews import policy_of
from seeder.seedings.planning import Selection
from seeder.wording import brief

#: What needs attention comes last, where a terminal leaves it in sight.
ORDER = ("shared", "refresh", "create", "rebuild")


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
            forecast(ready.databases, manifests, jobs, selection, policy_of(ready.settings), tell)
            if manifests or selection != Selection()
            else []
        )
    if as_json:
        print_json(foreseen)
    else:
        show(console(), foreseen)
    return 1 if any(one.action == ERROR for one in foreseen) else 0


def show(out: Console, foreseen: Sequence[Forecast]) -> None:
    """A line for each; what is longer than a line follows below the table."""
    rows = Table(
        Column("agency", goes=3),
        Column("table"),
        Column("action"),
        Column("cost", right=True, goes=1),
        Column("est. rows", right=True, goes=2),
        Column("last took", right=True, goes=4),
        Column("why", reason=True),
        lead=("action", "table"),
    )
    ordered = sorted(foreseen, key=lambda one: (_rank(one.action), one.agency_slug, one.table_name))
    for one in ordered:
        rows.add(
            one.agency_slug,
            one.table_name,
            Styled(one.action, "red" if one.action == ERROR else ""),
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


def _rank(action: str) -> int:
    word = action.partition(" ")[0]
    return ORDER.index(word) if word in ORDER else len(ORDER) + (word == ERROR)


def _coloured(diff: str) -> str:
    styles = {"+": "green", "-": "red"}
    lines = [
        f"[{styles[line[0]]}]{text(line)}[/]" if line[:1] in styles else text(line)
        for line in diff.split("\n")
    ]
    return "\n".join(lines)
