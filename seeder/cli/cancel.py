"""``seeder cancel TABLE|RUN_ID``: ends queued runs in the record, and running ones in the database too."""

import getpass
from contextlib import closing

from seeder.app import app
from seeder.cli.printing import console, print_json, status_text, text
from seeder.equipment import equipment
from seeder.postgres.databases import database_name
from seeder.runs.cancelling import Cancellation, Stopped
from seeder.seedings.release import Release


def run(name: str, by: str | None, *, as_json: bool) -> int:
    equipment().databases.verify()
    stopped = Cancellation.of(equipment()).cancel_named(name, by or account())
    with closing(Release(app, equipment())) as release:
        for one in stopped:
            if one.moved:
                release.after(one.run.run_id)
    if as_json:
        print_json([as_data(one) for one in stopped])
    else:
        out = console()
        for one in stopped:
            out.print(f"{text(one.run.run_id)} ({text(one.run.table_name)}): {sentence(one)}")
        if not stopped:
            out.print(f"No run of {text(name)} is queued or at work.")
    return 0 if stopped and all(one.moved and one.ended for one in stopped) else 1


def as_data(one: Stopped) -> dict[str, object]:
    return {
        "run_id": one.run.run_id,
        "table_name": one.run.table_name,
        "cancelled": one.moved,
        "was": one.run.status,
        "ended": one.ended,
        "unreachable": [database_name(database_id) for database_id in one.unreachable],
    }


def sentence(one: Stopped) -> str:
    if not one.moved:
        return f"over already: {status_text(one.run.standing)}; nothing was changed."
    if one.unreachable:
        where = ", ".join(map(database_name, one.unreachable))
        return (
            f"cancelled; it was {status_text(one.run.standing)}. Its manifest is gone, so it may be in any "
            f"database, and {where} can't be reached: whether a session still works on it there isn't known."
        )
    if not one.ended:
        return (
            "cancelled, but its statement is still being ended: PostgreSQL may be busy rolling it back. "
            "Look again with `seeder history`."
        )
    return f"cancelled; it was {status_text(one.run.standing)}."


def account() -> str:
    """The name of the account that runs this command. In a container it may have none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "somebody on the command line"
