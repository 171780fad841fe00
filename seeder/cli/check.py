"""``seeder check``: everything that can be known to be wrong before anything runs."""

from dataclasses import dataclass

from seeder import schema
from seeder.app import app, equipment
from seeder.cli.printing import console, print_json, text
from seeder.database import masked_broker
from seeder.errors import BrokerUnreachable, ManifestError
from seeder.failures import one_line
from seeder.manifests import Manifest, owned


@dataclass(frozen=True)
class Problem:
    """What is wrong, and with what."""

    where: str
    agency_slug: str | None
    problem: str


def run(*, as_json: bool) -> int:
    ready = equipment()
    ready.databases.verify()
    for number in ready.settings.databases:
        ready.databases.verify(number)
    _verify_broker()
    with ready.databases.engine().connect() as connection:
        differences = schema.check(connection, ready.settings.db_schema, ready.settings.agency_table)
    problems = [Problem("schema", None, str(one)) for one in differences if one.failure]
    manifests: list[Manifest] = []
    if not problems:
        with ready.databases.session() as session:
            manifests = ready.manifests.every(session)
        problems += _of_manifests(manifests)
    if as_json:
        print_json({"manifests": len(manifests), "problems": problems})
    else:
        out = console()
        for one in problems:
            agency = f" (agency {text(one.agency_slug)})" if one.agency_slug else ""
            out.print(f"[red]{text(one.where)}[/]{agency}: {text(one.problem)}")
        out.print(f"{len(manifests)} manifests checked, {len(problems)} problems found.")
    return 1 if problems else 0


def _of_manifests(manifests: list[Manifest]) -> list[Problem]:
    shared = owned(manifests, equipment().databases)
    problems = [_problem(manifest, error) for manifest, error in shared.refused]
    for manifest in shared.owners:
        try:
            manifest.query  # noqa: B018 - the guard speaks by raising
            equipment().desk.policy.of_manifest(manifest.directives)
        except ManifestError as error:
            problems.append(_problem(manifest, error))
    return problems


def _problem(manifest: Manifest, error: ManifestError) -> Problem:
    return Problem(f"{manifest.identity} {manifest.table_name}", manifest.agency_slug, str(error))


def _verify_broker() -> None:
    try:
        with app.connection_for_read() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=5)
    except Exception as error:  # noqa: BLE001 - kombu passes on whatever its transport raises
        url = masked_broker(app.conf.broker_url)
        raise BrokerUnreachable(url=url, reason=one_line(error)) from None
