"""``seeder schema``: shows the contract's tables as SQL, creates them, and compares a database with them."""

import sys

from seeder import schema
from seeder.cli.printing import console, print_json, text
from seeder.config.settings import current_settings
from seeder.equipment import equipment
from seeder.errors import UserError


class NoSuchForm(UserError):
    """The schema can't be shown as {form!r}: use sql or typescript."""


def show(*, agency_fk: bool, form: str) -> int:
    if form == "typescript":
        from seeder.web.api.typescript import typescript

        sys.stdout.write(typescript())
        return 0
    if form != "sql":
        raise NoSuchForm(form=form)
    settings = current_settings()
    sys.stdout.write(schema.ddl(settings.db_schema, settings.agency_table, agency_fk=agency_fk))
    return 0


def apply(*, agency_fk: bool) -> int:
    ready = equipment()
    ready.databases.verify()
    settings = ready.settings
    with ready.databases.engine().connect() as connection:
        schema.apply(connection, settings.db_schema, settings.agency_table, agency_fk=agency_fk)
    console().print(
        f"The contract's tables are there: {text(ready.databases.url())}, schema {settings.db_schema}."
    )
    return 0


def check_schema(*, agency_fk: bool, as_json: bool) -> int:
    ready = equipment()
    ready.databases.verify()
    settings = ready.settings
    with ready.databases.engine().connect() as connection:
        found = schema.check(connection, settings.db_schema, settings.agency_table, agency_fk=agency_fk)
    failures = [one for one in found if one.failure]
    if as_json:
        print_json(found)
        return 1 if failures else 0
    out = console()
    for one in found:
        out.print(f"[{'red' if one.failure else 'yellow'}]{text(one.where)}[/]: {text(one.what)}")
        if one.mend:
            out.print(f"    {text(one.mend)}", style="dim")
    out.print(f"{len(failures)} differences from the contract, {len(found) - len(failures)} notes.")
    return 1 if failures else 0
