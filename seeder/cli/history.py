"""``seeder history TABLE``: its runs, newest first, each failure in full."""

from seeder.app import equipment
from seeder.cli.printing import console, moment, number, print_json, size, status_text, table, text, took
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
    rows = table(
        "run", "status", "started", "took", "rows", "size", "CPU", "memory", "failures",
        right=("took", "rows", "size", "CPU", "memory", "failures"), whole=("run", "started"),
    )  # fmt: skip
    for one in runs:
        rows.add_row(
            one.run_id,
            status_text(one.status, one.errors),
            moment(one.start_time),
            took(one.duration_seconds, one.start_time, one.finish_time),
            number(one.records_processed),
            size(one.bytes_processed),
            "" if one.cpu_percentage is None else f"{one.cpu_percentage} %",
            "" if one.memory_usage_mb is None else f"{one.memory_usage_mb} MB",
            number(one.consecutive_failures or None),
        )
    out.print(rows if runs else f"{text(table_name)} has never been refreshed.")
    for one in runs:
        if one.errors:
            out.print(f"\n[bold]{one.run_id}[/]\n{text(one.errors)}")
    return 0
