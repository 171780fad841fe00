"""``seeder check``: finds what is wrong before anything runs."""

from collections.abc import Sequence
from dataclasses import replace

from seeder import schema
from seeder.app import app
from seeder.broker import dead_letters
from seeder.broker.client import redis
from seeder.broker.messages import verify_room
from seeder.cli.printing import console, counted, print_json, progress, text
from seeder.config.unknown import unknown_variables
from seeder.config.urls import masked_broker
from seeder.diagnosis.check import Findings, Problem, check_manifests
from seeder.equipment import equipment
from seeder.errors import BrokerUnreachable, DatabaseUnreachable, SchemaIncomplete
from seeder.maintenance.frozen import find_frozen
from seeder.maintenance.frozen.wording import as_warning, everything
from seeder.manifests import Manifest
from seeder.matviews import policy_of
from seeder.postgres.failures import one_line
from seeder.seedings.fan_out import graph_of
from seeder.seedings.planning import Selection

POISON = (
    "Workers have set {count} messages aside that are none of seeder's: redis-cli lrange {key} 0 -1 shows "
    "them, del {key} deletes them (docs/reliability.md)."
)


#: The place of a problem that isn't a manifest's.
SCHEMA = "schema"


def run(agency: str | None, report_type: str | None, table: str | None, *, as_json: bool) -> int:
    selection = Selection(report_type, agency, table)
    ready = equipment()
    ready.databases.verify()
    poisonous = _verify_broker()
    with ready.databases.engine().connect() as connection:
        differences = schema.check(connection, ready.settings.db_schema, ready.settings.agency_table)
    problems = [Problem(SCHEMA, None, str(one)) for one in differences if one.failure]
    found = Findings(0, (), ())
    warnings = tuple(unknown_variables())
    manifests = _manifests(told=bool(problems))
    if manifests or (manifests is not None and selection != Selection()):
        with progress("checking", console(stderr=True)) as (begin, tell):
            begin(sum(selection.takes(one) for one in manifests))
            graph = graph_of(ready, manifests)
            found = check_manifests(
                ready.databases, manifests, selection, policy_of(ready.settings), tell, graph
            )
    problems += found.problems
    if selection == Selection():
        problems += _unreachable(problems)
        if not any(one.where == SCHEMA for one in problems):
            found = replace(
                found, warnings=(*found.warnings, *map(as_warning, everything(find_frozen(ready))))
            )
    if poisonous:
        found = replace(
            found, warnings=(*found.warnings, POISON.format(count=poisonous, key=dead_letters.KEY))
        )
    found = replace(found, warnings=warnings + found.warnings)
    if as_json:
        print_json({"manifests": found.manifests, "problems": problems, "warnings": found.warnings})
    else:
        _show(problems, found)
    return 1 if problems else 0


def _manifests(*, told: bool) -> list[Manifest] | None:
    """All manifests; None if a problem of the schema that was `told` already keeps them from being read."""
    ready = equipment()
    try:
        with ready.databases.session() as session:
            return ready.manifests.every(session)
    except SchemaIncomplete:
        if not told:
            raise
        return None


def _show(problems: Sequence[Problem], found: Findings) -> None:
    out = console()
    for warning in found.warnings:
        out.print(f"[yellow]warning[/]: {text(warning)}")
    for one in problems:
        agency = f" (agency {text(one.agency_slug)})" if one.agency_slug else ""
        out.print(f"[red]{text(one.where)}[/]{agency}: {text(one.problem)}")
    if any(one.where == SCHEMA for one in problems):
        out.print("`seeder schema check` shows the SQL that mends the schema.")
    checked, wrong = counted(found.manifests, "manifest"), counted(len(problems), "problem")
    out.print(f"{checked} checked, {wrong} found.")


def _unreachable(known: Sequence[Problem]) -> list[Problem]:
    """Problems with databases that no usable manifest names."""
    ready = equipment()
    told = {one.problem for one in known}
    problems = []
    for number in ready.settings.databases:
        try:
            ready.databases.verify(number)
        except DatabaseUnreachable as error:
            if str(error) not in told:
                problems.append(Problem(f"database {number}", None, str(error)))
    return problems


def _verify_broker() -> int:
    """Raises BrokerUnreachable; returns how many messages workers have set aside."""
    try:
        with redis(app, within=5) as client:
            poisonous = dead_letters.count(client)
    except Exception as error:  # noqa: BLE001 - kombu passes on whatever its transport raises
        url = masked_broker(app.conf.broker_url)
        raise BrokerUnreachable(url=url, reason=one_line(error)) from None
    verify_room(app)
    return poisonous
