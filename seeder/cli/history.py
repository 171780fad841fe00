"""``seeder history TABLE``: its runs, newest first, each failure and each note in full."""

from seeder.cli.printing import (
    console,
    moment,
    number,
    print_json,
    print_table,
    size,
    status_cell,
    text,
    took,
)
from seeder.cli.tables import Column, Table
from seeder.equipment import equipment
from seeder.errors import UnknownTable


def run(table_name: str, limit: int, *, as_json: bool) -> int:
    equipment().databases.verify()
    history = equipment().history
    runs = history.runs_of_table(table_name, limit)
    if not runs and not history.jobs(table_name=table_name):
        raise UnknownTable(table_name=table_name)
    if as_json:
        print_json(runs)
        return 0
    out = console()
    rows = Table(
        Column("run"),
        Column("status"),
        Column("started", goes=7),
        Column("took", right=True, goes=6),
        Column("rows", right=True, goes=2),
        Column("size", right=True, goes=1),
        Column("CPU", right=True, goes=3),
        Column("memory", right=True, goes=4),
        Column("tries", right=True, goes=5),
        Column("failures", right=True, goes=5),
        lead=("status", "run"),
    )
    for one in runs:
        rows.add(
            one.run_id,
            status_cell(one.standing),
            moment(one.start_time),
            took(one.duration_seconds, one.start_time, one.finish_time),
            number(one.records_processed),
            size(one.bytes_processed),
            "" if one.cpu_percentage is None else f"{one.cpu_percentage} %",
            "" if one.memory_usage_mb is None else f"{one.memory_usage_mb} MB",
            number(one.attempts),
            number(one.consecutive_failures or None),
        )
    if runs:
        print_table(out, rows)
    else:
        out.print(f"{text(table_name)} has never been refreshed.")
    for one in runs:
        if one.errors:
            out.print(f"\n[bold]{one.run_id}[/]\n{text(one.errors)}")
        if one.note:
            out.print(f"\n[bold]{one.run_id}[/]\nNote: {text(one.note)}")
    return 0
